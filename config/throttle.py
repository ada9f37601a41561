"""How often one person may do what costs much: asking a platform for access, sending a post."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

WINDOW_S = 3600
P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def hit(action: str, user_id: object) -> int:
    """Count one `action` of a user; return 0 if it is within the limit, else the seconds until the hour is over.

    Hours are fixed ones: at the turn of an hour up to twice the limit may pass within it.
    """
    limit = settings.USER_RATE_LIMITS[action]
    if not limit:
        return 0
    hour, spent = divmod(int(time.time()), WINDOW_S)
    key = f"user-rate:{action}:{user_id}:{hour}"
    cache.add(key, 0, timeout=WINDOW_S)
    try:
        count = cache.incr(key)
    except ValueError:  # forgotten between the two
        return 0
    return WINDOW_S - spent if count > limit else 0


def limit_posts(action: str) -> Callable[[View[P]], View[P]]:
    """Decorate a view: POSTs beyond the limit of `action` (see USER_RATE_LIMITS) get the page 429, with Retry-After.

    The body of a refused request is not read.
    """

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def limited(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            wait = hit(action, request.user.pk) if request.method == "POST" else 0
            return too_many(request, wait) if wait else view(request, *args, **kwargs)

        return limited

    return decorate


def too_many(request: HttpRequest, wait: int) -> HttpResponse:
    """Return the page that says how many seconds, in minutes, to wait."""
    context = {"minutes": -(-wait // 60)}
    response = render(request, "429.html", context, status=429)
    response.headers["Retry-After"] = str(wait)
    return response
