"""Celery's shells: ids in, one function called, nothing decided."""

from __future__ import annotations

import logging
import threading
import uuid
from typing import Any

import redis
from celery import shared_task
from celery.signals import worker_shutting_down
from django.conf import settings

from config import heartbeat
from publishing import dispatch, engine, sending
from publishing.models import Delivery

logger = logging.getLogger(__name__)

_slots = threading.BoundedSemaphore(settings.UPLOAD_SLOTS)


@shared_task
def dispatch_deliveries(**_: Any) -> int:
    """Ring for what is due."""
    count = dispatch.dispatch()
    try:
        heartbeat.record_dispatcher()
    except redis.RedisError:
        logger.info("the dispatcher's sign of life was not recorded")
    return count


@shared_task
def upload_delivery(*, delivery_id: str, **_: Any) -> str:
    """Take one delivery as far as it goes, if this process has a slot free for an upload."""
    if not _slots.acquire(blocking=False):
        Delivery.objects.filter(pk=delivery_id).update(rung_at=None)
        return "no slot"
    try:
        return engine.advance_delivery(uuid.UUID(delivery_id))
    finally:
        _slots.release()


@shared_task
def poll_delivery(*, delivery_id: str, **_: Any) -> str:
    """Ask how far one delivery is."""
    return engine.advance_delivery(uuid.UUID(delivery_id))


@worker_shutting_down.connect
def _hand_back(**_: Any) -> None:
    """Let running chunks end and the rest go to another worker."""
    sending.stopping.set()
