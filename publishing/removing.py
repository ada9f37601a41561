"""What publishing does when a workspace is removed for good: stop, then delete files and rows."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from accounts import admin_log
from accounts.models import User, Workspace
from publishing.models import (
    Attempt,
    Delivery,
    IllegalTransitionError,
    Photo,
    Post,
    StaleTransitionError,
    Video,
)
from publishing.services import CancelOutcome, cancel_delivery
from publishing.videos import remove_files_of

SOMEBODY = "somebody who is gone"
"""What a timeline says in place of a person who deleted their account."""

WAITS = frozenset({CancelOutcome.STOPPING, CancelOutcome.ASKED})


def stop_deliveries(workspace: Workspace) -> bool:
    """Cancel what is open; False while a worker or the platform has yet to stop.

    What is wholly with the platform already is out of our hands, and is not waited for.
    """
    rows = Delivery.objects.open().filter(workspace=workspace).order_by("pk")
    outcomes = [_is_stopped(delivery) for delivery in rows]  # each is tried, whatever the one before came to
    return all(outcomes)


def _is_stopped(delivery: Delivery) -> bool:
    try:
        return cancel_delivery(delivery=delivery, user=None) not in WAITS
    except (IllegalTransitionError, StaleTransitionError):
        return False  # it moved on just now; the next run sees where to


def remove_everything(workspace: Workspace) -> bool:
    """Delete every file, then every row; False while a worker holds one. Safe to repeat after a death half way."""
    if Delivery.objects.filter(workspace=workspace, lease_until__gt=Now()).exists():
        return False
    for video in Video.objects.filter(workspace=workspace).iterator():
        remove_files_of(video)
    for photo in Photo.objects.filter(workspace=workspace).iterator():
        photo.file.delete(save=False)
    with transaction.atomic():
        for model in (Delivery, Photo, Post, Video):
            rows = model._default_manager.filter(workspace=workspace)
            admin_log.forget(model, rows.values_list("pk", flat=True))
            rows.delete()
    return True


def forget_person(user: User) -> None:
    """Take a person's name out of the timelines of posts that stay with their workspaces."""
    noted = Attempt.objects.filter(step="person")
    for row in noted.filter(Q(detail__by_id=str(user.pk)) | Q(detail__by__iexact=user.email)):
        row.detail = {"by": SOMEBODY}
        row.save(update_fields=["detail"])
