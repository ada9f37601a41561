"""Rows for publishing tests: a connection, a stored video, a delivery, each asking only for what the test is about."""

from __future__ import annotations

import hashlib
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone

from accounts.models import Workspace
from connections.crypto import seal
from connections.models import SocialConnection
from connections.providers import provider_for
from publishing.models import Delivery, Post, Video
from tests.publishing.clamav import Clamd, find_clamd
from tests.publishing.wire import browser_of, creator  # noqa: F401  # fixtures
from tests.sandbox.conftest import sandbox, sandbox_process  # noqa: F401  # fixtures
from tests.sandbox.process import CLIENT_KEY, CLIENT_SECRET, SandboxProcess

MakeConnection = Callable[..., SocialConnection]
MakeVideo = Callable[..., Video]
MakeDelivery = Callable[..., Delivery]

ALL_SCOPES = ["user.info.basic", "user.info.profile", "video.list", "video.upload", "video.publish"]


@pytest.fixture
def make_connection() -> MakeConnection:
    """Return a maker of active TikTok connections with live tokens."""

    def make(workspace: Workspace, **fields: Any) -> SocialConnection:
        access_token = fields.pop("access_token", f"act.{uuid.uuid4().hex}")
        refresh_token = fields.pop("refresh_token", f"rft.{uuid.uuid4().hex}")
        values = {
            "provider": "tiktok",
            "provider_account_id": f"-000{uuid.uuid4().hex}",
            "scopes": ALL_SCOPES,
            "access_expires_at": timezone.now() + timedelta(hours=2),
            "refresh_expires_at": timezone.now() + timedelta(days=180),
            "creator_info": {},
        } | fields
        row = SocialConnection(workspace=workspace, **values)
        row.access_token = seal(row, "access_token", access_token)
        row.refresh_token = seal(row, "refresh_token", refresh_token)
        row.save()
        return row

    return make


@pytest.fixture
def make_video() -> MakeVideo:
    """Return a maker of stored videos. Their bytes are no film: the engine only moves them."""

    def make(workspace: Workspace, content: bytes = b"not really a film " * 100, **fields: Any) -> Video:
        values = {
            "original_name": "clip.mp4",
            "content_type": "video/mp4",
            "total_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "duration_ms": 5_000,
            "width": 720,
            "height": 1280,
            "frame_rate": 30.0,
            "container": "mp4",
            "video_codec": "h264",
        } | fields
        video = Video(workspace=workspace, **values)
        video.file.save("clip.mp4", ContentFile(content), save=False)
        video.save()
        return video

    return make


@pytest.fixture
def make_delivery(make_connection: MakeConnection, make_video: MakeVideo) -> MakeDelivery:
    """Return a maker of deliveries, due now unless `wake_at` says otherwise."""

    def make(workspace: Workspace, **fields: Any) -> Delivery:
        connection = fields.pop("connection", None) or make_connection(workspace)
        video = fields.pop("video", None) or make_video(workspace)
        post = Post.objects.create(workspace=workspace, video=video, caption=fields.pop("caption", "hello"))
        values = {
            "options": {"privacy_level": "SELF_ONLY"},
            "total_bytes": video.total_bytes,
            "wake_at": timezone.now() - timedelta(seconds=1),
        } | fields
        return Delivery.objects.create(workspace=workspace, post=post, connection=connection, **values)

    return make


@pytest.fixture
def stopped_clamd(settings: Any) -> Iterator[Clamd]:
    """A real clamd that the product is pointed at, and that does not run yet."""
    find_clamd()
    with tempfile.TemporaryDirectory(prefix="clamd-") as home:
        daemon = Clamd(Path(home))
        settings.CLAMAV_URL = daemon.url
        yield daemon
        daemon.stop()


@pytest.fixture
def clamd(stopped_clamd: Clamd) -> Clamd:
    """The same, running."""
    stopped_clamd.start()
    return stopped_clamd


@pytest.fixture
def tiktok(
    sandbox: SandboxProcess,  # noqa: F811
    settings: Any,
) -> Iterator[SandboxProcess]:
    """The product pointed at the sandbox, which has let the app post publicly and takes any bytes for a video."""
    settings.TIKTOK_CLIENT_KEY = CLIENT_KEY
    settings.TIKTOK_CLIENT_SECRET = CLIENT_SECRET
    settings.TIKTOK_API_URL = sandbox.url
    settings.TIKTOK_AUTHORIZE_URL = f"{sandbox.url}/v2/auth/authorize/"
    provider_for.cache_clear()
    sandbox.settings(audited=True, posts_per_day=None, pending_drafts=None, keep_bodies=False)
    yield sandbox
    provider_for.cache_clear()


@pytest.fixture
def connect(tiktok: SandboxProcess, make_connection: MakeConnection) -> MakeConnection:
    """Return a maker of connections whose tokens the sandbox really issued, by default for its public creator."""

    def make(
        workspace: Workspace,
        creator: str = "demo.public",  # noqa: F811
        **fields: Any,
    ) -> SocialConnection:
        answer = tiktok.tokens(creator, scopes=fields.get("scopes", ALL_SCOPES))
        return make_connection(
            workspace,
            access_token=answer["access_token"],
            refresh_token=answer["refresh_token"],
            provider_account_id=answer["open_id"],
            **{"profile": {"username": creator}} | fields,
        )

    return make


@pytest.fixture
def pulls(tiktok: SandboxProcess, live_server: Any, settings: Any) -> str:
    """The product on a real port, whose address the sandbox takes for verified; return the prefix."""
    prefix = f"{live_server.url}/media/pull/"
    settings.TIKTOK_PULL_URL_PREFIX = prefix
    provider_for.cache_clear()
    tiktok.settings(pull_insecure=True, keep_bodies=True)
    tiktok.control("POST", "/apps", {"client_key": CLIENT_KEY, "verified_prefixes": [prefix]})
    return prefix


@pytest.fixture
def slow_download(pulls: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Hold every fetch of a file until the event is set."""
    from publishing import pull_views

    may_go, real = threading.Event(), pull_views.find_media

    def find(token: str) -> Any:
        may_go.wait(20)
        return real(token)

    monkeypatch.setattr(pull_views, "find_media", find)
    yield may_go
    may_go.set()
