"""PUT of chunks to the upload URL.

https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide
"""

from __future__ import annotations

import asyncio
import re
from typing import Any
from weakref import WeakKeyDictionary

from starlette.requests import ClientDisconnect

from sandbox import lifecycle, media
from sandbox.bodies import Chunk, Sink
from sandbox.chunks import chunk_bounds
from sandbox.models import Task
from sandbox.wire import Answer, Request
from sandbox.world import World

CONTENT_TYPES = {"video/mp4", "video/quicktime", "video/webm"}
CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")


class UploadError(Exception):
    """A refused PUT: its status, and why (for the control page; the wire has no text)."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class Writer:
    """The right to write one task's file, held by one request at a time."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.sink: Sink | None = None
        self.copying: asyncio.Task[Any] | None = None
        self.interrupted: asyncio.Task[Any] | None = None
        self.chunk: Chunk | None = None

    def interrupt(self) -> None:
        """Make way for a newer request for the same chunk: the older may hang on a client that is gone."""
        if self.copying is not None:
            self.interrupted = self.copying
            self.copying.cancel()


_writers: WeakKeyDictionary[Any, dict[str, Writer]] = WeakKeyDictionary()


async def put(world: World, request: Request) -> Answer:
    """PUT /upload/: 206 while more is expected, 201 at the end, the literal `null` as body."""
    task = find_task(world, request)
    if task is not None:
        request.notes |= {"creator": task.handle, "publish_id": task.publish_id}
    try:
        if task is None:
            raise UploadError(404, "no such upload")
        _check_task(world, task)
        first, last = _check_headers(world, request, task)
        await _receive(world, request, task, first, last)
    except UploadError as error:
        if task is not None:
            _log_chunk(world, task, request, error.status, error.why)
        return _answer(world, task, error.status, error.why)
    status = 201 if task.stored_bytes == task.video_size else 206
    return _answer(world, task, status, "ok")


def find_task(world: World, request: Request) -> Task | None:
    """The task that the URL's id and token name together."""
    task = world.uploads.get(request.query.get("upload_id", ""))
    return task if task is not None and task.upload_token == request.query.get("upload_token") else None


def incoming_bytes(world: World, task: Task) -> int:
    """How much of a chunk has come in that is not whole yet."""
    writer = _writers.get(world, {}).get(task.publish_id)
    return writer.chunk.size if writer is not None and writer.chunk is not None else 0


