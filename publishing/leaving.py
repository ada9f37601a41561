"""A worker's end when it is asked to go: running chunks finish if they are quick, the rest goes back to the queue.

Celery waits for its tasks without a limit, and a call to a slow platform may take longer than anybody's patience with a
stopping service. So what is still in hand after `GRACE_S` is handed back in the database, where its worker loses the
right to write, and the process ends.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import Error as DatabaseError
from django.db.models.functions import Now

from accounts.scopes import workspace_scope
from publishing.models import Delivery

logger = logging.getLogger(__name__)

GRACE_S = 7.0
"""From the wish to the end, at most. With the hand-over and Celery's own end it stays under ten seconds."""

stopping = threading.Event()
"""Set when this worker was asked to end."""

_in_hand: dict[uuid.UUID, Delivery] = {}  # by lease


@contextmanager
def in_hand(delivery: Delivery) -> Iterator[None]:
    """Know `delivery` as claimed by this process for the length of the block."""
    lease = delivery.lease_token
    if lease is None:
        raise ValueError(f"delivery {delivery.pk} is not claimed")
    _in_hand[lease] = delivery
    try:
        yield
    finally:
        _in_hand.pop(lease, None)


def workspaces_in_hand() -> set[uuid.UUID]:
    """The workspaces whose deliveries this process is at."""
    return {delivery.workspace_id for delivery in list(_in_hand.values())}


def leave(*, grace: timedelta = timedelta(seconds=GRACE_S)) -> None:
    """Begin to end: nothing new is begun, and after `grace` what is left is handed back and the process is gone."""
    if stopping.is_set():
        return
    stopping.set()
    last = threading.Timer(grace.total_seconds(), _leave_now)
    last.daemon = True  # a process that ends in time takes it along
    last.start()


def hand_back_all() -> int:
    """Give every delivery in hand back to the queue, due at once; return how many were ours still."""
    return sum(_hand_back(lease, delivery.workspace_id) for lease, delivery in list(_in_hand.items()))


def _hand_back(lease: uuid.UUID, workspace_id: uuid.UUID) -> int:
    # It was woken for its present step, so that it is due as soon as nobody holds it.
    with workspace_scope(workspace_id):
        return Delivery.objects.filter(lease_token=lease).update(
            lease_token=None, lease_until=None, rung_at=None, wake_at=Now(), claim_count=0
        )


def _leave_now() -> None:
    try:
        logger.warning("leaving with calls under way; deliveries handed back: %d", hand_back_all())
    except DatabaseError:
        logger.warning("leaving with calls under way; their leases end by themselves")
    finally:
        os._exit(0)
