"""How many bytes of an upload have left for the platform, told often enough for a smooth bar.

The committed figure is `Delivery.sent_bytes`, written after each chunk. In between, the bytes handed to the socket are
kept in the cache; losing them costs a little smoothness.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from django.core.cache import cache
from redis.exceptions import RedisError

from publishing.models import Delivery
from publishing.states import DeliveryState

logger = logging.getLogger(__name__)

_KEPT_SECONDS = 120


@dataclass(frozen=True)
class Progress:
    """Bytes sent, of how many. `fraction` is 0.0 … 1.0."""

    sent_bytes: int
    total_bytes: int

    @property
    def fraction(self) -> float:
        """Share that was sent."""
        return self.sent_bytes / self.total_bytes if self.total_bytes else 0.0


def _key(delivery: Delivery) -> str:
    return f"delivery-progress:{delivery.pk}:{delivery.publish_id}"


def tell_progress(delivery: Delivery, sent_bytes: int) -> None:
    """Publish that `sent_bytes` of the file are on their way. A cache that is down is no reason to stop an upload."""
    try:
        cache.set(_key(delivery), sent_bytes, timeout=_KEPT_SECONDS)
    except RedisError:
        logger.debug("delivery %s: progress was not told, the cache is down", delivery.pk)


def read_progress(delivery: Delivery) -> Progress:
    """Return the newest figure known for `delivery`."""
    sent_bytes = delivery.sent_bytes
    if delivery.state == DeliveryState.UPLOADING:
        sent_bytes = max(sent_bytes, min(_told_bytes(delivery), delivery.total_bytes))
    return Progress(sent_bytes=sent_bytes, total_bytes=delivery.total_bytes)


def _told_bytes(delivery: Delivery) -> int:
    try:
        return int(cache.get(_key(delivery)) or 0)
    except RedisError:
        return 0
