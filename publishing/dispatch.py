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

from accounts.scopes import System, system_scope, workspace_scope
from config.faultpoints import reached
from publishing.models import Delivery
from publishing.states import DeliveryState

logger = logging.getLogger(__name__)

RING_AGAIN = timedelta(seconds=15)
"""A rung row that nobody claimed is rung again after this: what a lost message costs."""

TAKE_ANYWAY = timedelta(seconds=1)
"""A rung row whose message is still on its way after this is taken by the next free hand, if it is its turn."""

BOUNCED = timedelta(seconds=3)
"""A row whose message met full slots is rung again after this; sooner, and full workers do nothing but refuse."""

MAX_RUNG = 32
"""Rows rung but not yet claimed, at most, of each kind of work: a full queue in the broker would undo the fairness."""

UPLOAD_STATES = frozenset({DeliveryState.SCHEDULED, DeliveryState.PREPARING, DeliveryState.UPLOADING})
POLL_STATES = frozenset(DeliveryState) - UPLOAD_STATES

# Two at once take different rows (SKIP LOCKED). A row's `turn` is its place in its workspace's own queue, after what
# that workspace has under way already; the lowest turn comes first, so that the workspaces are served in rotation.
_PICK = """
WITH awake AS (
    SELECT id, workspace_id, wake_at,
           lease_until > statement_timestamp() IS TRUE AS taken,
           rung_at > statement_timestamp() - make_interval(secs => %(again)s) IS TRUE AS rung
    FROM publishing_delivery
    WHERE wake_at <= statement_timestamp() AND state = ANY(%(states)s)
), busy AS (
    SELECT workspace_id, count(*) AS under_way FROM awake WHERE taken OR rung GROUP BY workspace_id
), due AS (
    SELECT id, wake_at,
           row_number() OVER (PARTITION BY workspace_id ORDER BY wake_at) + coalesce(under_way, 0) AS turn
    FROM awake LEFT JOIN busy USING (workspace_id)
    WHERE NOT taken AND NOT rung
), picked AS (
    SELECT delivery.id, due.turn, due.wake_at FROM publishing_delivery AS delivery JOIN due USING (id)
    ORDER BY due.turn, due.wake_at
    LIMIT greatest(0, %(most)s - %(counted)s * (SELECT count(*) FROM awake WHERE rung AND NOT taken))
    FOR UPDATE OF delivery SKIP LOCKED
)
UPDATE publishing_delivery AS delivery SET rung_at = statement_timestamp()
FROM picked WHERE delivery.id = picked.id
  AND (delivery.rung_at IS NULL OR delivery.rung_at <= statement_timestamp() - make_interval(secs => %(again)s))
  AND (delivery.lease_until IS NULL OR delivery.lease_until <= statement_timestamp())
RETURNING picked.turn, picked.wake_at, delivery.id, delivery.state
"""


@dataclass(frozen=True)
class Ring:
    """A due delivery to ring for, and its state, which decides the queue."""

    delivery_id: uuid.UUID
    state: DeliveryState


def pick_due(states: frozenset[DeliveryState]) -> list[Ring]:
    """Note due rows in `states` as rung, up to MAX_RUNG unclaimed ones, and return them in the order of their turns."""
    return _pick(states, most=MAX_RUNG, again=RING_AGAIN, counts_rung=True)


def pick_next(states: frozenset[DeliveryState]) -> Ring | None:
    """Note the one due row in `states` whose turn it is as rung, and return it; for a worker with a hand free."""
    return next(iter(_pick(states, most=1, again=TAKE_ANYWAY, counts_rung=False)), None)


def ring_later(delivery_id: uuid.UUID) -> None:
    """Let a row that no slot was free for be rung again, in a while."""
    Delivery.objects.filter(pk=delivery_id).update(rung_at=Now() - (RING_AGAIN - BOUNCED))


@system_scope(System.DISPATCH)
def _pick(states: frozenset[DeliveryState], *, most: int, again: timedelta, counts_rung: bool) -> list[Ring]:
    values: dict[str, int | float | list[str]] = {
        "again": again.total_seconds(),
        "states": [state.value for state in states],
        "most": most,
        "counted": int(counts_rung),
    }
    with database.cursor() as cursor:  # one statement, which needs no transaction around it
        cursor.execute(_PICK, values)
        in_turn = sorted(cursor.fetchall())  # what an UPDATE returns has no order
    return [Ring(delivery_id=pk, state=DeliveryState(state)) for _, _, pk, state in in_turn]


def dispatch() -> int:
    """Ring for what is due; return how many. Any number of dispatchers may run at once."""
    rings = pick_due(UPLOAD_STATES) + pick_due(POLL_STATES)
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
        with workspace_scope(delivery.workspace_id):
            Delivery.objects.filter(pk=ring.delivery_id).update(rung_at=Now())
        try:
            send_ring(ring)
        except OperationalError:
            logger.warning(
                "delivery=%s was not rung, the broker is down; the dispatcher will", ring.delivery_id
            )

    transaction.on_commit(send)
