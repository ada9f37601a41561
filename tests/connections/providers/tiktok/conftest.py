"""A provider with known settings, and TikTok faked at the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import responses

from connections.providers.tiktok.client import TikTokClient
from connections.providers.tiktok.oauth import App, TikTokAuthorizer
from connections.providers.tiktok.provider import TikTokProvider
from tests.connections.providers.tiktok.wire import ACCESS_TOKEN, API, CLIENT_SECRET

SCOPES = (
    "user.info.basic",
    "user.info.profile",
    "user.info.stats",
    "video.list",
    "video.upload",
    "video.publish",
)


@pytest.fixture
def make_provider() -> Callable[..., TikTokProvider]:
    def make(*, pkce: str = "auto", upload_hosts: tuple[str, ...] = (".tiktokapis.com",), **changes: object):
        app: dict[str, Any] = {
            "client_key": "aw123",
            "client_secret": CLIENT_SECRET,
            "redirect_uri": "https://app.example.com/connections/tiktok/callback/",
            "scopes": SCOPES,
            "authorize_url": "https://www.tiktok.com/v2/auth/authorize/",
            "api_url": API,
        }
        return TikTokProvider(App(**(app | changes)), pkce=pkce, upload_hosts=upload_hosts)

    return make


@pytest.fixture
def provider(make_provider: Callable[..., TikTokProvider]) -> TikTokProvider:
    return make_provider()


@pytest.fixture
def authorizer(provider: TikTokProvider) -> TikTokAuthorizer:
    return provider.authorizer()


@pytest.fixture
def client(provider: TikTokProvider) -> TikTokClient:
    return provider.client(access_token=ACCESS_TOKEN, scopes=SCOPES)


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    """TikTok's side: register answers on it, read `calls` from it."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock
