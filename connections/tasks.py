"""Celery's doors to connections."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from connections import notifying, oauth, upkeep, webhooks


@shared_task(soft_time_limit=300, time_limit=330)
def refresh_expiring_tokens(**_: object) -> str:
    """Refresh tokens and pictures that are about to run out."""
    now = timezone.now()
    oauth.delete_stale_requests(now=now)
    return upkeep.run(now=now)


@shared_task
def warn_of_ending_access(**_: object) -> int:
    """Tell people whose accounts must be reconnected soon."""
    return notifying.warn_of_ending_access(now=timezone.now())


@shared_task(acks_late=True, soft_time_limit=120, time_limit=150)
def process_webhook_event(*, event_id: int, **_: object) -> str:
    """Act on one event of a platform."""
    return webhooks.process(event_id)


@shared_task(soft_time_limit=300, time_limit=330)
def sweep_webhook_events(**_: object) -> int:
    """Act on events whose message was lost, and delete old ones."""
    return webhooks.sweep()
