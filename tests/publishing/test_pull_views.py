"""The address at which a platform fetches a file: who has it gets the file, in parts, while it is wanted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import signing
from django.test import Client
from django.utils import timezone

from connections.providers import provider_for
from publishing import pull_urls, services
from publishing.models import Delivery, Video
from publishing.pull_urls import MAX_AGE, pull_url
from publishing.scannable import ScanState
from publishing.states import DeliveryState

pytestmark = pytest.mark.django_db
PREFIX = "https://testserver/media/pull/"
CONTENT = bytes(range(256)) * 20


@pytest.fixture
def delivery(acme, make_delivery, make_video, settings):
    """A delivery that the platform was asked to fetch just now."""
    settings.TIKTOK_PULL_URL_PREFIX = PREFIX
    provider_for.cache_clear()
    yield make_delivery(
        acme,
        video=make_video(acme, CONTENT),
        state=DeliveryState.PROCESSING,
        publish_id="v_pub_url~v2.1",
        pull_requested_at=timezone.now(),
        wake_at=None,
    )
    provider_for.cache_clear()


@pytest.fixture
def path(delivery):
    """The file's address, without the host."""
    url = pull_url(delivery, delivery.post.video, requested_at=delivery.pull_requested_at)
    assert url.startswith(PREFIX)
    return url.removeprefix("https://testserver")


def body(answer):
    return b"".join(answer.streaming_content)


def test_the_whole_file_comes_without_a_log_in_and_without_a_redirect(path):
    answer = Client().get(path)

    assert answer.status_code == 200
    assert body(answer) == CONTENT
    assert answer["Content-Type"] == "video/mp4"
    assert answer["Content-Length"] == str(len(CONTENT))
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"] == "private, no-store"
    assert not answer.cookies


def test_head_tells_the_length_and_sends_nothing(path):
    answer = Client().head(path)

    assert answer.status_code == 200
    assert answer["Content-Length"] == str(len(CONTENT))
    assert body(answer) == b""


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [("bytes=0-99", 0, 99), ("bytes=5000-", 5000, 5119), ("bytes=-10", 5110, 5119), ("bytes=7-7", 7, 7)],
)
def test_a_part_comes_with_its_place(path, header, first, last):
    answer = Client().get(path, headers={"Range": header})

    assert answer.status_code == 206
    assert answer["Content-Range"] == f"bytes {first}-{last}/5120"
    assert body(answer) == CONTENT[first : last + 1]


def test_a_part_outside_the_file_is_416(path):
    answer = Client().get(path, headers={"Range": "bytes=5120-"})

    assert answer.status_code == 416
    assert answer["Content-Range"] == "bytes */5120"
    assert answer["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_nothing_can_be_done_there_but_reading(path, method):
    assert getattr(Client(), method)(path).status_code == 405


def test_an_address_lives_longer_than_a_download_may_take_and_no_longer(path, monkeypatch):
    now = signing.time.time()
    monkeypatch.setattr(signing.time, "time", lambda: now + 75 * 60)
    in_time = Client().get(path)
    monkeypatch.setattr(signing.time, "time", lambda: now + MAX_AGE.total_seconds() + 2)
    late = Client().get(path)

    assert in_time.status_code == 200
    assert body(in_time) == CONTENT
    assert late.status_code == 404


@pytest.mark.parametrize("place", [0, 20, -1])
def test_a_changed_address_leads_nowhere(path, place):
    token = path.split("/")[3]
    letter = "A" if token[place] != "A" else "B"
    changed = token[:place] + letter + (token[place + 1 :] if place != -1 else "")

    assert Client().get(path.replace(token, changed)).status_code == 404


@pytest.mark.parametrize("token", ["x", "a:b:c", "%00", "a" * 700, "..", "W10:1:x"])
def test_nonsense_leads_nowhere(delivery, token):
    assert Client().get(f"/media/pull/{token}/file.mp4").status_code == 404


def test_a_signature_made_for_something_else_is_not_taken(delivery):
    stamp = round(delivery.pull_requested_at.timestamp() * 1_000_000)
    token = signing.dumps(
        [str(delivery.pk), str(delivery.post.video_id), stamp], salt="publishing.videos.kept"
    )

    assert Client().get(f"/media/pull/{token}/file.mp4").status_code == 404


def test_an_address_is_bound_to_its_own_file(delivery, rival, make_video):
    url = pull_url(delivery, make_video(rival), requested_at=delivery.pull_requested_at)

    assert Client().get(url.removeprefix("https://testserver")).status_code == 404


@pytest.mark.parametrize(
    "state", [DeliveryState.PUBLISHED, DeliveryState.CANCELED, DeliveryState.FAILED, DeliveryState.SCHEDULED]
)
def test_an_address_is_dead_once_nobody_may_fetch(path, delivery, state):
    Delivery.objects.filter(pk=delivery.pk).update(state=state)

    assert Client().get(path).status_code == 404


def test_sending_again_kills_the_address_of_the_earlier_request(path, delivery, erin):
    Delivery.objects.filter(pk=delivery.pk).update(state=DeliveryState.HELD, hold_reason="unconfirmed")
    delivery.refresh_from_db()
    while_held = Client().get(path)

    services.retry_delivery(delivery=delivery, user=erin)
    Delivery.objects.filter(pk=delivery.pk).update(
        state=DeliveryState.PROCESSING, pull_requested_at=timezone.now() + timedelta(seconds=1)
    )

    assert while_held.status_code == 200
    assert body(while_held) == CONTENT
    assert Client().get(path).status_code == 404


def test_a_file_that_is_gone_is_404(path, delivery):
    delivery.post.video.file.storage.delete(delivery.post.video.file.name)

    assert Client().get(path).status_code == 404


def test_a_file_with_malware_is_not_handed_out(path, delivery):
    Video.objects.filter(pk=delivery.post.video_id).update(scan_state=ScanState.INFECTED)

    assert Client().get(path).status_code == 404


def test_the_address_names_no_person_and_no_workspace(path, delivery):
    assert "acme" not in path
    assert str(delivery.workspace_id) not in path
    assert len(PREFIX) + len(path) < 512
    assert pull_urls.find_media(path.split("/")[3]) == delivery.post.video
