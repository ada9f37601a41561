"""How many uploads a worker process sends at a time, and for whom.

A video may hold its slot for hours. So that a workspace with many of them keeps nobody else waiting, the last quarter
of the slots is for workspaces that have nothing in hand here.
"""

from __future__ import annotations

import threading
import uuid

from accounts.scopes import System, system_scope
from publishing import leaving
from publishing.models import Delivery


class Slots:
    """`total` slots; safe to share between threads."""

    def __init__(self, total: int) -> None:
        reserved = total // 4
        self._open = threading.BoundedSemaphore(total - reserved)
        self._reserved = threading.Semaphore(reserved)

    def is_open(self, slot: threading.Semaphore) -> bool:
        """Whether `slot` is one for anybody, so that its holder may go on with whatever is next."""
        return slot is self._open

    def take(self, delivery_id: uuid.UUID) -> threading.Semaphore | None:
        """Return the slot, to be released afterwards, or None if this delivery has to come again."""
        if self._open.acquire(blocking=False):
            return self._open
        if not self._reserved.acquire(blocking=False):
            return None
        if not _has_others_in_hand(delivery_id):
            return self._reserved
        self._reserved.release()
        return None


@system_scope(System.CLAIM)
def _has_others_in_hand(delivery_id: uuid.UUID) -> bool:
    workspace_id = Delivery.objects.filter(pk=delivery_id).values_list("workspace_id", flat=True).first()
    return workspace_id in leaving.workspaces_in_hand()
