"""How many scans came to what, over all processes: counters in Redis, which may begin anew with it."""

from __future__ import annotations

import logging

import redis

from config.heartbeat import open_redis

logger = logging.getLogger(__name__)

_KEY = "broadside:scans"


def count(outcome: str) -> None:
    """Count one scan. Without Redis it is not counted."""
    try:
        with open_redis() as client:
            client.hincrby(_KEY, str(outcome), 1)
    except redis.RedisError:
        logger.info("a scan was not counted: Redis does not answer")


def read() -> dict[str, int]:
    """Return the counters by outcome. Raises redis.RedisError."""
    with open_redis() as client:
        return {name.decode(): int(value) for name, value in client.hgetall(_KEY).items()}
