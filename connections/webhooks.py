"""Webhooks taken in: each event once into the database, then acted on by a worker.

The row is the job here too. A message to the worker may be lost; `sweep` finds what was left. An event decides nothing
about a post: it says that the platform's status is worth asking for.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from datetime import timedelta

from django.db import connection as database
from django.db.models import F
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from accounts.scopes import System, system_scope
from connections.models import WebhookEvent
from connections.providers.base import WebhookKind, WebhookNotice
from connections.removals import Removal, end_authorization
from connections.signals import publish_reported

logger = logging.getLogger(__name__)

KEPT = timedelta(days=30)
DELETED_AT_ONCE = 5_000

SWEEP_AFTER = timedelta(seconds=30)
"""An event that is still unprocessed after this was forgotten: its message is lost, or its worker died."""

SWEEP_LIMIT = 200
MAX_TRIES = 10

PATIENCE = timedelta(minutes=5)
"""How long an event waits for the row that it speaks of: it may overtake the answer that names the publish job."""

ARRIVING_WITHIN = timedelta(hours=6)
LOOK_EVERY_S = 30.0

_ACTED_ON = frozenset({WebhookKind.PUBLISH, WebhookKind.AUTHORIZATION_REMOVED})

# Not the ORM's bulk_create: it does not tell whether the row was new.
_INSERT = """
INSERT INTO webhook_events
    (provider, dedup_key, kind, name, account_id, occurred_at, publish_id, post_id, message, is_own_doing, body,
     processed_at, outcome)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, CASE WHEN %s THEN statement_timestamp() END, %s)
ON CONFLICT (dedup_key) DO NOTHING
RETURNING id
"""

_seen: dict[str, tuple[float, bool]] = {}


@system_scope(System.WEBHOOK)
def store(*, provider: str, notice: WebhookNotice, body: bytes) -> bool:
    """Write one event down and send it to a worker; return whether it is new. One statement, safe to repeat.

    With the broker down it is stored all the same, and `sweep` takes it up.
    """
    rests = notice.kind not in _ACTED_ON
    values = [
        provider,
        dedup_key(provider=provider, notice=notice, body=body),
        notice.kind.value,
        notice.name,
        notice.account_id,
        notice.occurred_at,
        notice.publish_id,
        notice.post_id,
        notice.message,
        notice.is_own_doing,
        body.decode("utf-8", "replace").replace("\0", "�"),
        rests,
        "ignored" if rests else "",
    ]
    with database.cursor() as cursor:
        cursor.execute(_INSERT, values)
        row = cursor.fetchone()
    logger.info(
        "webhook %s provider=%s event=%s publish_id=%s",
        "stored" if row else "repeated",
        provider,
        notice.name or notice.kind.value,
        notice.publish_id,
    )
    if row and not rests:
        _send(row[0])
    return row is not None


def dedup_key(*, provider: str, notice: WebhookNotice, body: bytes) -> str:
    """Return what two copies of one event have in common: event, account, job, and its post or else its time.

    One job may complete several times, so its id alone is not enough. What we cannot read is known by its bytes.
    """
    moment = str(notice.occurred_at.timestamp()) if notice.occurred_at else ""
    parts = [provider, notice.name, notice.account_id, notice.publish_id, notice.post_id or moment]
    if notice.kind not in _ACTED_ON:
        parts.append(hashlib.sha256(body).hexdigest())
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@system_scope(System.WEBHOOK)
def process(event_id: int) -> str:
    """Act on one event; return what came of it in a word. Safe to call twice, late, or beside itself.

    What cannot be acted on yet stays unprocessed, for `sweep` to take up again.
    """
    if not WebhookEvent.objects.waiting().filter(pk=event_id).update(tries=F("tries") + 1):
        return "done before"
    event = WebhookEvent.objects.get(pk=event_id)
    outcome = _act(event)
    if not outcome:
        return "later"
    WebhookEvent.objects.filter(pk=event.pk).update(processed_at=Now(), outcome=outcome)
    logger.info(
        "webhook acted on provider=%s event=%s outcome=%s publish_id=%s",
        event.provider,
        event.name,
        outcome,
        event.publish_id,
    )
    return outcome


def _act(event: WebhookEvent) -> str:
    """Return the outcome, "" if it is to be tried again."""
    if event.kind == WebhookKind.AUTHORIZATION_REMOVED:
        removal = end_authorization(event)
        return "" if removal is Removal.LATER else removal.value
    answers = publish_reported.send(WebhookEvent, provider=event.provider, publish_id=event.publish_id)
    if any(count for _, count in answers):
        return "told"
    is_young = WebhookEvent.objects.filter(pk=event.pk, received_at__gt=Now() - PATIENCE).exists()
    return "" if is_young else "nobody's"


@system_scope(System.WEBHOOK)
def sweep() -> int:
    """Act on what was left behind and delete what is old; return how many were acted on. One failure stops no other."""
    left = WebhookEvent.objects.waiting().filter(received_at__lte=Now() - SWEEP_AFTER)
    processed = 0
    for event_id, tries in left.order_by("tries", "id").values_list("id", "tries")[:SWEEP_LIMIT]:
        try:
            if tries >= MAX_TRIES:
                _give_up(event_id)
            processed += process(event_id) not in {"later", "done before"}
        except Exception:
            logger.exception("webhook event=%s could not be acted on", event_id)
    _delete_old()
    return processed


def _give_up(event_id: int) -> None:
    WebhookEvent.objects.waiting().filter(pk=event_id).update(processed_at=Now(), outcome="given up")
    logger.error("webhook event=%s given up after %s tries", event_id, MAX_TRIES)


def _delete_old() -> None:
    old = WebhookEvent.objects.filter(received_at__lt=Now() - KEPT).order_by("id").values("id")
    WebhookEvent.objects.filter(id__in=old[:DELETED_AT_ONCE]).delete()


@system_scope(System.WEBHOOK)
def are_arriving(provider: str) -> bool:
    """Whether an event of `provider` came in lately, so that one may rely on being told.

    Remembered for half a minute in each process: it is asked at every poll.
    """
    known = _seen.get(provider)
    if known is not None and time.monotonic() - known[0] < LOOK_EVERY_S:
        return known[1]
    lately = WebhookEvent.objects.filter(provider=provider, received_at__gt=Now() - ARRIVING_WITHIN)
    _seen[provider] = (time.monotonic(), lately.exists())
    return _seen[provider][1]


def forget_arrivals() -> None:
    """Look anew at the next question: for tests."""
    _seen.clear()


def _send(event_id: int) -> None:
    from connections import tasks

    try:
        tasks.process_webhook_event.apply_async(kwargs={"event_id": event_id}, retry=False)
    except OperationalError:
        logger.warning("webhook event=%s waits for the sweep, the broker is down", event_id)
