"""The cache: Redis, and while Redis is away this process's own memory.

People are let in and limits still count, per process, until Redis is back. What it holds may be lost at any time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

PAUSE_S = 5.0
"""Seconds in which Redis is not asked again after it did not answer: a page must not wait for it ten times."""


class FallbackCache(RedisCache):
    """Django's Redis cache, which turns to memory instead of failing."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._memory = LocMemCache(f"fallback:{server}", params)
        self._away_until = 0.0

    def _ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if time.monotonic() >= self._away_until:
            try:
                return getattr(super(), name)(*args, **kwargs)
            except RedisError as error:
                self._away_until = time.monotonic() + PAUSE_S
                logger.warning("Redis does not answer (%s): caching in memory", type(error).__name__)
        return getattr(self._memory, name)(*args, **kwargs)


def _forwarded(name: str) -> Callable[..., Any]:
    def method(self: FallbackCache, *args: Any, **kwargs: Any) -> Any:
        return self._ask(name, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"Do `{name}` in Redis, or in memory while Redis is away."
    return method


_OPERATIONS = "add clear delete delete_many get get_many has_key incr set set_many touch"
for _name in _OPERATIONS.split():
    setattr(FallbackCache, _name, _forwarded(_name))
