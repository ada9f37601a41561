"""How many bytes of videos and photos a workspace may keep, counted with the uploads under way.

What is kept is summed up from the rows, so that the count cannot drift from the truth. Room is taken under a lock of
the workspace's row, so two uploads cannot both take the last of it.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import BigIntegerField, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce, Greatest, Now

from accounts.models import Workspace
from accounts.scopes import workspace_scope
from publishing.models import Photo, StorageReservation, Video, WorkspaceQuota
from publishing.preflight import format_gigabytes
from publishing.refusals import VideoRefusedError
from publishing.scannable import ScanState

LIFE = timedelta(minutes=30)
"""How long a reservation counts without being renewed: longer than a stored file's scan and its way into a bucket."""

RENEW_SECONDS = 60.0


@dataclass(frozen=True)
class Usage:
    """What a workspace keeps, what its uploads under way will add, and what it may keep (0: no limit), in bytes."""

    used_bytes: int
    reserved_bytes: int
    allowed_bytes: int

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return self.allowed_bytes > 0

    @property
    def left_bytes(self) -> int:
        """What may still come, with a limit."""
        return max(self.allowed_bytes - self.used_bytes - self.reserved_bytes, 0)

    @property
    def percent(self) -> int:
        """How full it is, rounded down so that 100 means full; 0 without a limit."""
        if not self.is_limited:
            return 0
        return min((self.used_bytes + self.reserved_bytes) * 100 // self.allowed_bytes, 100)

    @property
    def is_nearly_full(self) -> bool:
        """Whether it is time to tell."""
        return self.percent >= 90


@dataclass
class Reservation:
    """Room taken for one upload, until `release`. Its maker renews it while bytes arrive."""

    workspace: Workspace
    id: uuid.UUID
    _renewed: float = field(default_factory=time.monotonic)

    def renew(self) -> None:
        """Say that the upload still lives; does something once a minute only."""
        if time.monotonic() - self._renewed >= RENEW_SECONDS:
            self._renewed = time.monotonic()
            StorageReservation.objects.filter(pk=self.id).update(renewed_at=Now())

    def release(self) -> None:
        """Give the room back, or hand it over: in the transaction that writes the file's row. May be repeated."""
        with workspace_scope(self.workspace.pk):  # a browser's file is closed after the request's own scope
            StorageReservation.objects.filter(pk=self.id).delete()


def allowed_bytes(workspace: Workspace) -> int:
    """What `workspace` may keep; 0: no limit."""
    own = (
        WorkspaceQuota.objects.filter(workspace_id=workspace.pk)
        .values_list("allowed_bytes", flat=True)
        .first()
    )
    return int(settings.WORKSPACE_QUOTA_BYTES if own is None else own)


def read_usage(workspace: Workspace) -> Usage:
    """Count what `workspace` keeps now: in one statement, so that no upload that ends just now is missed or doubled."""
    gone = Q(scan_state=ScanState.INFECTED) | Q(file="")
    videos = Video.objects.filter(source_removed_at=None).exclude(gone)
    photos = Photo.objects.exclude(gone)
    found = (
        Workspace.objects.filter(pk=workspace.pk)
        .annotate(used=_total(videos) + _total(photos), reserved=_total(_living()))
        .values_list("used", "reserved")
        .first()
    )
    used, reserved = found or (0, 0)
    return Usage(used, reserved, allowed_bytes(workspace))


def _total(rows: QuerySet[Any]) -> Coalesce:
    mine = rows.filter(workspace=OuterRef("pk")).order_by().values("workspace")
    return Coalesce(
        Subquery(mine.annotate(n=Sum("total_bytes")).values("n")), 0, output_field=BigIntegerField()
    )


def reserve(
    workspace: Workspace, total_bytes: int, *, out_of: Reservation | None = None
) -> Reservation | None:
    """Take room for `total_bytes`, or return None where there is no limit.

    `out_of` is a larger reservation of the same upload, of which this becomes a part. Raises VideoRefusedError, in
    words with figures, if there is not enough room.
    """
    if not allowed_bytes(workspace):
        return None
    with transaction.atomic():
        # Not FOR UPDATE, which would hold up every new row that refers to the workspace.
        Workspace.objects.select_for_update(no_key=True).filter(pk=workspace.pk).exists()
        if out_of is not None:
            _take_out(out_of, total_bytes)
        usage = read_usage(workspace)
        if usage.is_limited and total_bytes > usage.left_bytes:
            raise no_room(usage, total_bytes)
        row = StorageReservation.objects.create(workspace=workspace, total_bytes=total_bytes)
    return Reservation(workspace, row.pk)


def no_room(usage: Usage, total_bytes: int) -> VideoRefusedError:
    """The refusal of `total_bytes` more."""
    used = format_gigabytes(usage.used_bytes + usage.reserved_bytes)
    return VideoRefusedError(
        f"This workspace keeps {used} of the {format_gigabytes(usage.allowed_bytes)} that it may, so "
        f"{format_gigabytes(total_bytes)} more do not fit. Nothing was stored. "
        "Ask whoever runs this site for more room.",
        code="quota",
    )


def forget_dead_reservations() -> int:
    """Delete what died uploads left; return how many."""
    return StorageReservation.objects.filter(renewed_at__lt=Now() - LIFE).delete()[0]


def _living() -> QuerySet[StorageReservation]:
    return StorageReservation.objects.filter(renewed_at__gte=Now() - LIFE)


def _take_out(larger: Reservation, total_bytes: int) -> None:
    rest = Greatest(F("total_bytes") - total_bytes, Value(0), output_field=BigIntegerField())
    StorageReservation.objects.filter(pk=larger.id).update(total_bytes=rest, renewed_at=Now())
