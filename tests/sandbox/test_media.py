"""Checks of real files: https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide"""

from __future__ import annotations

from io import BytesIO

import av
import pytest

from sandbox.images import avatar, cover


def video(seconds=2, *, width=360, height=640, fps=24, container="mp4", codec="libx264"):
    """A black video as bytes."""
    buffer = BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(seconds * fps):
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.pts = index
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return buffer.getvalue()


@pytest.fixture
def checked(sandbox, client):
    """A client of a sandbox that looks into what it gets."""
    sandbox.settings(media_checks=True)
    return client


@pytest.mark.parametrize(("container", "codec"), [("mp4", "libx264"), ("mov", "libx264"), ("webm", "libvpx")])
def test_sound_video_is_posted_with_what_it_says_about_itself(sandbox, checked, container, codec):
    publish_id = checked.publish(video(3, container=container, codec=codec))
    post = sandbox.posts()[0]

    assert checked.status(publish_id)["status"] == "PUBLISH_COMPLETE"
    assert (post["duration"], post["width"], post["height"]) == (3, 360, 640)
    assert post["files"][0]["format"] == container
    assert post["files"][0]["fps"] == pytest.approx(24, abs=0.5)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"just some text, named .mp4", "file_format_check_failed", id="text"),
        pytest.param(video()[:-200], "file_format_check_failed", id="truncated"),
        pytest.param(b"\x00\x00\x00\x18ftypmp42" + bytes(100), "file_format_check_failed", id="no index"),
        pytest.param(b"\x00", "file_format_check_failed", id="one byte"),
        pytest.param(video(fps=10), "frame_rate_check_failed", id="10 frames a second"),
        pytest.param(video(width=320, height=640), "picture_size_check_failed", id="narrower than 360"),
    ],
)
def test_unsound_video_fails_with_its_reason(sandbox, checked, body, reason):
    publish_id = checked.publish(body)

    assert checked.status(publish_id)["fail_reason"] == reason
    assert sandbox.posts() == []


def test_video_over_the_creators_limit_fails_as_a_post_and_passes_as_a_draft(checked, client_for):
    short = client_for("demo.short")
    body = video(17)

    posted, draft = short.publish(body), short.send_draft(body)

    assert short.status(posted)["fail_reason"] == "duration_check_failed"
    assert short.status(draft)["status"] == "SEND_TO_USER_INBOX"


@pytest.mark.parametrize(
    ("timestamp", "expected"), [(1500, 1500), (60_000, 0), (-1, 0), ("soon", 0), (None, 0)]
)
def test_cover_time_outside_of_the_video_means_the_first_frame(sandbox, checked, timestamp, expected):
    checked.publish(video(), video_cover_timestamp_ms=timestamp)

    assert sandbox.posts()[0]["cover_timestamp_ms"] == expected


@pytest.mark.parametrize(
    ("image", "width", "height"),
    [(avatar("demo.public", side), side, side) for side in (100, 168, 720)] + [(cover("1"), 270, 480)],
)
def test_generated_pictures_are_sound_png(image, width, height):
    from PIL import Image

    with Image.open(BytesIO(image)) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", (width, height))
