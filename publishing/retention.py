"""Deleting source videos some time after publishing, where a workspace or the site wants that.

A file goes only when nothing can need it any more: every delivery of every post of it has ended, and since the last end
the chosen days have passed. A failed or canceled one may be sent again by a person, so after it the file stays for at
least RETRY_WINDOW. One that is held is open, and keeps the file as long as it takes. The row, the poster and the post
stay.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from accounts import audit
from accounts.models import Membership, Workspace
from accounts.scopes import System, system_scope, workspace_scope
from publishing.models import Delivery, Post, Video
from publishing.states import OPEN, DeliveryState
from publishing.videos import remove_files

logger = logging.getLogger(__name__)

RETRY_WINDOW = timedelta(days=7)
MAX_DAYS = 3650
BATCH = 500
"""How many videos of one workspace go in one run; the next run takes the rest."""

_RETRYABLE = (DeliveryState.FAILED, DeliveryState.CANCELED)


def kept_days(workspace: Workspace) -> int:
    """After how many days a workspace's source videos are deleted; 0: never."""
    chosen = workspace.source_retention_days
    return int(settings.SOURCE_RETENTION_DAYS if chosen is None else chosen)


def choose(*, actor: Membership, days: int | None) -> None:
    """Set the days for the actor's workspace; 0: never, None: as the site has it. The door checks the role."""
    with transaction.atomic():
        workspace = Workspace.objects.select_for_update().get(pk=actor.workspace_id)
        was, workspace.source_retention_days = workspace.source_retention_days, days
        workspace.save(update_fields=["source_retention_days"])
        if was != days:
            audit.record(
                "workspace.retention_changed", workspace=workspace, actor=actor.user, was=was, now=days
            )
    actor.workspace = workspace


def due_videos(workspace: Workspace) -> QuerySet[Video]:
    """The videos of `workspace` whose source may go now, by the database's clock."""
    days = kept_days(workspace)
    rows = Video.objects.filter(workspace=workspace, source_removed_at=None)
    if not days:
        return rows.none()
    kept = timedelta(days=days)
    deliveries = Delivery.objects.filter(post__video=OuterRef("pk"))
    needed = deliveries.filter(
        Q(state__in=OPEN)
        | Q(lease_until__gt=Now())
        | Q(state_changed_at__gt=Now() - kept)
        | Q(state__in=_RETRYABLE, state_changed_at__gt=Now() - max(kept, RETRY_WINDOW))
    )
    unsent = Post.objects.filter(video=OuterRef("pk"), deliveries=None)
    return rows.filter(Exists(deliveries)).exclude(Exists(needed)).exclude(Exists(unsent))


def remove_due() -> str:
    """Delete the source videos whose time is over; return what was done, for the log. Any number may run at once."""
    with system_scope(System.UPKEEP):
        doomed = list(_choosing().filter(removal_started_at=None).order_by("pk"))
    removed = failed = 0
    for workspace in doomed:
        with workspace_scope(workspace.pk):
            for video in due_videos(workspace).order_by("pk")[:BATCH]:
                try:
                    removed += remove_source(video, workspace)
                except Exception:  # whatever it is, it stops no other one
                    logger.exception("the source of video %s could not be removed", video.pk)
                    failed += 1
    return f"removed={removed} failed={failed}"


def _choosing() -> QuerySet[Workspace]:
    """Workspaces in which source videos are deleted at some time."""
    if settings.SOURCE_RETENTION_DAYS:
        return Workspace.objects.exclude(source_retention_days=0)
    return Workspace.objects.filter(source_retention_days__gt=0)


def remove_source(video: Video, workspace: Workspace) -> bool:
    """Delete the file of `video` if that is still right, and say whether it went. The poster stays.

    Under locks that a retry and a new post of the same video wait for; they then find the date.
    """
    with transaction.atomic():
        list(Delivery.objects.select_for_update().filter(post__video=video).order_by("pk"))
        locked = Video.objects.select_for_update().filter(pk=video.pk).first()
        if locked is None or not due_videos(workspace).filter(pk=video.pk).exists():
            return False
        name = str(locked.file.name)
        Video.objects.filter(pk=video.pk).update(file="", source_removed_at=Now())
        posts = list(Post.objects.filter(video=video).values_list("pk", flat=True))
        audit.record("post.source_removed", workspace=workspace, actor=None, video=video.pk, posts=posts)
        transaction.on_commit(lambda: remove_files([name]))
    logger.info("workspace %s: the source of video %s was removed", workspace.pk, video.pk)
    return True
