"""Celery's shells: ids in, one function called, nothing decided."""

from __future__ import annotations

import logging
import time
import uuid
from typing import Any

import redis
from celery import shared_task
from celery.signals import worker_shutting_down
from django.conf import settings
from django.utils import timezone

from accounts.scopes import System, system_scope
from config import heartbeat
from publishing import dispatch, engine, leaving, photos, retention, scanning, videos
from publishing.models import Delivery
from publishing.slots import Slots
from publishing.states import DeliveryState

logger = logging.getLogger(__name__)

_slots = Slots(settings.UPLOAD_SLOTS)

POLL_STRETCH_S = 2.0
"""How long one thread asks on without a look at the broker, where uploads may be waiting for it."""


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
    if leaving.stopping.is_set():
        return _ring_again(delivery_id)
    slot = _slots.take(uuid.UUID(delivery_id))
    if slot is None:
        return _ring_later(delivery_id)
    try:
        outcome = engine.advance_delivery(uuid.UUID(delivery_id))
        while _slots.is_open(slot) and _advance_next(dispatch.UPLOAD_STATES):
            pass
    finally:
        slot.release()
    return outcome


@shared_task
def clean_up_uploads(**_: Any) -> str:
    """Remove what uploads left behind."""
    now = timezone.now()
    return f"{videos.clean_up_uploads(now=now)}, {photos.clean_up_photos(now=now)} unused photos"


@shared_task
def remove_old_sources(**_: Any) -> str:
    """Delete the source videos that need not be kept any longer."""
    return retention.remove_due()


@shared_task
def scan_waiting_files(**_: Any) -> str:
    """Have the malware scanner judge what it has not judged yet."""
    return scanning.scan_waiting()


@shared_task
def poll_delivery(*, delivery_id: str, **_: Any) -> str:
    """Ask how far one delivery is."""
    if leaving.stopping.is_set():
        return _ring_again(delivery_id)
    outcome = engine.advance_delivery(uuid.UUID(delivery_id))
    until = time.monotonic() + POLL_STRETCH_S
    while time.monotonic() < until and _advance_next(dispatch.POLL_STATES):
        pass
    return outcome


def _advance_next(states: frozenset[DeliveryState]) -> bool:
    """Go on with the row whose turn it is, without the way through the broker; say whether there was one."""
    ring = None if leaving.stopping.is_set() else dispatch.pick_next(states)
    if ring is None:
        return False
    engine.advance_delivery(ring.delivery_id)
    return True


@system_scope(System.CLAIM)
def _ring_again(delivery_id: str) -> str:
    Delivery.objects.filter(pk=delivery_id).update(rung_at=None)
    return "not now"


@system_scope(System.CLAIM)
def _ring_later(delivery_id: str) -> str:
    dispatch.ring_later(uuid.UUID(delivery_id))
    return "no slot free"


@worker_shutting_down.connect
def _leave(**_: Any) -> None:
    """Let running chunks end and the rest go to another worker."""
    leaving.leave()
