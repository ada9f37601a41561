"""The doorbell: which due deliveries to ring for, fair across workspaces.

The rows are the queue; a ring may be lost.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection as database
from django.db import transaction
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from config.faultpoints import reached
from publishing.models import Delivery
from publishing.states import DeliveryState

logger = logging.getLogger(__name__)

RING_AGAIN = timedelta(seconds=15)
"""A rung row that nobody claimed is rung again after this: what a lost message costs."""

MAX_RUNG = 200
"""Rows rung but not yet claimed, at most: a full queue in the broker would undo the fairness."""

UPLOAD_STATES = frozenset({DeliveryState.SCHEDULED, DeliveryState.PREPARING, DeliveryState.UPLOADING})

# Two dispatchers at once take different rows (SKIP LOCKED). `turn` deals the rows out one workspace after another.
_PICK = """
WITH waiting AS (
    SELECT count(*) AS rung FROM publishing_delivery
    WHERE wake_at <= statement_timestamp() AND rung_at > statement_timestamp() - make_interval(secs => %(again)s)
      AND (lease_until IS NULL OR lease_until <= statement_timestamp())
), due AS (
    SELECT id, row_number() OVER (PARTITION BY workspace_id ORDER BY wake_at) AS turn, wake_at
    FROM publishing_delivery
    WHERE wake_at <= statement_timestamp()
      AND (lease_until IS NULL OR lease_until <= statement_timestamp())
      AND (rung_at IS NULL OR rung_at <= statement_timestamp() - make_interval(secs => %(again)s))
), picked AS (
    SELECT delivery.id FROM publishing_delivery AS delivery JOIN due USING (id)
    ORDER BY due.turn, due.wake_at
    LIMIT greatest(0, %(most)s - (SELECT rung FROM waiting))
    FOR UPDATE OF delivery SKIP LOCKED
)
UPDATE publishing_delivery AS delivery SET rung_at = statement_timestamp()
FROM picked WHERE delivery.id = picked.id
  AND (delivery.rung_at IS NULL OR delivery.rung_at <= statement_timestamp() - make_interval(secs => %(again)s))
RETURNING delivery.id, delivery.state
"""


@dataclass(frozen=True)
class Ring:
    """A due delivery to ring for, and its state, which decides the queue."""

    delivery_id: uuid.UUID
    state: DeliveryState


def pick_due() -> list[Ring]:
    """Note up to MAX_RUNG due rows as rung and return them, one workspace after another."""
    with transaction.atomic(), database.cursor() as cursor:
        cursor.execute(_PICK, {"again": RING_AGAIN.total_seconds(), "most": MAX_RUNG})
        return [Ring(delivery_id=row[0], state=DeliveryState(row[1])) for row in cursor.fetchall()]


def dispatch() -> int:
    """Ring for what is due; return how many. Any number of dispatchers may run at once."""
    rings = pick_due()
    for ring in rings:
        send_ring(ring)
    return len(rings)


def send_ring(ring: Ring) -> None:
    """Send one task. Raises kombu's OperationalError if the broker is down."""
    from publishing import tasks

    task = tasks.upload_delivery if ring.state in UPLOAD_STATES else tasks.poll_delivery
    task.apply_async(kwargs={"delivery_id": str(ring.delivery_id)}, retry=False)


def ring_on_commit(delivery: Delivery) -> None:
    """Ring at once when the present transaction commits, so that a person does not wait for the next tick.

    With the broker down nothing is lost: the dispatcher rings later.
    """
    ring = Ring(delivery_id=delivery.pk, state=DeliveryState(delivery.state))

    def send() -> None:
        reached("confirmed")
        Delivery.objects.filter(pk=ring.delivery_id).update(rung_at=Now())
        try:
            send_ring(ring)
        except OperationalError:
            logger.warning(
                "delivery=%s was not rung, the broker is down; the dispatcher will", ring.delivery_id
            )

    transaction.on_commit(send)