def next_index(task: Task) -> int:
    """Which chunk comes next, counted from 0."""
    return min(task.stored_bytes // task.chunk_size, task.total_chunk_count - 1)


def requested_index(task: Task, request: Request) -> int | None:
    """The chunk that the Content-Range speaks of."""
    found = CONTENT_RANGE.fullmatch(request.headers.get("content-range", ""))
    return min(int(found[1]) // task.chunk_size, task.total_chunk_count - 1) if found else None


def _check_task(world: World, task: Task) -> None:
    lifecycle.settle_task(world, task)
    if task.upload_expires_at <= world.now():
        raise UploadError(403, "upload URL expired")
    if task.status == "FAILED":
        raise UploadError(404, "the task is over")


def _check_headers(world: World, request: Request, task: Task) -> tuple[int, int]:
    """The chunk's first and last byte. UploadError 400: bad headers; 416: not the bytes that come next."""
    headers, settings = request.headers, world.settings
    if "content-range" not in headers:
        raise UploadError(416, "no Content-Range")
    if settings.refuse_upload_authorization and "authorization" in headers:
        raise UploadError(400, "Authorization sent to the upload host")
    if headers.get("content-type", "").partition(";")[0].strip().lower() not in CONTENT_TYPES:
        raise UploadError(400, "Content-Type is none of video/mp4, video/quicktime, video/webm")
    found = CONTENT_RANGE.fullmatch(headers["content-range"])
    if found is None:
        raise UploadError(400, "malformed Content-Range")
    first, last, total = map(int, found.groups())
    if not headers.get("content-length", "").isdigit():
        raise UploadError(400, "no Content-Length")
    if last < first or total != task.video_size or last >= total:
        raise UploadError(416, "Content-Range outside of the declared file")
    if int(headers["content-length"]) != last - first + 1:
        raise UploadError(400, "Content-Length differs from Content-Range")
    if first != task.stored_bytes:
        raise UploadError(416, "not the next byte")
    if settings.chunk_lengths == "declared" and last != _declared_last(task):
        raise UploadError(400, "not the declared chunk size")
    return first, last


def _declared_last(task: Task) -> int:
    _, last = chunk_bounds(
        next_index(task), video_size=task.video_size, chunk_size=task.chunk_size, count=task.total_chunk_count
    )
    return last


async def _receive(world: World, request: Request, task: Task, first: int, last: int) -> None:
    """Stream the body into the file; afterwards the task knows it."""
    writer = _writers.setdefault(world, {}).setdefault(task.publish_id, Writer())
    writer.interrupt()
    async with writer.lock:
        if first != task.stored_bytes:
            raise UploadError(416, "another request stored this chunk")
        if writer.sink is None:
            writer.sink = await _open_sink(world, task)
        chunk = writer.chunk = writer.sink.open_chunk()
        try:
            await _copy(request, writer, chunk, last - first + 1, world.settings.upload_bytes_per_second)
            await chunk.keep()
        except BaseException:
            await chunk.drop()
            raise
        finally:
            writer.chunk = None
        task.stored_bytes = writer.sink.size
        task.content_type = request.headers["content-type"].partition(";")[0].strip().lower()
        _log_chunk(world, task, request, 206 if task.stored_bytes < task.video_size else 201, "")
        if task.stored_bytes == task.video_size:
            await _complete(world, task, writer.sink)
            _writers[world].pop(task.publish_id, None)
        world.save(task)


async def _copy(request: Request, writer: Writer, chunk: Chunk, length: int, rate: int | None) -> None:
    """Body to chunk, at most `rate` bytes a second.

    UploadError: 400 for a wrong length, 416 where a newer request took over.
    """
    copying = writer.copying = asyncio.current_task()
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            await chunk.write(message.get("body", b""))
            if rate:
                await asyncio.sleep(chunk.size / rate - (loop.time() - began))
            if chunk.size > length:
                raise UploadError(400, "more bytes than announced")
            if not message.get("more_body"):
                break
    except asyncio.CancelledError:
        if copying is None or writer.interrupted is not copying:
            raise
        copying.uncancel()
        raise UploadError(416, "a newer request took over") from None
    finally:
        writer.copying = None
    if chunk.size != length:
        raise UploadError(400, "fewer bytes than announced")


async def _complete(world: World, task: Task, sink: Sink) -> None:
    task.sha256 = sink.sha256()
    kept = world.settings.keep_bodies
    name = file_name(task, 0)
    facts = await media.probe_video(world.media_dir / name) if kept else {"discarded": True}
    task.files = [
        {
            "name": name if kept else "",
            "type": task.content_type,
            "bytes": sink.size,
            "sha256": task.sha256,
            **facts,
        }
    ]
    lifecycle.begin_processing(world, task)


async def _open_sink(world: World, task: Task) -> Sink:
    settings = world.settings
    path = world.media_dir / file_name(task, 0) if settings.keep_bodies else None
    sink = Sink(path, hashing=settings.hash_bodies)
    if task.stored_bytes:
        await sink.catch_up(task.stored_bytes)
    return sink


def file_name(task: Task, index: int) -> str:
    """Where the bytes of a task's file number `index` lie, inside the media folder."""
    return f"{task.publish_id.rpartition('.')[2]}-{index}"


def _log_chunk(world: World, task: Task, request: Request, status: int, why: str) -> None:
    task.chunks.append(
        {
            "at": world.now(),
            "index": requested_index(task, request),
            "range": request.headers.get("content-range", ""),
            "status": status,
            "why": why,
        }
    )
    world.save(task)


def _answer(world: World, task: Task | None, status: int, code: str) -> Answer:
    headers = {}
    if task is not None and task.stored_bytes:
        shown = task.stored_bytes - (world.settings.range_header == "last_index")
        headers["Content-Range"] = f"bytes 0-{shown}/{task.video_size}"
    elif task is not None and status == 416:
        headers["Content-Range"] = f"bytes */{task.video_size}"
    return Answer(status, b"null", "application/json", headers, code=code)
