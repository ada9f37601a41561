"""What is uploaded is judged by its bytes, and is served as what it is or as something to save: never as a page."""

from __future__ import annotations

import io
import struct

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile

from config.media_headers import SHOWN, media_headers
from connections.providers import provider_for
from publishing import photos, videos
from publishing.containers import CONTAINERS
from publishing.models import Photo, Video
from publishing.receiving import receive_stream
from publishing.refusals import VideoRefusedError
from tests.publishing.films import film
from tests.publishing.pictures import picture

HTML = b"<!doctype html><html><body><script>alert(document.domain)</script></body></html>"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
MASQUERADES = [
    pytest.param(HTML, id="html"),
    pytest.param(b"\n\n  " + HTML, id="html after blanks"),
    pytest.param(SVG, id="svg"),
    pytest.param(b"GIF89a/*" + HTML, id="gif and html"),
    pytest.param(b"%PDF-1.7\n" + HTML, id="pdf and html"),
    pytest.param(b"#EXTM3U\nhttp://169.254.169.254/latest/meta-data/\n", id="playlist"),
    pytest.param(b"ffconcat version 1.0\nfile /etc/passwd\n", id="concat script"),
    pytest.param(struct.pack(">I", 24) + b"ftypisom" + bytes(12) + HTML, id="mp4's first box, then html"),
    pytest.param(b"\xff\xd8\xff\xe0" + HTML, id="jpeg's first bytes, then html"),
    pytest.param(b"RIFF\x00\x01\x00\x00WEBPVP8 " + HTML, id="webp's first bytes, then html"),
]


# --- Taking in --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("content", MASQUERADES)
def test_what_only_calls_itself_a_video_is_refused(acme, content):
    received = receive_stream(io.BytesIO(content), name="holiday.mp4")

    with pytest.raises(VideoRefusedError):
        videos.store_video(workspace=acme, user=None, received=received, provider=provider_for("tiktok"))

    assert not Video.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("content", MASQUERADES)
def test_what_only_calls_itself_a_photo_is_refused(acme, content):
    received = receive_stream(io.BytesIO(content), name="holiday.jpg")

    with pytest.raises(VideoRefusedError):
        photos.store_photo(workspace=acme, user=None, received=received, provider=provider_for("tiktok"))

    assert not Photo.objects.exists()


@pytest.mark.django_db
def test_the_posting_page_refuses_a_page_that_is_named_mp4_and_said_to_be_one(
    client, acme, erin, make_connection
):
    connection = make_connection(acme, status="needs_reauth")
    client.force_login(erin)
    file = SimpleUploadedFile("clip.mp4", HTML, content_type="video/mp4")

    page = client.post(
        "/w/acme/posts/new/", {"connection": str(connection.pk), "intent": "add", "video": file}
    )

    assert page.status_code == 422
    assert "not a video. Choose an MP4, MOV or WebM file." in page.content.decode()


@pytest.mark.django_db
def test_the_type_comes_from_the_bytes_and_not_from_the_name_or_the_browser(acme):
    received = receive_stream(io.BytesIO(film()), name="clip.html")
    received.content_type = "text/html"

    video = videos.store_video(workspace=acme, user=None, received=received, provider=provider_for("tiktok"))

    assert video.content_type == "video/mp4"
    assert str(video.file.name).endswith(".mp4")


def test_every_type_that_can_be_stored_is_one_that_may_be_shown():
    rules = provider_for("tiktok").video_rules, provider_for("tiktok").photo_rules
    stored = {CONTAINERS[name].content_type for name in rules[0].containers}
    stored |= {f"image/{name}" for name in rules[1].formats}

    assert stored <= set(SHOWN)


