"""The diary of a delivery: what was tried, when, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db.models import F
from django.utils import timezone

from connections.errors import ProviderError
from publishing.models import Attempt, Delivery


@contextmanager
def attempt(delivery: Delivery, step: str, **detail: Any) -> Iterator[Attempt]:
    """Write one attempt when the block ends: ok, or the ProviderError that left it, which is raised on."""
    row = Attempt(
        workspace_id=delivery.workspace_id,
        delivery=delivery,
        step=step,
        started_at=timezone.now(),
        detail=detail,
    )
    try:
        yield row
    except ProviderError as error:
        _describe(row, error)
        _finish(row)
        raise
    row.outcome = row.outcome or "ok"
    _finish(row)


@contextmanager
def announced_attempt(delivery: Delivery, step: str, **detail: Any) -> Iterator[Attempt]:
    """As `attempt`, but the row stands before the block begins, so that a death inside leaves it unfinished."""
    row = Attempt.objects.create(
        workspace_id=delivery.workspace_id,
        delivery=delivery,
        step=step,
        started_at=timezone.now(),
        detail=detail,
    )
    try:
        yield row
    except ProviderError as error:
        _describe(row, error)
        _finish(row)
        raise
    row.outcome = row.outcome or "ok"
    _finish(row)


def note(delivery: Delivery, step: str, outcome: str, *, message: str = "", **detail: Any) -> None:
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
        detail=detail,
    )


def note_status(
    delivery: Delivery, *, outcome: str, started_at: datetime, log_id: str, **detail: Any
) -> None:
    """Write a status answer; equal answers in a row are kept as one with a count."""
    now = timezone.now()
    last = delivery.attempts.order_by("-started_at").values("pk", "step", "outcome").first()
    if last is not None and (last["step"], last["outcome"]) == ("status", outcome):
        Attempt.objects.filter(pk=last["pk"]).update(
            repeat_count=F("repeat_count") + 1, finished_at=now, log_id=log_id, detail=detail
        )
        return
    Attempt.objects.create(
        workspace_id=delivery.workspace_id,
        delivery=delivery,
        step="status",
        started_at=started_at,
        finished_at=now,
        outcome=outcome,
        log_id=log_id,
        detail=detail,
    )


def _describe(row: Attempt, error: ProviderError) -> None:
    row.outcome = error.code or type(error).__name__.removesuffix("Error")
    row.code, row.log_id, row.http_status = error.code, error.log_id[:80], error.http_status
    row.message = error.message[:500]


def _finish(row: Attempt) -> None:
    row.finished_at = timezone.now()
    row.save()
