"""TikTok's answers for the posting page, faked at the wire; fixtures to import where they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import responses
from django.conf import settings as configured
from django.test import Client

from accounts.models import User
from connections.providers import provider_for

CREATOR_PATH = "/v2/post/publish/creator_info/query/"
LOG_ID = "20261121081235AB12CD34EF56AB12CD34"
LEVELS = ["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]


def creator_answer(**changes: Any) -> dict[str, Any]:
    """A public creator's answer, changed as told."""
    data = {
        "creator_avatar_url": "https://p16.example/avatar.jpeg",
        "creator_username": "noramoves",
        "creator_nickname": "Nora Moves",
        "privacy_level_options": LEVELS,
        "comment_disabled": False,
        "duet_disabled": False,
        "stitch_disabled": False,
        "max_video_post_duration_sec": 300,
    }
    return {"data": data | changes, "error": {"code": "ok", "message": "", "log_id": LOG_ID}}


def refusal(code: str) -> dict[str, Any]:
    """A refusal in TikTok's envelope."""
    return {"data": {}, "error": {"code": code, "message": "no", "log_id": LOG_ID}}


class CreatorWire:
    """What creator_info answers from now on."""

    def __init__(self, wire: responses.RequestsMock) -> None:
        self._wire = wire
        self._url = configured.TIKTOK_API_URL + CREATOR_PATH

    def answers(self, *, status: int = 200, json: dict[str, Any] | None = None, **changes: Any) -> None:
        """Answer with a creator, changed as told, or with `json`."""
        self._wire.remove(responses.POST, self._url)
        self._wire.post(self._url, json=json or creator_answer(**changes), status=status)

    def is_silent(self) -> None:
        """Break every connection."""
        self._wire.remove(responses.POST, self._url)
        self._wire.post(self._url, body=ConnectionError("reset by peer"))

    @property
    def call_count(self) -> int:
        """How often creator_info was asked."""
        return sum(CREATOR_PATH in str(call.request.url) for call in self._wire.calls)


@pytest.fixture
def creator() -> Iterator[CreatorWire]:
    """TikTok's wire with a public creator; what a test does not register is refused."""
    provider_for.cache_clear()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as wire:
        wire.get("https://p16.example/avatar.jpeg", status=404)
        creator = CreatorWire(wire)
        wire.post(configured.TIKTOK_API_URL + CREATOR_PATH, json=creator_answer())
        yield creator
    provider_for.cache_clear()


@pytest.fixture
def browser_of() -> Callable[[User], Client]:
    """Return a maker of browsers in which a user is logged in."""

    def log_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return log_in