# --- Giving out -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content_type", "shown_as", "disposition"),
    [
        ("a.mp4", "video/mp4", "video/mp4", 'inline; filename="a.mp4"'),
        ("A.MP4", "video/mp4", "video/mp4", 'inline; filename="A.MP4"'),
        ("a.jpeg", "image/jpeg", "image/jpeg", 'inline; filename="a.jpeg"'),
        ("evil.html", "video/mp4", "video/mp4", 'inline; filename="evil.html.mp4"'),
        ("evil.mp4.hta", "video/mp4", "video/mp4", 'inline; filename="evil.mp4.hta.mp4"'),
        ("no ending", "image/webp", "image/webp", 'inline; filename="no ending.webp"'),
        ("a.html", "text/html", "application/octet-stream", 'attachment; filename="a.html"'),
        ("a.svg", "image/svg+xml", "application/octet-stream", 'attachment; filename="a.svg"'),
        ("a.mp4", "video/mp4; x=y", "application/octet-stream", 'attachment; filename="a.mp4"'),
        ("a.zip", "application/zip", "application/zip", 'attachment; filename="a.zip"'),
        ("a.pdf", "application/pdf", "application/octet-stream", 'attachment; filename="a.pdf"'),
        ("a", "", "application/octet-stream", 'attachment; filename="a"'),
    ],
)
def test_only_safe_types_are_shown_and_all_else_is_saved(name, content_type, shown_as, disposition):
    headers = media_headers(name, content_type, cache="no-store")

    assert (headers["Content-Type"], headers["Content-Disposition"]) == (shown_as, disposition)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize("name", ['a"b.mp4', "a\r\nSet-Cookie: x=1.mp4", "../../x.mp4", "\u202e4pm.exe"])
def test_a_name_cannot_break_out_of_its_header(name):
    header = media_headers(name, "video/mp4", cache="no-store")["Content-Disposition"]

    assert header.startswith("inline; filename")
    assert "\r" not in header
    assert "\n" not in header


@pytest.fixture
def places(acme, make_video, make_connection):
    """Every address that gives out a file, by name."""
    video = make_video(acme)
    video.poster.save("poster.jpg", ContentFile(picture()))
    photo = Photo(workspace=acme, total_bytes=9, width=9, height=9, content_type="image/jpeg", sha256="0")
    photo.file.save("one.jpg", ContentFile(picture()))
    connection = make_connection(acme)
    connection.avatar.save("one.jpg", ContentFile(picture()))
    return {
        "video": f"/w/acme/videos/{video.pk}/file/",
        "poster": f"/w/acme/videos/{video.pk}/poster/",
        "photo": f"/w/acme/photos/{photo.pk}/file/",
        "avatar": f"/w/acme/connections/{connection.pk}/avatar/",
    }


@pytest.mark.django_db
@pytest.mark.parametrize("what", ["video", "poster", "photo", "avatar"])
def test_every_file_is_given_out_guarded(browser_of, vic, places, what):
    answer = browser_of(vic).get(places[what])

    assert answer.status_code == 200
    assert answer["Content-Type"] in SHOWN
    assert answer["Content-Disposition"].startswith("inline")
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "private" in answer["Cache-Control"]
    b"".join(answer)


@pytest.mark.django_db
def test_a_row_that_says_html_is_saved_and_never_shown(browser_of, vic, acme, make_video):
    video = make_video(acme, HTML, content_type="text/html", original_name="page.html")

    answer = browser_of(vic).get(f"/w/acme/videos/{video.pk}/file/")
    part = browser_of(vic).get(f"/w/acme/videos/{video.pk}/file/", headers={"Range": "bytes=0-3"})
    none = browser_of(vic).get(f"/w/acme/videos/{video.pk}/file/", headers={"Range": "bytes=9999-"})

    assert [one.status_code for one in (answer, part, none)] == [200, 206, 416]
    for one in (answer, part, none):
        assert one["Content-Type"] == "application/octet-stream"
        assert one["Content-Disposition"].startswith("attachment")
    assert b"".join(answer) == HTML
    b"".join(part)


@pytest.mark.django_db
def test_no_address_gives_out_the_media_folder(client, alice, acme, make_video):
    video = make_video(acme)
    client.force_login(alice)

    for path in (f"/media/{video.file.name}", f"/{video.file.name}", f"/static/{video.file.name}"):
        assert client.get(path).status_code == 404
