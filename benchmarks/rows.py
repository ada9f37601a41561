"""Rows to measure with: workspaces, connections that the local TikTok really authorized, videos and posts."""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accounts.models import Workspace
    from benchmarks.running import Demo
    from connections.models import SocialConnection
    from publishing.models import Video

LIFTED = {
    "processing_seconds": 0.0,
    "moderation_seconds": 0.0,
    "keep_bodies": False,
    "hash_bodies": False,
    "media_checks": False,
    "rate_limits_on": False,
    "posts_per_day": None,
}
"""Settings of the local TikTok: no delays, no limits, bytes counted and dropped."""

PUBLIC = {"privacy_level": "PUBLIC_TO_EVERYONE"}


def make_connections(demo: Demo, count: int) -> list[SocialConnection]:
    """Return `count` connections, each in a workspace of its own and to a creator of its own."""
    return [_make_connection(demo, f"bench.{number}") for number in range(count)]


def _make_connection(demo: Demo, handle: str) -> SocialConnection:
    from django.utils import timezone

    from accounts.models import Workspace
    from connections.crypto import seal
    from connections.models import SocialConnection

    workspace = Workspace.objects.create(name=handle, slug=handle.replace(".", "-"))
    demo.control("POST", "/creators", {"handle": handle, "nickname": handle, "max_duration_seconds": 600})
    grant = demo.control("POST", "/tokens", {"creator": handle})
    now = timezone.now()
    row = SocialConnection(
        workspace=workspace,
        provider="tiktok",
        provider_account_id=grant["open_id"],
        scopes=grant["scope"].split(","),
        access_expires_at=now + timedelta(seconds=grant["expires_in"]),
        refresh_expires_at=now + timedelta(seconds=grant["refresh_expires_in"]),
        profile={"username": handle},
        avatar="avatars/none.png",
        is_primary=True,
    )
    row.access_token = seal(row, "access_token", grant["access_token"])
    row.refresh_token = seal(row, "refresh_token", grant["refresh_token"])
    row.save()
    return row


def make_video(workspace: Workspace, size: int) -> Video:
    """Return a video whose file is sparse: the engine only moves its bytes."""
    from publishing.models import Video

    video = Video(
        workspace=workspace,
        original_name="sparse.mp4",
        content_type="video/mp4",
        total_bytes=size,
        sha256="0" * 64,
        duration_ms=5_000,
        width=720,
        height=1280,
        frame_rate=30.0,
        container="mp4",
        video_codec="h264",
    )
    video.file.name = f"videos/{workspace.pk}/{video.pk}.mp4"
    path = Path(video.file.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
    video.save()
    return video


def make_deliveries(
    connections: list[SocialConnection], count: int, size: int, **fields: Any
) -> list[uuid.UUID]:
    """Insert `count` deliveries dealt out over `connections`, one video for each connection; return their ids.

    `fields` are the delivery's; without `wake_at` nobody wakes them.
    """
    from publishing.models import Delivery, Post

    videos = {one.pk: make_video(one.workspace, size) for one in connections}
    posts, rows = [], []
    for number in range(count):
        connection = connections[number % len(connections)]
        post = Post(workspace=connection.workspace, video=videos[connection.pk], caption=f"measured {number}")
        values = {"options": PUBLIC, "total_bytes": size} | fields
        posts.append(post)
        rows.append(Delivery(workspace=connection.workspace, post=post, connection=connection, **values))
    Post.objects.bulk_create(posts, batch_size=1000)
    Delivery.objects.bulk_create(rows, batch_size=1000)
    return [row.pk for row in rows]
