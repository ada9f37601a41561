"""A browser's file on its way in: streamed, limited, drained, and gone without a trace if it is not taken."""

from __future__ import annotations

import http.client
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings as configured
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import RequestFactory

from accounts.models import Workspace
from publishing.models import Video
from publishing.receiving import ReceivedFile, RefusedFile
from publishing.uploads import VideoUploadHandler
from tests.publishing.films import film

GIGABYTE = 10**9
BOUNDARY = "b0undary"


def incoming():
    folder = Path(configured.MEDIA_ROOT) / "incoming"
    return list(folder.iterdir()) if folder.is_dir() else []


def started(content_length):
    request = RequestFactory().post("/")
    handler = VideoUploadHandler(request, workspace=Workspace(slug="acme"))
    handler.handle_raw_input(None, {}, content_length, b"")
    handler.new_file("video", "clip.mp4", "video/mp4", None)
    return handler


@pytest.mark.django_db
def test_handler_hashes_while_it_stores():
    handler = started(2000)
    handler.receive_data_chunk(b"a" * 1000, 0)
    handler.receive_data_chunk(b"b" * 1000, 1000)

    received = handler.file_complete(2000)

    assert isinstance(received, ReceivedFile)
    assert (received.size, len(received.sha256)) == (2000, 64)
    assert Path(received.temporary_file_path()).parent.name == "incoming"
    received.close()
    assert incoming() == []


@pytest.mark.django_db
def test_handler_lets_five_announced_gigabytes_go_by_without_storing_any():
    handler = started(5 * GIGABYTE)
    block = bytes(256 * 1024)
    for number in range(5 * GIGABYTE // len(block)):
        handler.receive_data_chunk(block, number * len(block))
        assert number % 1000 or incoming() == []

    refused = handler.file_complete(5 * GIGABYTE)

    assert isinstance(refused, RefusedFile)
    assert refused.refusal.code == "too_large"
    assert "4.29 GB" in refused.refusal.message


@pytest.mark.django_db
def test_handler_drops_what_was_stored_when_the_limit_is_passed(settings):
    settings.MAX_VIDEO_BYTES = 1500
    handler = started(1800)
    handler.receive_data_chunk(bytes(1000), 0)
    assert len(incoming()) == 1

    handler.receive_data_chunk(bytes(800), 1000)

    assert incoming() == []
    assert isinstance(handler.file_complete(1800), RefusedFile)


@pytest.mark.django_db
def test_handler_drops_what_was_stored_when_the_browser_goes_away():
    handler = started(2000)
    handler.receive_data_chunk(bytes(1000), 0)
    assert len(incoming()) == 1

    handler.upload_interrupted()

    assert incoming() == []


@pytest.mark.django_db
def test_handler_refuses_an_empty_file():
    refused = started(100).file_complete(0)

    assert isinstance(refused, RefusedFile)
    assert refused.refusal.code == "empty"


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.usefixtures("creator")
def test_a_full_disk_is_told_in_the_form(
    acme,
    erin,
    make_connection,
    browser_of,
    settings,
    tmp_path,
    monkeypatch,
    at_once,
):
    """/dev/full answers every write with a real ENOSPC; at once, or when the buffer is flushed."""
    make_connection(acme, is_primary=True)
    content = film() + (bytes(500_000) if at_once else b"")
    settings.MEDIA_ROOT = tmp_path
    place = tmp_path / "upload-x.part"
    place.symlink_to("/dev/full")
    monkeypatch.setattr("publishing.receiving.tempfile.NamedTemporaryFile", lambda **_: place.open("wb"))

    answer = post(browser_of(erin), content)

    assert answer.status_code == 422
    assert not place.is_symlink()
    assert "no room left for this file" in answer.content.decode()
    assert not Video.objects.exists()


def post(client, content):
    return client.post(
        "/w/acme/posts/new/", {"caption": "my words", "video": SimpleUploadedFile("clip.mp4", content)}
    )


# --- Over a real socket ---


def opening(file_bytes):
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="video"; filename="big.mp4"\r\n'
        "Content-Type: video/mp4\r\n\r\n"
    ).encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    return head, tail, len(head) + file_bytes + len(tail)


@pytest.fixture
def line(live_server, acme, erin, make_connection, creator, browser_of):
    """A connection to a real server, and the headers of a logged-in browser."""
    make_connection(acme, is_primary=True)
    client = browser_of(erin)
    client.get("/w/acme/posts/new/")
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    headers = {
        "Cookie": cookies,
        "X-CSRFToken": client.cookies["csrftoken"].value,
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
    }
    address = urlsplit(live_server.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    yield connection, headers
    connection.close()


def begin(connection, headers, length):
    connection.putrequest("POST", "/w/acme/posts/new/")
    for name, value in {**headers, "Content-Length": str(length)}.items():
        connection.putheader(name, value)
    connection.endheaders()


def test_a_file_above_the_limit_is_read_to_its_end_and_answered_in_place(line, settings):
    settings.MAX_VIDEO_BYTES = 1_000_000
    connection, headers = line
    head, tail, length = opening(24_000_000)
    begin(connection, headers, length)
    connection.send(head)
    for _ in range(24):
        connection.send(bytes(1_000_000))
    connection.send(tail)

    answer = connection.getresponse()

    assert answer.status == 422
    assert "larger than 1 MB, the most that can be sent" in answer.read().decode()
    assert incoming() == []
    assert not Video.objects.exists()


def test_five_declared_gigabytes_are_not_stored_while_they_arrive(line):
    connection, headers = line
    head, _, length = opening(5 * GIGABYTE)
    begin(connection, headers, length)
    connection.send(head)
    for _ in range(20):
        connection.send(bytes(1_000_000))

    assert incoming() == []


def test_a_line_that_breaks_in_mid_file_leaves_nothing(line):
    connection, headers = line
    head, _, length = opening(8_000_000)
    begin(connection, headers, length)
    connection.send(head + bytes(4_000_000))
    wait_until(lambda: len(incoming()) == 1)

    connection.sock.shutdown(socket.SHUT_RDWR)

    wait_until(lambda: incoming() == [])
    assert not Video.objects.exists()


def wait_until(is_so, *, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
