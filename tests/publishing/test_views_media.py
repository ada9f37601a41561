"""A workspace's videos and posters: in parts, with the right type, and for members alone."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile

from publishing.serving import ByteRange, UnsatisfiableRangeError, parse_range

CONTENT = bytes(range(256)) * 10


@pytest.fixture
def video(acme, make_video):
    return make_video(acme, CONTENT, original_name="Été “draft”.mp4")


@pytest.fixture
def viewer(vic, browser_of):
    return browser_of(vic)


def url_of(video, what="file"):
    return f"/w/acme/videos/{video.pk}/{what}/"


def body(answer):
    return b"".join(answer.streaming_content)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", None),
        ("bytes=0-", ByteRange(0, 999)),
        ("bytes=0-0", ByteRange(0, 0)),
        ("bytes=10-19", ByteRange(10, 19)),
        ("bytes=990-5000", ByteRange(990, 999)),
        ("bytes=-10", ByteRange(990, 999)),
        ("bytes=-5000", ByteRange(0, 999)),
        pytest.param("bytes=990-" + "9" * 5000, ByteRange(990, 999), id="an endless end"),
        pytest.param("bytes=-" + "9" * 5000, ByteRange(0, 999), id="an endless length"),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
        ("bytes=٣-٤", None),
    ],
)
def test_parse_range(header, found):
    assert parse_range(header, 1000) == found


@pytest.mark.parametrize(
    "header",
    [
        "bytes=1000-",
        "bytes=5000-6000",
        "bytes=-0",
        pytest.param("bytes=" + "9" * 5000 + "-", id="an endless start"),
    ],
)
def test_parse_range_refuses_what_lies_outside(header):
    with pytest.raises(UnsatisfiableRangeError):
        parse_range(header, 1000)


def test_the_whole_file_comes_with_its_type_and_cannot_be_taken_for_another(viewer, video):
    answer = viewer.get(url_of(video))

    assert (answer.status_code, body(answer)) == (200, CONTENT)
    assert answer["Content-Type"] == "video/mp4"
    assert answer["Content-Length"] == "2560"
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"].startswith("inline; filename")
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert "private" in answer["Cache-Control"]


def test_a_part_comes_with_its_place(viewer, video):
    answer = viewer.get(url_of(video), headers={"Range": "bytes=256-511"})

    assert (answer.status_code, body(answer)) == (206, CONTENT[256:512])
    assert answer["Content-Range"] == "bytes 256-511/2560"
    assert answer["Content-Length"] == "256"


def test_a_part_behind_the_end_is_refused_with_the_size(viewer, video):
    answer = viewer.get(url_of(video), headers={"Range": "bytes=2560-"})

    assert answer.status_code == 416
    assert answer["Content-Range"] == "bytes */2560"


def test_a_part_of_another_version_becomes_the_whole(viewer, video):
    etag = viewer.head(url_of(video))["ETag"]

    same = viewer.get(url_of(video), headers={"Range": "bytes=0-9", "If-Range": etag})
    other = viewer.get(url_of(video), headers={"Range": "bytes=0-9", "If-Range": '"else"'})

    assert (same.status_code, other.status_code) == (206, 200)
    assert (len(body(same)), len(body(other))) == (10, 2560)


def test_a_part_that_another_version_had_becomes_the_whole_and_no_refusal(viewer, video):
    answer = viewer.get(url_of(video), headers={"Range": "bytes=9000-", "If-Range": '"else"'})

    assert (answer.status_code, body(answer)) == (200, CONTENT)


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-9"}, {"Range": "bytes=9000-"}])
def test_head_tells_the_length_of_the_whole_and_sends_nothing(viewer, video, headers):
    answer = viewer.head(url_of(video), headers=headers)

    assert answer.status_code == 200
    assert answer["Content-Length"] == "2560"
    assert "Content-Range" not in answer
    assert body(answer) == b""


def test_a_file_that_vanished_is_not_found(viewer, video):
    video.file.storage.delete(video.file.name)

    assert viewer.get(url_of(video)).status_code == 404


def test_the_poster_is_a_picture(viewer, video):
    assert viewer.get(url_of(video, "poster")).status_code == 404
    video.poster.save("poster.jpg", ContentFile(b"\xff\xd8\xff"))

    answer = viewer.get(url_of(video, "poster"))

    assert (answer["Content-Type"], answer.content) == ("image/jpeg", b"\xff\xd8\xff")
    assert answer["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("what", ["file", "poster"])
def test_strangers_find_nothing(video, mallory, browser_of, client, what):
    stranger = browser_of(mallory)

    assert stranger.get(url_of(video, what)).status_code == 404
    assert stranger.get(url_of(video, what).replace("acme", "rival")).status_code == 404
    assert client.get(url_of(video, what)).status_code == 302
    assert stranger.post(url_of(video, what)).status_code == 405
