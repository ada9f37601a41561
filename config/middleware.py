"""Middleware of the wiring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponseBase


class ClosedByDefaultMiddleware(LoginRequiredMiddleware):
    """Django's LoginRequiredMiddleware, which does not look at the session of a request to a public view.

    Django's own reads the user first. A health check with a session cookie would then fail with the database, and a
    restart of every web process would be added to its trouble.
    """

    def process_view(
        self,
        request: HttpRequest,
        view_func: Callable[..., HttpResponseBase],
        view_args: tuple[Any, ...],
        view_kwargs: dict[str, Any],
    ) -> HttpResponseBase | None:
        """None lets the request pass; a response sends it to the log-in page."""
        if not getattr(view_func, "login_required", True):
            return None
        return super().process_view(request, view_func, view_args, view_kwargs)
