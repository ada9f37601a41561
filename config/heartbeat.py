"""Signs of life: each worker process says every few seconds that it lives, and the beat's task does so on its way.

The worker's sign comes from a thread of its own, not from a task: a worker whose every slot sends a large video is
busy, not dead. Ages are measured by Redis's clock, so that machines may disagree about the time.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from dataclasses import dataclass

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

WORKERS = "broadside:heartbeat:workers"
BEAT = "broadside:heartbeat:beat"
DISPATCHER = "broadside:heartbeat:dispatcher"
INTERVAL_SECONDS = 5
STALE_SECONDS = 30


@dataclass(frozen=True)
class Sign:
    """The last sign of life of one process: `name` is host:pid."""

    name: str
    age_seconds: float

    @property
    def is_fresh(self) -> bool:
        """Whether the process may be taken for alive."""
        return self.age_seconds < STALE_SECONDS


def open_redis() -> redis.Redis:
    """A client for REDIS_URL that gives up after seconds, not minutes. The caller closes it."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=3, socket_timeout=3, retry=Retry(NoBackoff(), 1)
    )


def own_name() -> str:
    """This process: host:pid."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _now(client: redis.Redis) -> float:
    seconds, microseconds = client.time()
    return float(seconds) + microseconds / 1e6


def record_worker(name: str) -> None:
    """Say that the worker `name` lives, and forget those that have been silent for an hour. Raises redis.RedisError."""
    with open_redis() as client:
        now = _now(client)
        client.zadd(WORKERS, {name: now})
        client.zremrangebyscore(WORKERS, "-inf", now - 3600)


def forget_worker(name: str) -> None:
    """Take the worker `name` off the list: it says good-bye. Raises redis.RedisError."""
    with open_redis() as client:
        client.zrem(WORKERS, name)


def record_beat() -> None:
    """Say that a task sent by the beat has run. Raises redis.RedisError."""
    _record(BEAT)


def record_dispatcher() -> None:
    """Say that the dispatcher has looked for what is due. Raises redis.RedisError."""
    _record(DISPATCHER)


def _record(key: str) -> None:
    with open_redis() as client:
        client.set(key, _now(client), ex=3600)


def read_workers() -> list[Sign]:
    """The workers that gave a sign within the last hour, the freshest first. Raises redis.RedisError."""
    with open_redis() as client:
        now = _now(client)
        rows: list[tuple[bytes, float]] = client.zrevrange(WORKERS, 0, -1, withscores=True)
    return [Sign(name.decode(), max(0.0, now - seen)) for name, seen in rows]


def read_beat() -> Sign | None:
    """The beat's last sign within the last hour, or None. Raises redis.RedisError."""
    return _read(BEAT, "beat")


def read_dispatcher() -> Sign | None:
    """The dispatcher's last sign within the last hour, or None. Raises redis.RedisError."""
    return _read(DISPATCHER, "dispatcher")


def _read(key: str, name: str) -> Sign | None:
    with open_redis() as client:
        seen = client.get(key)
        return None if seen is None else Sign(name, max(0.0, _now(client) - float(seen)))


class Heartbeat(threading.Thread):
    """Records this worker every few seconds until `stop`. A Redis that is away is waited for."""

    def __init__(self) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._stopping = threading.Event()
        self._name = own_name()
        self._was_heard = True

    def run(self) -> None:
        """Record, wait, repeat."""
        while True:
            self._record()
            if self._stopping.wait(INTERVAL_SECONDS):
                return

    def stop(self) -> None:
        """Say good-bye and end the thread. Safe to repeat."""
        self._stopping.set()
        self.join(timeout=INTERVAL_SECONDS)
        try:
            forget_worker(self._name)
        except redis.RedisError:
            logger.info("heartbeat of %s was left to expire", self._name)

    def _record(self) -> None:
        try:
            record_worker(self._name)
        except redis.RedisError as error:
            if self._was_heard:
                logger.warning("heartbeat cannot be recorded: %s", type(error).__name__)
            self._was_heard = False
            return
        if not self._was_heard:
            logger.info("heartbeat is recorded again")
        self._was_heard = True
