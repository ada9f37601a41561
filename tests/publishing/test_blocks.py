"""Reading stored files by range, from a disk and over S3's protocol on a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from storages.backends.s3 import S3Storage

from publishing import engine
from publishing.blocks import BLOCK_BYTES, FileChangedError, read_blocks
from publishing.models import Delivery
from publishing.states import DeliveryState

CONTENT = bytes(range(256)) * 4096  # 1 MiB
ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"


class Bucket(ThreadingHTTPServer):
    """One object of CONTENT behind GETs with a range; `refusal` is a status and a code to answer instead."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ranges: list[str] = []
        self.refusal: tuple[int, str] | None = None


class _Handler(BaseHTTPRequestHandler):
    server: Bucket

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.ranges.append(asked)
        if self.server.refusal is not None:
            status, code = self.server.refusal
            self._answer(status, ERROR.format(code=code).encode())
            return
        first, last = (int(number) for number in asked.removeprefix("bytes=").split("-"))
        self._answer(206, CONTENT[first : last + 1])

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    server = Bucket()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture
def objects(bucket: Bucket) -> Iterator[S3Storage]:
    """The storage that the product uses with S3_BUCKET set."""
    storage = S3Storage(
        bucket_name="films",
        endpoint_url=f"http://127.0.0.1:{bucket.server_port}",
        region_name="us-east-1",
        access_key="key",
        secret_key="secret",
        client_config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    yield storage
    storage.connection.meta.client.close()


def test_an_object_is_asked_for_its_range_alone_and_comes_in_blocks(objects, bucket):
    blocks = [bytes(block) for block in read_blocks(objects, "a.mp4", first=1000, size=600_000)]

    assert b"".join(blocks) == CONTENT[1000:601_000]
    assert bucket.ranges == ["bytes=1000-600999"]
    assert max(len(block) for block in blocks) <= BLOCK_BYTES


def test_a_disk_is_read_in_blocks_of_a_quarter_of_a_mebibyte(tmp_path):
    storage = FileSystemStorage(tmp_path)
    storage.save("a.mp4", ContentFile(CONTENT))

    sizes, content = [], b""
    for block in read_blocks(storage, "a.mp4", first=100_000, size=600_000):
        sizes.append(len(block))
        content += block  # a block is valid until the next one

    assert content == CONTENT[100_000:700_000]
    assert sizes == [256 * 1024, 256 * 1024, 600_000 - 512 * 1024]


@pytest.mark.parametrize("refusal", [(404, "NoSuchKey"), (416, "InvalidRange")])
def test_an_object_that_is_gone_or_cut_short_has_changed(objects, bucket, refusal):
    bucket.refusal = refusal

    with pytest.raises(FileChangedError):
        list(read_blocks(objects, "a.mp4", first=0, size=1000))


@pytest.mark.parametrize("refusal", [(503, "SlowDown"), (500, "InternalError"), (403, "AccessDenied")])
def test_a_store_in_trouble_is_not_taken_for_a_file_that_is_gone(objects, bucket, refusal):
    bucket.refusal = refusal

    with pytest.raises(ClientError):
        list(read_blocks(objects, "a.mp4", first=0, size=1000))


@pytest.mark.django_db
def test_a_post_waits_for_a_store_in_trouble_says_so_and_goes_out(
    acme, connect, make_delivery, tiktok, objects, bucket, monkeypatch
):
    delivery = make_delivery(acme, connection=connect(acme))
    video = delivery.post.video
    real = read_blocks
    monkeypatch.setattr(
        "publishing.sending.read_blocks",
        lambda storage, name, **wanted: real(objects, name, **wanted),
    )
    bucket.refusal = (503, "SlowDown")

    assert engine.advance_delivery(delivery.pk) == "unexpected error"
    waiting = Delivery.objects.get(pk=delivery.pk)
    bucket.refusal = None
    Delivery.objects.update(wake_at=waiting.state_changed_at)

    assert (waiting.state, waiting.committed_at) == (DeliveryState.UPLOADING, None)
    assert "tries again by itself" in waiting.reason_message
    assert engine.advance_delivery(delivery.pk) == "published"
    assert [task["stored_bytes"] for task in tiktok.control("GET", "/tasks")] == [video.total_bytes]
