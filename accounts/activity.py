"""When and from where each session was last used, for the list of sessions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from allauth.usersessions.models import UserSession
from django.core.cache import cache
from django.http import HttpRequest, HttpResponseBase

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
            UserSession.objects.create_from_request(request)
