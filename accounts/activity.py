"""When and from where each session was last used, for the list of sessions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from allauth.account.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django.core.cache import cache
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

NOTED_EVERY_S: Final = 300


class SessionActivityMiddleware:
    """Notes the session of a logged-in person every few minutes, not with each request.

    Pages open to everybody are left alone: a health check must not look at sessions.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on."""
        return self._get_response(request)

    def process_view(self, request: HttpRequest, view: Callable[..., Any], *_: Any) -> None:
        """Note the session if that is due."""
        if not getattr(view, "login_required", True) or not request.user.is_authenticated:
            return
        key = request.session.session_key
        if key and cache.add(f"session-noted:{hashlib.sha256(key.encode()).hexdigest()}", 1, NOTED_EVERY_S):
            _note(request, key)


def _note(request: HttpRequest, key: str) -> None:
    """One statement: a session that began before sessions were listed gets its row now."""
    agent_length = UserSession._meta.get_field("user_agent").max_length
    row = UserSession(
        session_key=key,
        user_id=request.user.pk,
        ip=get_adapter().get_client_ip(request),
        user_agent=request.headers.get("User-Agent", "")[:agent_length],
        last_seen_at=timezone.now(),
    )
    UserSession.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=["session_key"],
        update_fields=["user", "ip", "user_agent", "last_seen_at"],
    )
