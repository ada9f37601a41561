"""PUT of chunks: https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide"""

from __future__ import annotations

import hashlib
import http.client
import socket
import threading

import pytest
import requests

from tests.sandbox.client import MIN_CHUNK, chunked, path_of
from tests.sandbox.receivers import eventually

FILE = bytes(range(256)) * 42_000  # 10,752,000 bytes
PLAN = chunked(len(FILE), MIN_CHUNK, 2)
FIRST, LAST = FILE[:MIN_CHUNK], FILE[MIN_CHUNK:]


@pytest.fixture
def upload(client):
    """An open upload of FILE in two chunks: (client, url, publish_id)."""
    data = client.init(source=PLAN).json()["data"]
    return client, data["upload_url"], data["publish_id"]


def kept_file(sandbox):
    """The bytes of the only post, as its profile page would play them."""
    (post,) = sandbox.posts()
    return requests.get(f"{sandbox.url}/media/{post['post_id']}/0", timeout=20).content


def put_raw(sandbox, url, headers, body=b""):
    """A PUT with exactly these headers."""
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=10)
    connection.putrequest("PUT", path_of(url))
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def wait_for_incoming(sandbox, publish_id):
    """Return once the server has the beginning of a chunk."""
    eventually(
        lambda: sandbox.control("GET", f"/tasks/{publish_id}")["incoming_bytes"], lambda count: count > 0
    )


@pytest.mark.quirk(37)
def test_chunks_in_order_are_206_then_201_with_null_and_the_progress(sandbox, upload):
    client, url, publish_id = upload

    first = client.put(url, FIRST, 0, len(FILE))
    between = client.status(publish_id)
    last = client.put(url, LAST, MIN_CHUNK, len(FILE))

    assert (first.status_code, first.text) == (206, "null")
    assert first.headers["Content-Range"] == f"bytes 0-{MIN_CHUNK - 1}/{len(FILE)}"
    assert (between["status"], between["uploaded_bytes"]) == ("PROCESSING_UPLOAD", MIN_CHUNK)
    assert (last.status_code, last.text) == (201, "null")
    assert last.headers["Content-Range"] == f"bytes 0-{len(FILE) - 1}/{len(FILE)}"
    assert sandbox.posts()[0]["sha256"] == hashlib.sha256(FILE).hexdigest()
    assert kept_file(sandbox) == FILE


@pytest.mark.quirk(37)
def test_progress_header_can_be_a_count(sandbox, upload):
    client, url, _ = upload
    sandbox.settings(range_header="count")

    assert client.put(url, FIRST, 0, len(FILE)).headers["Content-Range"] == f"bytes 0-{MIN_CHUNK}/{len(FILE)}"


@pytest.mark.quirk(37)
@pytest.mark.parametrize(
    ("first", "length"),
    [
        pytest.param(MIN_CHUNK, len(FILE) - MIN_CHUNK, id="second chunk first"),
        pytest.param(1, MIN_CHUNK, id="one byte off"),
        pytest.param(len(FILE), 10, id="beyond the end"),
    ],
)
def test_chunk_out_of_order_is_416(upload, first, length):
    client, url, publish_id = upload

    answer = client.put(url, FILE[:length], first, max(len(FILE), first + length))

    assert (answer.status_code, answer.text) == (416, "null")
    assert client.status(publish_id)["uploaded_bytes"] == 0


@pytest.mark.quirk(37)
def test_chunk_sent_again_is_416_and_tells_the_progress(upload):
    client, url, _ = upload
    client.put(url, FIRST, 0, len(FILE))

    again = client.put(url, FIRST, 0, len(FILE))

    assert again.status_code == 416
    assert again.headers["Content-Range"] == f"bytes 0-{MIN_CHUNK - 1}/{len(FILE)}"


@pytest.mark.quirk(37)
def test_last_chunk_sent_again_is_416_with_the_whole_range(sandbox, upload):
    client, url, _ = upload
    client.put(url, FIRST, 0, len(FILE))
    client.put(url, LAST, MIN_CHUNK, len(FILE))

    again = client.put(url, LAST, MIN_CHUNK, len(FILE))

    assert again.status_code == 416
    assert again.headers["Content-Range"] == f"bytes 0-{len(FILE) - 1}/{len(FILE)}"
    assert len(sandbox.posts()) == 1


@pytest.mark.quirk(37)
def test_missing_content_range_is_416(upload):
    client, url, _ = upload

    assert client.put(url, FIRST, Content_Range=None).status_code == 416


