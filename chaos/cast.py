"""Rows to break: accounts whose tokens the local TikTok issued, videos, and posts on their way."""

from __future__ import annotations

import hashlib
import itertools
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile
from django.utils import timezone

from accounts.models import Workspace
from connections.crypto import seal
from connections.models import SocialConnection
from connections.providers.base import PublishMode
from publishing.models import Delivery, Photo, Video
from publishing.services import create_photo_post, create_post
from tests.publishing.pictures import picture
from tests.sandbox.process import SandboxProcess

PUBLIC = {"privacy_level": "PUBLIC_TO_EVERYONE"}
SMALL_BYTES = 100_000
LARGE_BYTES = 16_000_000
"""Three chunks of 5 MB, the last of 6."""

_serial = itertools.count(1)


def make_workspace() -> Workspace:
    """An empty workspace."""
    name = f"chaos-{uuid.uuid4().hex[:10]}"
    return Workspace.objects.create(name=name, slug=name)


def make_connection(workspace: Workspace, tiktok: SandboxProcess, **fields: Any) -> SocialConnection:
    """A creator of its own at the local TikTok, and the connection to it, so that fault rules can mean it alone."""
    handle = f"chaos{next(_serial)}"
    tiktok.control("POST", "/creators", {"handle": handle})
    grant = tiktok.tokens(handle)
    row = SocialConnection(
        workspace=workspace,
        provider="tiktok",
        provider_account_id=grant["open_id"],
        scopes=grant["scope"].split(","),
        profile={"username": handle},
        profile_fetched_at=timezone.now(),
        **{
            "access_expires_at": timezone.now() + timedelta(seconds=grant["expires_in"]),
            "refresh_expires_at": timezone.now() + timedelta(seconds=grant["refresh_expires_in"]),
        }
        | fields,
    )
    row.access_token = seal(row, "access_token", grant["access_token"])
    row.refresh_token = seal(row, "refresh_token", grant["refresh_token"])
    row.save()
    return row


def handle_of(connection: SocialConnection) -> str:
    """The creator's name at the local TikTok."""
    return str(connection.profile["username"])


def make_video(workspace: Workspace, total_bytes: int) -> Video:
    """A sparse file in the storage: its bytes are no film, and the local TikTok does not mind."""
    video = Video(
        workspace=workspace,
        original_name="chaos.mp4",
        content_type="video/mp4",
        total_bytes=total_bytes,
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
        file.truncate(total_bytes)
    video.save()
    return video


def make_delivery(
    connection: SocialConnection, video: Video, *, mode: str = "direct", key: uuid.UUID | None = None
) -> Delivery:
    """A confirmed post, due now. Its caption is its own, by which its copies are counted.

    `key` is that of the form: confirming it again gives the same post.
    """
    key = key or uuid.uuid4()
    post = create_post(
        workspace=connection.workspace,
        user=None,
        video=video,
        connection=connection,
        caption=f"chaos {key}",
        mode=PublishMode(mode),
        options=PUBLIC if mode == "direct" else {},
        submission_key=key,
    )
    return Delivery.objects.select_related("post").get(post=post)


def make_photo_delivery(
    connection: SocialConnection, *, count: int = 2, key: uuid.UUID | None = None
) -> Delivery:
    """A confirmed post of photos, due now, with a caption of its own. `key` as for `make_delivery`."""
    key = key or uuid.uuid4()
    post = create_photo_post(
        workspace=connection.workspace,
        user=None,
        photos=[_make_photo(connection.workspace, shade) for shade in range(count)],
        connection=connection,
        title="Chaos",
        caption=f"chaos {key}",
        mode=PublishMode.DIRECT,
        options=PUBLIC,
        submission_key=key,
    )
    return Delivery.objects.select_related("post").get(post=post)


def _make_photo(workspace: Workspace, shade: int) -> Photo:
    content = picture(shade=shade)
    photo = Photo(
        workspace=workspace,
        original_name="chaos.jpg",
        content_type="image/jpeg",
        total_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        width=90,
        height=160,
    )
    photo.file.save("chaos.jpg", ContentFile(content), save=False)
    photo.save()
    return photo
