"""Celery's doors to connections."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from connections import oauth, upkeep


@shared_task(soft_time_limit=300, time_limit=330)
def refresh_expiring_tokens(**_: object) -> str:
    """Refresh tokens and pictures that are about to run out."""
    now = timezone.now()
    oauth.delete_stale_requests(now=now)
    return upkeep.run(now=now)
