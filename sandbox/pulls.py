"""PULL_FROM_URL: fetching media from the app's own host, redirects off.

https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide
"""

from __future__ import annotations

import asyncio

from sandbox import lifecycle, media, outbound
from sandbox.bodies import Sink
from sandbox.chunks import MAX_FILE
from sandbox.models import Task
from sandbox.uploads import file_name
from sandbox.world import World

MAX_PHOTO_BYTES = 20 * 1024 * 1024

_running: dict[str, asyncio.Task[None]] = {}


class PullError(Exception):
    """The download ended a publish task; the text is TikTok's fail reason."""


def start(world: World, task: Task) -> None:
    """Begin to fetch a task's media in the background."""
    _running[task.publish_id] = job = asyncio.get_running_loop().create_task(_pull(world, task))
    job.add_done_callback(lambda _: _running.pop(task.publish_id, None))


def stop(task: Task) -> None:
    """Give up a running download."""
    if job := _running.pop(task.publish_id, None):
        job.cancel()


def start_over(world: World) -> None:
    """Reset the world, and whatever is still on its way into it."""
    for job in _running.values():
        job.cancel()
    world.reset()


def resume(world: World) -> None:
    """Begin again what a stop of the process broke off."""
    for task in world.tasks.values():
        if task.status == "PROCESSING_DOWNLOAD" and task.due_at is None:
            start(world, task)


async def _pull(world: World, task: Task) -> None:
    failed = f"{task.media}_pull_failed"
    task.files, task.stored_bytes = [], 0
    try:
        async with asyncio.timeout(world.settings.pull_seconds):
            for index, url in enumerate(task.urls):
                await _fetch(world, task, index, url)
    except (outbound.OutboundError, TimeoutError, OSError):
        _end(world, task, failed)
    except PullError as error:
        _end(world, task, str(error))
    else:
        if task.is_open:
            task.sha256 = task.files[0]["sha256"]
            lifecycle.begin_processing(world, task)


def _end(world: World, task: Task, reason: str) -> None:
    if task.is_open:
        lifecycle.fail(world, task, reason)


async def _fetch(world: World, task: Task, index: int, url: str) -> None:
    settings = world.settings
    limit = MAX_PHOTO_BYTES if task.media == "photo" else MAX_FILE
    name = file_name(task, index)
    sink = Sink(world.media_dir / name if settings.keep_bodies else None, hashing=settings.hash_bodies)
    chunk = sink.open_chunk()
    head = b""
    try:
        async with outbound.request("GET", url, {"Accept": "*/*"}) as reply:
            if reply.status != 200:
                raise PullError(f"{task.media}_pull_failed")
            async for block in reply.blocks():
                head = head or block[:16]
                await chunk.write(block)
                task.stored_bytes += len(block)
                if chunk.size > limit:
                    raise PullError("file_format_check_failed")
        await chunk.keep()
    except BaseException:
        await chunk.drop()
        raise
    kind = reply.headers.get("content-type", "").partition(";")[0].strip()
    facts = await _facts(world, task, name, head)
    kept = name if settings.keep_bodies else ""
    task.files.append({"name": kept, "type": kind, "bytes": sink.size, "sha256": sink.sha256(), **facts})


async def _facts(world: World, task: Task, name: str, head: bytes) -> dict[str, object]:
    if task.media == "photo":
        if not media.is_photo(head):
            raise PullError("file_format_check_failed")
        return {}
    return (
        await media.probe_video(world.media_dir / name) if world.settings.keep_bodies else {"discarded": True}
    )
