"""Having TikTok fetch: what is sent, field by field, and which errors say that nothing happened."""

from __future__ import annotations

import json

import pytest
import requests
import responses

from connections.errors import (
    CapError,
    ConfigurationError,
    ProviderError,
    RateLimitError,
    RejectedError,
    ResponseError,
    TokenExpiredError,
    TransportError,
    UnreachableError,
)
from connections.providers.base import PublishMode, PublishOptions
from tests.connections.providers.tiktok.wire import API, ok, refused

DIRECT_URL = f"{API}/v2/post/publish/video/init/"
INBOX_URL = f"{API}/v2/post/publish/inbox/video/init/"
PHOTO_URL = f"{API}/v2/post/publish/content/init/"
JOB = {"publish_id": "v_pub_url~v2-1.7000000000000000001"}
FILM = "https://broadside.example.com/media/pull/abc:def/file.mp4"
PHOTOS = [f"https://broadside.example.com/media/pull/{name}/file.jpg" for name in "ab"]


def body_of(call):
    return json.loads(call.request.body)


def pull(client, mode=PublishMode.DIRECT, **options):
    return client.start_pull(
        mode=mode, video_url=FILM, options=PublishOptions(**({"privacy_level": "SELF_ONLY"} | options))
    )


def photos(client, mode=PublishMode.DIRECT, **options):
    return client.start_photos(
        mode=mode, photo_urls=PHOTOS, options=PublishOptions(**({"privacy_level": "SELF_ONLY"} | options))
    )


def test_a_direct_pull_carries_every_choice(client, wire):
    wire.post(DIRECT_URL, json=ok(JOB))

    job = pull(
        client,
        caption="Hello",
        allow_comment=True,
        is_own_brand=True,
        is_paid_partnership=True,
        is_ai_generated=True,
        cover_timestamp_ms=1500,
    )

    assert (job.publish_id, job.upload_url) == (JOB["publish_id"], "")
    assert body_of(wire.calls[0]) == {
        "source_info": {"source": "PULL_FROM_URL", "video_url": FILM},
        "post_info": {
            "privacy_level": "SELF_ONLY",
            "title": "Hello",
            "disable_comment": False,
            "disable_duet": True,
            "disable_stitch": True,
            "brand_organic_toggle": True,
            "brand_content_toggle": True,
            "is_aigc": True,
            "video_cover_timestamp_ms": 1500,
        },
    }


def test_a_pulled_draft_carries_its_source_alone(client, wire):
    wire.post(INBOX_URL, json=ok(JOB))

    pull(client, PublishMode.INBOX, caption="not sent")

    assert body_of(wire.calls[0]) == {"source_info": {"source": "PULL_FROM_URL", "video_url": FILM}}


def test_photos_carry_media_type_and_mode_and_the_ai_label_at_the_top(client, wire):
    wire.post(PHOTO_URL, json=ok(JOB))

    photos(
        client,
        title="Harbor",
        caption="Morning",
        adds_music=True,
        is_ai_generated=True,
        is_paid_partnership=True,
        allow_comment=True,
        cover_index=1,
    )

    assert body_of(wire.calls[0]) == {
        "media_type": "PHOTO",
        "post_mode": "DIRECT_POST",
        "is_aigc": True,
        "post_info": {
            "title": "Harbor",
            "description": "Morning",
            "privacy_level": "SELF_ONLY",
            "disable_comment": False,
            "auto_add_music": True,
            "brand_organic_toggle": False,
            "brand_content_toggle": True,
        },
        "source_info": {"source": "PULL_FROM_URL", "photo_images": PHOTOS, "photo_cover_index": 1},
    }


def test_a_draft_of_photos_carries_its_texts_and_no_settings(client, wire):
    wire.post(PHOTO_URL, json=ok(JOB))

    photos(client, PublishMode.INBOX, title="Harbor", adds_music=True, allow_comment=True)

    body = body_of(wire.calls[0])
    assert body["post_mode"] == "MEDIA_UPLOAD"
    assert body["post_info"] == {"title": "Harbor"}


@pytest.mark.parametrize("start", [pull, photos])
@pytest.mark.parametrize(
    ("status", "answer", "kind", "is_sure"),
    [
        (200, {"json": ok({})}, ResponseError, False),
        (200, {"body": b'{"data": {"publ'}, ResponseError, False),
        (200, {"body": b""}, ResponseError, False),
        (200, {"json": refused("internal_error")}, TransportError, False),
        (500, {"json": refused("internal_error")}, TransportError, False),
        (504, {"body": b"<html>"}, TransportError, False),
        (200, {"body": requests.ConnectionError("reset")}, TransportError, False),
        (200, {"body": requests.ReadTimeout("slow")}, TransportError, False),
        (200, {"body": requests.ConnectTimeout("no")}, UnreachableError, True),
        (429, {"json": refused("rate_limit_exceeded")}, RateLimitError, True),
        (403, {"json": refused("spam_risk_too_many_posts")}, CapError, True),
        (403, {"json": refused("url_ownership_unverified")}, ConfigurationError, True),
        (401, {"json": refused("access_token_invalid")}, TokenExpiredError, True),
        (400, {"json": refused("app_version_check_failed")}, RejectedError, True),
        (400, {"json": refused("invalid_params")}, RejectedError, True),
    ],
)
def test_each_error_says_whether_it_may_be_posted(client, wire, start, status, answer, kind, is_sure):
    url = DIRECT_URL if start is pull else PHOTO_URL
    wire.add(responses.POST, url, status=status, **answer)

    with pytest.raises(ProviderError) as raised:
        start(client)

    assert type(raised.value) is kind
    assert raised.value.nothing_happened is is_sure


@pytest.mark.parametrize("start", [pull, photos])
def test_without_a_chosen_visibility_nothing_is_sent(client, wire, start):
    with pytest.raises(RejectedError):
        start(client, privacy_level="")

    assert len(wire.calls) == 0
