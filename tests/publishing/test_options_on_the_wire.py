"""What is ticked on the posting page is what TikTok gets: from the form, by the engine, to the sandbox."""

from __future__ import annotations

import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from publishing.models import Delivery
from publishing.states import DeliveryState
from tests.publishing.films import film
from tests.publishing.test_engine import drive

pytestmark = pytest.mark.django_db
OFF = {
    "disable_comment": True,
    "disable_duet": True,
    "disable_stitch": True,
    "brand_organic_toggle": False,
    "brand_content_toggle": False,
    "is_aigc": False,
}


@pytest.mark.parametrize(
    ("ticked", "sent"),
    [
        pytest.param({}, {}, id="nothing ticked allows nothing"),
        pytest.param({"is_ai_generated": "on"}, {"is_aigc": True}, id="AI label"),
        pytest.param({"cover_seconds": "0.5"}, {"video_cover_timestamp_ms": 500}, id="cover"),
        pytest.param(
            {"disclose": "on", "is_own_brand": "on"}, {"brand_organic_toggle": True}, id="own brand"
        ),
        pytest.param(
            {"disclose": "on", "is_own_brand": "on", "is_paid_partnership": "on"},
            {"brand_organic_toggle": True, "brand_content_toggle": True},
            id="own brand and a third party",
        ),
        pytest.param({"is_own_brand": "on"}, {}, id="a brand without the disclosure counts for nothing"),
        pytest.param(
            {"allow_comment": "on", "allow_duet": "on"}, {"disable_comment": False, "disable_duet": False}
        ),
    ],
)
def test_choices_of_the_form_arrive_at_the_platform(acme, erin, browser_of, connect, tiktok, ticked, sent):
    connection = connect(acme)
    data = {
        "connection": str(connection.pk),
        "submission_key": str(uuid.uuid4()),
        "mode": "direct",
        "caption": "Hello #world",
        "privacy_level": "PUBLIC_TO_EVERYONE",
        "video": SimpleUploadedFile("clip.mp4", film()),
    }

    answer = browser_of(erin).post("/w/acme/posts/new/", data | ticked)
    done = drive(Delivery.objects.get())

    [task] = tiktok.control("GET", "/tasks")
    assert answer.status_code == 302
    assert done.state == DeliveryState.PUBLISHED
    assert task["post_info"] == OFF | {"privacy_level": "PUBLIC_TO_EVERYONE", "title": "Hello #world"} | sent
    assert tiktok.control("GET", "/requests")["warnings"] == []
