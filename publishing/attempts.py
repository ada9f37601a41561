"""The diary of a delivery: what was tried, when, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db.models import F
from django.utils import timezone

from connections.errors import ProviderError
from connections.providers.base import PublishStatus
from publishing.models import Attempt, Delivery


@contextmanager
def attempt(delivery: Delivery, step: str, *, announced: bool = False, **detail: Any) -> Iterator[Attempt]:
    """Write one attempt when the block ends: ok, or the ProviderError that left it, which is raised on.

    An `announced` one stands before the block begins, so that a death inside leaves it there, unfinished.
    """
    row = Attempt(
        workspace_id=delivery.workspace_id,
        delivery=delivery,
        step=step,
        started_at=timezone.now(),
        detail=detail,
    )
    if announced:
        row.save(force_insert=True)
    try:
        yield row
    except ProviderError as error:
        _describe(row, error)
        _finish(row)
        raise
    row.outcome = row.outcome or "ok"
    _finish(row)


def note(
    delivery: Delivery, step: str, outcome: str, *, message: str = "", log_id: str = "", **detail: Any
) -> None:
    """Write something that happened at once, such as a person's decision."""
    now = timezone.now()
    Attempt.objects.create(
        workspace_id=delivery.workspace_id,
        delivery=delivery,
        step=step,
        started_at=now,
        finished_at=now,
        outcome=outcome,
        message=message,
        log_id=log_id[:80],
        detail=detail,
    )


def note_status(delivery: Delivery, status: PublishStatus, *, started_at: datetime) -> None:
    """Write a status answer; equal answers in a row are kept as one with a count."""
    row = Attempt(
        step="status",
        outcome=(status.fail_reason or status.phase.value)[:80],
        code=status.fail_reason[:80],
        log_id=status.log_id[:80],
        detail={} if status.stored_bytes is None else {"stored_bytes": status.stored_bytes},
        started_at=started_at,
    )
    _write_or_count(delivery, row)


def note_error(delivery: Delivery, step: str, error: ProviderError, *, started_at: datetime) -> None:
    """Write a failed call; the same failure several times in a row is kept as one with a count."""
    row = Attempt(step=step, started_at=started_at)
    _describe(row, error)
    _write_or_count(delivery, row)


def _write_or_count(delivery: Delivery, row: Attempt) -> None:
    now = timezone.now()
    last = delivery.attempts.order_by("-started_at").values("pk", "step", "outcome").first()
    if last is not None and (last["step"], last["outcome"]) == (row.step, row.outcome):
        Attempt.objects.filter(pk=last["pk"]).update(
            repeat_count=F("repeat_count") + 1, finished_at=now, log_id=row.log_id, detail=row.detail
        )
        return
    row.workspace_id, row.delivery, row.finished_at = delivery.workspace_id, delivery, now
    row.save(force_insert=True)


def _describe(row: Attempt, error: ProviderError) -> None:
    row.outcome = error.code or type(error).__name__.removesuffix("Error")
    row.code, row.log_id, row.http_status = error.code, error.log_id[:80], error.http_status
    row.message = error.message[:500]


def _finish(row: Attempt) -> None:
    row.finished_at = timezone.now()
    row.save(force_insert=row._state.adding)
