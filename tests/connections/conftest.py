"""Connections to test with, and TikTok's answers faked at the wire."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from django.test import Client
from django.utils import timezone
from PIL import Image

from accounts.models import User, Workspace
from connections.crypto import seal
from connections.models import SocialConnection
from connections.signals import connection_lost, connection_usable

API = "https://open.tiktokapis.com"
TOKEN_URL = f"{API}/v2/oauth/token/"
REVOKE_URL = f"{API}/v2/oauth/revoke/"
USER_URL = f"{API}/v2/user/info/"
CREATOR_URL = f"{API}/v2/post/publish/creator_info/query/"
AVATAR_URL = "https://p16.tiktokcdn.example/avatar.jpeg"
LOG_ID = "20261121081235AB12CD34EF56AB12CD34"
ALL_SCOPES = [
    "user.info.basic",
    "user.info.profile",
    "user.info.stats",
    "video.list",
    "video.upload",
    "video.publish",
]

MakeConnection = Callable[..., SocialConnection]


def grant(**changes: Any) -> dict[str, Any]:
    """The token endpoint's answer."""
    return {
        "access_token": "act.new-access",
        "expires_in": 7200,
        "open_id": "-000creator",
        "refresh_expires_in": 15552000,
        "refresh_token": "rft.new-refresh",
        "scope": ",".join(ALL_SCOPES),
        "token_type": "Bearer",
    } | changes


def resolve_examples(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name below .example, which no resolver knows, lead to `addresses`: by default a public one."""
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if not str(host).endswith(".example"):
            return real(host, port, *args, **options)
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in addresses or ("93.184.215.14",)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def flat_error(error: str, description: str = "") -> dict[str, str]:
    """OAuth's flat refusal."""
    return {"error": error, "error_description": description, "log_id": LOG_ID}


def enveloped(data: dict[str, Any]) -> dict[str, Any]:
    """A data endpoint's success."""
    return {"data": data, "error": {"code": "ok", "message": "", "log_id": LOG_ID}}


def refusal(code: str) -> dict[str, Any]:
    """A data endpoint's refusal."""
    return {"data": {}, "error": {"code": code, "message": "", "log_id": LOG_ID}}


def user_info(**changes: Any) -> dict[str, Any]:
    """The answer of user/info."""
    user = {
        "open_id": "-000creator",
        "union_id": "union",
        "display_name": "Nora Moves",
        "username": "noramoves",
        "avatar_url": AVATAR_URL,
        "follower_count": 1200,
    }
    return enveloped({"user": user | changes})


def creator_info(**changes: Any) -> dict[str, Any]:
    """The answer of creator_info."""
    data = {
        "creator_avatar_url": AVATAR_URL,
        "creator_username": "noramoves",
        "creator_nickname": "Nora Moves",
        "privacy_level_options": ["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"],
        "comment_disabled": False,
        "duet_disabled": False,
        "stitch_disabled": True,
        "max_video_post_duration_sec": 300,
    }
    return enveloped(data | changes)


def picture(kind: str = "PNG", size: tuple[int, int] = (400, 400)) -> bytes:
    """A picture file."""
    out = BytesIO()
    Image.new("RGB", size, "teal").save(out, kind)
    return out.getvalue()


@pytest.fixture
def tiktok(monkeypatch: pytest.MonkeyPatch) -> Iterator[responses.RequestsMock]:
    """TikTok's wire. What a test does not register is refused. Names below .example lead to a public address."""
    resolve_examples(monkeypatch)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as wire:
        yield wire


@pytest.fixture
def account(tiktok: responses.RequestsMock) -> responses.RequestsMock:
    """TikTok's wire with an account that answers all reads."""
    tiktok.get(USER_URL, json=user_info())
    tiktok.post(CREATOR_URL, json=creator_info())
    tiktok.get(AVATAR_URL, body=picture(), content_type="image/png")
    return tiktok


@pytest.fixture
def make_connection() -> MakeConnection:
    """Return a maker of active TikTok connections with live tokens."""

    def make(workspace: Workspace, **fields: Any) -> SocialConnection:
        access_token = fields.pop("access_token", "act.old-access")
        refresh_token = fields.pop("refresh_token", "rft.old-refresh")
        now = timezone.now()
        values = {
            "provider": "tiktok",
            "provider_account_id": f"-000{uuid.uuid4().hex}",
            "scopes": ALL_SCOPES,
            "refreshed_at": now,
            "connected_at": now,
            "access_expires_at": now + timedelta(hours=2),
            "refresh_expires_at": now + timedelta(days=180),
        } | fields
        row = SocialConnection(workspace=workspace, **values)
        row.access_token = seal(row, "access_token", access_token)
        row.refresh_token = seal(row, "refresh_token", refresh_token)
        row.save()
        return row

    return make


@pytest.fixture
def expired() -> dict[str, Any]:
    """Fields of a connection whose access token is over."""
    now = timezone.now()
    return {"refreshed_at": now - timedelta(hours=3), "access_expires_at": now - timedelta(hours=1)}


@pytest.fixture
def notices() -> Iterator[list[tuple[str, Any]]]:
    """The signals that connections sent: ("lost" or "usable", connection's key)."""
    heard: list[tuple[str, Any]] = []

    def lost(sender: Any, connection: SocialConnection, **_: Any) -> None:
        heard.append(("lost", connection.pk))

    def usable(sender: Any, connection: SocialConnection, **_: Any) -> None:
        heard.append(("usable", connection.pk))

    connection_lost.connect(lost)
    connection_usable.connect(usable)
    yield heard
    connection_lost.disconnect(lost)
    connection_usable.disconnect(usable)


@pytest.fixture
def as_user() -> Callable[[User], Client]:
    """Return a maker of browsers in which a user is logged in."""

    def log_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def browser(alice: User, as_user: Callable[[User], Client]) -> Client:
    """Alice's browser."""
    return as_user(alice)


def begin(client: Client, workspace: Workspace, **data: str) -> dict[str, str]:
    """Start a connect in `client` and return the query of the consent page's address."""
    answer = client.post(f"/w/{workspace.slug}/connections/connect/tiktok/", data)
    assert answer.status_code == 302
    return {name: values[0] for name, values in parse_qs(urlsplit(answer["Location"]).query).items()}


def come_back(client: Client, **query: str) -> Any:
    """Arrive at the callback with `query`."""
    return client.get("/connections/tiktok/callback/", query)
