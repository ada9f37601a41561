"""Keeping a platform's rate limits before it has to refuse.

One sliding window for each connection and operation, in Redis and by Redis's clock, shared by all processes: the
machines that they run on may disagree about the time.
"""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta
from functools import cache

import redis
from django.conf import settings
from redis.exceptions import RedisError

from connections.errors import RateLimitError
from connections.models import SocialConnection
from connections.providers import provider_for
from connections.providers.base import Operation

logger = logging.getLogger(__name__)

MARGIN = timedelta(seconds=1)
"""Added to the platform's window: two requests may come closer together on the way."""

LEAST_WAIT = timedelta(seconds=0.2)

# One key is one window: a sorted set of calls by their time. All times in microseconds; answers the wait, 0 for none.
_WINDOW = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local amount, period = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - period)
local calls = redis.call('ZCARD', KEYS[1])
if calls >= amount then
    local first = redis.call('ZRANGE', KEYS[1], calls - amount, calls - amount, 'WITHSCORES')
    return math.min(period, math.max(1, first[2] + period - now))
end
if ARGV[3] ~= '' then
    redis.call('ZADD', KEYS[1], now, ARGV[3])
    redis.call('PEXPIRE', KEYS[1], math.ceil(period / 1000))
end
return 0
"""


class LocalLimitError(RateLimitError):
    """We would exceed the platform's limit, so nothing was sent. `wait` is when to come again."""


def take(connection: SocialConnection, operation: Operation) -> None:
    """Count one call of `operation` for `connection`, right before it is made. LocalLimitError: it has to wait.

    With Redis down nothing is counted and the platform's own refusal is what holds us back.
    """
    _ask(connection, operation, call=uuid.uuid4().hex)


def require_room(connection: SocialConnection, operation: Operation) -> None:
    """Count nothing, but raise LocalLimitError if `take` would: before other calls are made in vain."""
    _ask(connection, operation, call="")


def _ask(connection: SocialConnection, operation: Operation, *, call: str) -> None:
    limit = provider_for(connection.provider).rate_limits.get(operation)
    if limit is None:
        return
    period_us = int((limit.period + MARGIN) / timedelta(microseconds=1))
    try:
        window = _client(settings.REDIS_URL).register_script(_WINDOW)
        wait_us = int(
            window(keys=[f"limit:{connection.pk}:{operation.value}"], args=[limit.amount, period_us, call])
        )
    except RedisError:
        logger.warning("connection=%s %s was not counted, Redis is down", connection.pk, operation.value)
        return
    if wait_us:
        wait = max(timedelta(microseconds=wait_us), LEAST_WAIT)
        raise LocalLimitError(f"{operation.value} waits for the rate limit", wait=wait)


@cache
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3)