@pytest.mark.quirk(37)
@pytest.mark.parametrize("strict", [True, False])
def test_authorization_header_is_refused_unless_switched(sandbox, upload, strict):
    client, url, _ = upload
    sandbox.settings(refuse_upload_authorization=strict)

    answer = client.put(url, FIRST, 0, len(FILE), Authorization="Bearer act.x")

    assert answer.status_code == (400 if strict else 206)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Content_Range": "bytes 0-4999999"}, id="no total"),
        pytest.param({"Content_Range": "0-4999999/10752000"}, id="no unit"),
        pytest.param({"Content_Range": "bytes 0-4999998/10752000"}, id="length differs"),
        pytest.param({"Content_Type": "application/octet-stream"}, id="unknown type"),
        pytest.param({"Content_Type": None}, id="no type"),
    ],
)
def test_bad_headers_are_400(upload, headers):
    client, url, publish_id = upload

    assert client.put(url, FIRST, 0, len(FILE), **headers).status_code == 400
    assert client.status(publish_id)["uploaded_bytes"] == 0


@pytest.mark.parametrize("content_type", ["video/mp4", "video/quicktime", "video/webm"])
def test_three_content_types_are_taken(upload, content_type):
    client, url, _ = upload

    assert client.put(url, FIRST, 0, len(FILE), Content_Type=content_type).status_code == 206


def test_body_without_content_length_is_400(sandbox, upload):
    _, url, _ = upload
    headers = {
        "Content-Type": "video/mp4",
        "Content-Range": f"bytes 0-{MIN_CHUNK - 1}/{len(FILE)}",
        "Transfer-Encoding": "chunked",
    }

    assert put_raw(sandbox, url, headers, b"0\r\n\r\n") == 400


@pytest.mark.parametrize(("rule", "expected"), [("declared", 400), ("any", 206)])
def test_chunk_of_another_size_than_declared_follows_the_switch(sandbox, upload, rule, expected):
    client, url, _ = upload
    sandbox.settings(chunk_lengths=rule)

    assert client.put(url, FIRST[:-1], 0, len(FILE)).status_code == expected


@pytest.mark.parametrize("change", [("upload_id=", "upload_id=9"), ("upload_token=", "upload_token=x")])
def test_unknown_upload_is_404(upload, change):
    client, url, _ = upload

    assert client.put(url.replace(*change), FIRST, 0, len(FILE)).status_code == 404


@pytest.mark.quirk(38)
@pytest.mark.parametrize(("later", "expected"), [(3_590, 206), (3_610, 403)])
def test_upload_url_lives_one_hour(sandbox, upload, later, expected):
    client, url, _ = upload
    sandbox.settings(clock_offset=later)

    assert client.put(url, FIRST, 0, len(FILE)).status_code == expected


@pytest.mark.quirk(38)
def test_upload_url_has_at_most_256_characters_and_an_own_path(sandbox, upload):
    _, url, _ = upload

    assert len(url) <= 256
    assert url.startswith(f"{sandbox.url}/upload/?upload_id=")


@pytest.mark.quirk(38)
@pytest.mark.parametrize(
    ("fate", "expected"),
    [("fail", ("FAILED", "internal")), ("stay", ("PROCESSING_UPLOAD", ""))],
)
def test_task_of_an_unfinished_upload_meets_its_fate(sandbox, upload, fate, expected):
    client, _, publish_id = upload
    sandbox.settings(unfinished_upload=fate, clock_offset=3_610)

    status = client.status(publish_id)

    assert (status["status"], status["fail_reason"]) == expected


def test_expired_upload_url_by_control_is_403(sandbox, upload):
    client, url, publish_id = upload
    sandbox.settings(unfinished_upload="stay")
    client.put(url, FIRST, 0, len(FILE))
    sandbox.control("POST", f"/tasks/{publish_id}/expire-upload")

    assert client.put(url, LAST, MIN_CHUNK, len(FILE)).status_code == 403


def test_broken_chunk_leaves_no_trace(sandbox, upload):
    client, url, publish_id = upload
    host, port = sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as sock:
        head = (
            f"PUT {path_of(url)} HTTP/1.1\r\nHost: x\r\nContent-Type: video/mp4\r\n"
            f"Content-Length: {MIN_CHUNK}\r\nContent-Range: bytes 0-{MIN_CHUNK - 1}/{len(FILE)}\r\n\r\n"
        )
        sock.sendall(head.encode() + b"x" * 3_000_000)
    eventually(
        lambda: sandbox.control("GET", "/requests", endpoint="upload")["entries"], lambda entries: entries
    )

    assert client.status(publish_id)["uploaded_bytes"] == 0
    assert client.put(url, FIRST, 0, len(FILE)).status_code == 206
    assert client.put(url, LAST, MIN_CHUNK, len(FILE)).status_code == 201
    assert sandbox.posts()[0]["sha256"] == hashlib.sha256(FILE).hexdigest()
    assert kept_file(sandbox) == FILE


