"""Keeping a platform's rate limits before it has to refuse.

One sliding window for each connection and operation, in Redis, shared by all processes.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from functools import cache

from django.conf import settings
from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError

from connections.errors import RateLimitError
from connections.models import SocialConnection
from connections.providers import provider_for
from connections.providers.base import Operation

logger = logging.getLogger(__name__)

MARGIN = timedelta(seconds=1)
"""Added to the platform's window: two requests may come closer together on the way."""


class LocalLimitError(RateLimitError):
    """We would exceed the platform's limit, so nothing was sent. `wait` is when to come again."""


@cache
def _limiter(url: str) -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(RedisStorage(url, wrap_exceptions=False))


def take(connection: SocialConnection, operation: Operation) -> None:
    """Count one call of `operation` for `connection`. Raises LocalLimitError if it has to wait.

    With Redis down nothing is counted and the platform's own refusal is what holds us back.
    """
    limit = provider_for(connection.provider).rate_limits.get(operation)
    if limit is None:
        return
    window = RateLimitItemPerSecond(limit.amount, int((limit.period + MARGIN).total_seconds()))
    names = (str(connection.pk), operation.value)
    try:
        limiter = _limiter(settings.REDIS_URL)
        if limiter.hit(window, *names):
            return
        reset_at = limiter.get_window_stats(window, *names).reset_time
    except RedisError:
        logger.warning("connection=%s %s was not counted, Redis is down", connection.pk, operation.value)
        return
    wait = timedelta(seconds=max(reset_at - time.time(), 0.2))
    raise LocalLimitError(f"{operation.value} waits for the rate limit", wait=wait)
