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
    return _count(action, user_id)[0]


def _count(action: str, user_id: object) -> tuple[int, bool]:
    """Return what `hit` does, and whether it is beyond the limit by as much again."""
    limit = settings.USER_RATE_LIMITS[action]
    if not limit:
        return 0, False
    hour, spent = divmod(int(time.time()), WINDOW_S)
    key = f"user-rate:{action}:{user_id}:{hour}"
    cache.add(key, 0, timeout=WINDOW_S)
    try:
        count = cache.incr(key)
    except ValueError:  # forgotten between the two
        return 0, False
    return (WINDOW_S - spent if count > limit else 0), count > 2 * limit


def limit_posts(action: str, *, is_form_kept: bool = False) -> Callable[[View[P]], View[P]]:
    """Decorate a view: POSTs beyond the limit of `action` (see USER_RATE_LIMITS) get the page 429, with Retry-After.

    The body of a refused request is not read. With `is_form_kept` the view itself has to refuse: it asks `wait_of` and
    shows its form again, so that nothing typed is lost. Who goes on to twice the limit gets the page all the same.
    """

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def limited(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            wait, is_flood = _count(action, request.user.pk) if request.method == "POST" else (0, False)
            if wait and (is_flood or not is_form_kept):
                return too_many(request, wait)
            request.throttled_for = wait  # type: ignore[attr-defined]
            response = view(request, *args, **kwargs)
            if wait:
                response.headers["Retry-After"] = str(wait)
            return response

        return limited

    return decorate


def wait_of(request: HttpRequest) -> int:
    """Return for how many seconds a view under `limit_posts(is_form_kept=True)` must refuse; 0 if it need not."""
    return int(getattr(request, "throttled_for", 0))


def words_for(wait: int) -> str:
    """Say how long to wait, beside a form that keeps what was typed."""
    minutes = -(-wait // 60)
    return (
        f"That were too many posts within an hour. Publish again in {minutes} minute{'s' if minutes > 1 else ''}; "
        "nothing that you filled in is lost."
    )


def too_many(request: HttpRequest, wait: int) -> HttpResponse:
    """Return the page that says how many seconds, in minutes, to wait."""
    context = {"minutes": -(-wait // 60)}
    response = render(request, "429.html", context, status=429)
    response.headers["Retry-After"] = str(wait)
    return response