@pytest.mark.quirk(37)
def test_newer_request_for_a_chunk_takes_over_from_one_that_hangs(sandbox, upload):
    client, url, publish_id = upload
    host, port = sandbox.url.removeprefix("http://").split(":")
    head = (
        f"PUT {path_of(url)} HTTP/1.1\r\nHost: x\r\nContent-Type: video/mp4\r\n"
        f"Content-Length: {MIN_CHUNK}\r\nContent-Range: bytes 0-{MIN_CHUNK - 1}/{len(FILE)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as hanging:
        hanging.sendall(head.encode() + b"x" * 2_000_000)
        wait_for_incoming(sandbox, publish_id)

        assert client.put(url, FIRST, 0, len(FILE)).status_code == 206
        assert hanging.recv(100).startswith(b"HTTP/1.1 416")
    client.put(url, LAST, MIN_CHUNK, len(FILE))
    assert sandbox.posts()[0]["sha256"] == hashlib.sha256(FILE).hexdigest()
    assert kept_file(sandbox) == FILE


@pytest.mark.quirk(37)
def test_parallel_requests_for_one_chunk_store_it_once(sandbox, upload):
    client, url, publish_id = upload
    headers = {"Content-Type": "video/mp4", "Content-Range": f"bytes 0-{MIN_CHUNK - 1}/{len(FILE)}"}
    statuses: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: statuses.append(
                requests.put(url, data=FIRST, headers=headers, timeout=20).status_code
            )
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [206, 416, 416, 416]
    assert client.status(publish_id)["uploaded_bytes"] == MIN_CHUNK


def test_chunk_log_tells_what_was_tried(sandbox, upload):
    client, url, publish_id = upload
    client.put(url, LAST, MIN_CHUNK, len(FILE))
    client.put(url, FIRST, 0, len(FILE))
    client.put(url, LAST, MIN_CHUNK, len(FILE))

    task = sandbox.control("GET", f"/tasks/{publish_id}")

    assert [(c["index"], c["status"]) for c in task["chunks"]] == [(1, 416), (0, 206), (1, 201)]
    assert task["stored_bytes"] == len(FILE)
    assert "upload_token" not in task


def test_slow_upload_shows_only_whole_chunks_as_progress(sandbox, upload):
    client, url, publish_id = upload
    sandbox.settings(upload_bytes_per_second=MIN_CHUNK)
    headers = {"Content-Type": "video/mp4", "Content-Range": f"bytes 0-{MIN_CHUNK - 1}/{len(FILE)}"}

    with pytest.raises(requests.ReadTimeout):
        requests.put(url, data=FIRST, headers=headers, timeout=(5, 0.3))
    early = client.status(publish_id)["uploaded_bytes"]
    sandbox.settings(upload_bytes_per_second=None)

    assert early == 0
    assert client.put(url, FIRST, 0, len(FILE)).status_code == 206


def test_upload_that_ends_after_a_reset_posts_nothing(sandbox, client):
    body = FILE[:2_000_000]
    data = client.init(len(body)).json()["data"]
    url = data["upload_url"]
    host, port = sandbox.url.removeprefix("http://").split(":")
    head = (
        f"PUT {path_of(url)} HTTP/1.1\r\nHost: x\r\nContent-Type: video/mp4\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\nContent-Range: bytes 0-{len(body) - 1}/{len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(head.encode() + body[:1_000_000])
        wait_for_incoming(sandbox, data["publish_id"])
        sandbox.control("POST", "/reset")
        sock.sendall(body[1_000_000:])
        sock.recv(100)

    assert sandbox.control("GET", "/tasks") == []
    assert sandbox.posts() == []


def test_chunk_of_a_failed_task_is_404(sandbox, upload):
    client, url, publish_id = upload
    sandbox.control("POST", f"/tasks/{publish_id}/fail", {"reason": "internal"})

    assert client.put(url, FIRST, 0, len(FILE)).status_code == 404


def test_discarded_bodies_are_counted_and_hashed_but_not_kept(sandbox, client):
    sandbox.settings(keep_bodies=False)

    client.publish(b"z" * 5000)
    post = sandbox.posts()[0]

    assert (post["size"], post["sha256"]) == (5000, hashlib.sha256(b"z" * 5000).hexdigest())
    assert requests.get(f"{sandbox.url}/media/{post['post_id']}/0", timeout=10).status_code == 404


def test_bodies_need_not_be_hashed(sandbox, client):
    sandbox.settings(hash_bodies=False)

    client.publish(b"z" * 5000)

    assert (sandbox.posts()[0]["size"], sandbox.posts()[0]["sha256"]) == (5000, "")
