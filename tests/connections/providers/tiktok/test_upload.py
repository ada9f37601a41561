from __future__ import annotations

import pytest

from connections.errors import (
    ConfigurationError,
    RateLimitError,
    RejectedError,
    ResponseError,
    TransportError,
    UploadExpiredError,
    UploadRangeError,
)
from connections.providers.base import Chunk, ChunkReceipt
from connections.providers.tiktok.chunks import plan_chunks
from connections.providers.tiktok.upload import stored_bytes
from tests.connections.providers.tiktok.wire import UPLOAD_URL

TOTAL = 150_000_000
PLAN = plan_chunks(TOTAL)
FIRST, SECOND, LAST = PLAN.chunk(0), PLAN.chunk(1), PLAN.chunk(3)


def send(provider, chunk, *, blocks=(), url=UPLOAD_URL, total_bytes=TOTAL):
    return provider.send_chunk(
        upload_url=url, chunk=chunk, total_bytes=total_bytes, content_type="video/mp4", blocks=blocks
    )


def test_send_chunk_sends_the_range_and_no_token(provider, wire):
    bodies = []
    wire.add_callback(
        "PUT", UPLOAD_URL, lambda request: bodies.append(b"".join(request.body)) or (206, {}, "null")
    )

    send(provider, Chunk(index=1, first=3, last=7), blocks=[b"ab", b"", b"cde"], total_bytes=10)

    request = wire.calls[0].request
    assert bodies == [b"abcde"]
    assert request.url == UPLOAD_URL
    assert request.headers["Content-Range"] == "bytes 3-7/10"
    assert request.headers["Content-Length"] == "5"
    assert request.headers["Content-Type"] == "video/mp4"
    assert "Authorization" not in request.headers
    assert "Transfer-Encoding" not in request.headers


@pytest.mark.parametrize(
    ("chunk", "status", "content_range", "receipt"),
    [
        pytest.param(FIRST, 206, "bytes 0-31999999/150000000", ChunkReceipt(False, 32_000_000), id="index"),
        pytest.param(FIRST, 206, "bytes 0-32000000/150000000", ChunkReceipt(False, 32_000_000), id="count"),
        pytest.param(FIRST, 206, "", ChunkReceipt(False, None), id="silent"),
        pytest.param(FIRST, 201, "", ChunkReceipt(False, None), id="201 for each chunk"),
        pytest.param(
            FIRST, 200, "bytes 0-31999999/150000000", ChunkReceipt(False, 32_000_000), id="200 on the way"
        ),
        pytest.param(LAST, 201, "", ChunkReceipt(True, None), id="done"),
        pytest.param(
            LAST, 201, "bytes 0-149999999/150000000", ChunkReceipt(True, TOTAL), id="done, with the index"
        ),
        pytest.param(
            LAST, 201, "bytes 0-150000000/150000000", ChunkReceipt(True, TOTAL), id="done, with the count"
        ),
        pytest.param(LAST, 200, "", ChunkReceipt(True, None), id="done with a 200"),
        pytest.param(LAST, 204, "", ChunkReceipt(True, None), id="done with a 204"),
        pytest.param(
            LAST, 206, "bytes 0-149999999/150000000", ChunkReceipt(True, TOTAL), id="206, yet all is there"
        ),
        pytest.param(LAST, 206, "", ChunkReceipt(False, None), id="206 and no word at the end"),
    ],
)
def test_send_chunk_says_what_tiktok_holds(provider, wire, chunk, status, content_range, receipt):
    wire.put(UPLOAD_URL, body="null", status=status, headers={"Content-Range": content_range})

    assert send(provider, chunk) == receipt


@pytest.mark.parametrize(
    ("content_range", "stored"),
    [
        ("bytes 0-31999999/150000000", 32_000_000),
        ("bytes 0-32000000/150000000", 32_000_000),
        ("bytes 0-95999999/150000000", 96_000_000),
        ("bytes 0-96000000/150000000", 96_000_000),
        ("bytes 0-149999999/150000000", TOTAL),
        ("bytes 0-150000000/150000000", TOTAL),
        ("bytes 0-0/150000000", 0),
        ("bytes 0--1/150000000", 0),
        (" bytes 0-32000000/150000000 ", 32_000_000),
        ("bytes 0-127999999/150000000", None),  # inside the last chunk, which holds the remainder
        ("bytes 0-17/150000000", None),
        ("bytes 0-150000001/150000000", None),
        ("bytes 0-32000000/32000000", None),
        ("bytes */150000000", None),
        ("bytes 5-32000000/150000000", None),
        ("bytes 0-" + "9" * 40 + "/150000000", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("chunk", PLAN.chunks())
def test_stored_bytes_takes_the_reading_that_ends_where_a_chunk_ends(chunk, content_range, stored):
    assert stored_bytes(content_range, chunk=chunk, total_bytes=TOTAL) == stored


def test_stored_bytes_leaves_open_what_fits_both_readings():
    assert stored_bytes("bytes 0-0/1", chunk=Chunk(index=0, first=0, last=0), total_bytes=1) is None


@pytest.mark.parametrize(
    ("content_range", "stored"), [("bytes 0-63999999/150000000", 64_000_000), ("", None)]
)
def test_a_416_tells_where_to_go_on(provider, wire, content_range, stored):
    wire.put(UPLOAD_URL, body="null", status=416, headers={"Content-Range": content_range})

    with pytest.raises(UploadRangeError) as caught:
        send(provider, SECOND)

    assert (caught.value.stored_bytes, caught.value.http_status) == (stored, 416)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RejectedError),
        (403, UploadExpiredError),
        (404, UploadExpiredError),
        (408, TransportError),
        (409, RejectedError),
        (413, RejectedError),
        (429, RateLimitError),
        (500, TransportError),
        (502, TransportError),
        (503, TransportError),
        (302, ResponseError),
    ],
)
@pytest.mark.parametrize("body", ["null", "", "<html>", '{"error":{"code":"some_code","message":"m"}}'])
def test_send_chunk_turns_each_status_into_what_to_do_next(provider, wire, status, kind, body):
    wire.put(UPLOAD_URL, body=body, status=status, headers={"Location": "https://evil.example/"})

    with pytest.raises(kind) as caught:
        send(provider, FIRST)

    assert caught.value.http_status == status
    assert len(wire.calls) == 1


@pytest.mark.parametrize(
    ("url", "kind"),
    [("https://evil.example/?upload_token=abc", ConfigurationError), ("nonsense", ResponseError)],
)
def test_send_chunk_contacts_no_other_host(provider, wire, url, kind):
    with pytest.raises(kind):
        send(provider, FIRST, url=url)

    assert len(wire.calls) == 0


def test_the_upload_url_arrives_exactly_as_it_was_given(provider, wire):
    url = "https://open-upload.tiktokapis.com/video/?upload_id=a%2Db%7e&upload_token=%2b%2F=="
    wire.put(url, status=201)

    send(provider, LAST, url=url)

    assert wire.calls[0].request.url == url
