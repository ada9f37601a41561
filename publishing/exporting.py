"""What publishing hands in for an export: posts and their ways, and the files as they came in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.core.files.storage import Storage

from accounts.export_contents import table
from accounts.export_parts import Media, MissingMediaError, Part
from accounts.models import User, Workspace
from publishing.blocks import FileChangedError, read_blocks
from publishing.models import Attempt, Delivery, Photo, Post, Video


def parts(*, workspace: Workspace, person: User | None) -> Iterator[Part]:
    """All of a workspace, or what `person` uploaded and the posts that they made. No upload address is among it."""
    videos = Video.objects.filter(workspace=workspace)
    photos = Photo.objects.filter(workspace=workspace)
    posts = Post.objects.filter(workspace=workspace)
    deliveries = Delivery.objects.filter(workspace=workspace)
    if person is not None:
        videos, photos = videos.filter(uploaded_by=person), photos.filter(uploaded_by=person)
        posts, deliveries = posts.filter(created_by=person), deliveries.filter(post__created_by=person)
    attempts = Attempt.objects.filter(workspace=workspace, delivery__in=deliveries)
    yield table("posts", posts, *_POST)
    yield table("deliveries", deliveries, *_DELIVERY)
    yield table("attempts", attempts, *_ATTEMPT)
    yield table("videos", videos, *_VIDEO)
    yield table("photos", photos, *_PHOTO)
    for video in videos.order_by("pk").iterator():
        yield from _files_of(video)
    for photo in photos.order_by("pk").iterator():
        yield _media("photos", photo.file, photo.total_bytes)


def _files_of(video: Video) -> Iterator[Media]:
    if video.file:
        yield _media("videos", video.file, video.total_bytes)
    if video.poster:
        try:
            size = video.poster.size
        except OSError:
            size = 0  # counted as missing when it is read
        yield _media("posters", video.poster, size)


def _media(folder: str, file: Any, size: int) -> Media:
    name = str(file.name)
    return Media(f"media/{folder}/{name.rsplit('/', 1)[-1]}", size, _reader(file.storage, name, size))


def _reader(storage: Storage, name: str, size: int) -> Callable[[], Iterator[bytes | memoryview]]:
    def blocks() -> Iterator[bytes | memoryview]:
        try:
            yield from read_blocks(storage, name, first=0, size=size)
        except FileChangedError as error:
            raise MissingMediaError(name) from error

    return blocks


_POST = (
    "kind",
    "video_id",
    "title",
    "caption",
    "scheduled_at",
    "created_by_id",
    "created_at",
)
_DELIVERY = (
    "post_id",
    "connection_id",
    "mode",
    "options",
    "state",
    "state_changed_at",
    "hold_reason",
    "publish_id",
    "platform_post_ids",
    "account_username",
    "total_bytes",
    "sent_bytes",
    "reason_code",
    "reason_log_id",
    "reason_message",
    "published_at",
    "created_at",
)
_ATTEMPT = (
    "delivery_id",
    "step",
    "started_at",
    "finished_at",
    "outcome",
    "code",
    "http_status",
    "log_id",
    "message",
    "detail",
    "repeat_count",
)
_VIDEO = (
    "original_name",
    "content_type",
    "total_bytes",
    "sha256",
    "duration_ms",
    "width",
    "height",
    "frame_rate",
    "container",
    "video_codec",
    "audio_codec",
    "uploaded_by_id",
    "created_at",
    "source_removed_at",
)
_PHOTO = (
    "post_id",
    "position",
    "original_name",
    "content_type",
    "total_bytes",
    "sha256",
    "width",
    "height",
    "uploaded_by_id",
    "created_at",
)
