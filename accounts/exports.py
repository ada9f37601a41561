"""Exports of data: asked for on a page, made by a worker, kept for a week, deleted.

A row is a job. A worker claims it with a lease and renews that while it writes; one that dies leaves a lease that ends,
and the next worker begins again with a file of its own. Redis and Celery only ring: what is due stands in the database.
"""

from __future__ import annotations

import errno
import logging
import shutil
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from django.core.files.storage import default_storage
from django.db import IntegrityError, connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts import audit
from accounts.export_archive import Archive, ArchiveFile, local_path
from accounts.export_contents import measure, write_contents
from accounts.export_telling import tell_failed, tell_ready
from accounts.models import (
    DataExport,
    ExportState,
    Membership,
    PersonExport,
    User,
    Workspace,
    WorkspaceExport,
)
from accounts.scopes import System, system_scope

logger = logging.getLogger(__name__)

Export = PersonExport | WorkspaceExport
E = TypeVar("E", bound=DataExport)
KINDS: tuple[type[PersonExport], type[WorkspaceExport]] = (PersonExport, WorkspaceExport)

FOLDER = "exports"
KEPT_FOR = timedelta(days=7)
ROWS_KEPT_FOR = timedelta(days=90)
LEASE = timedelta(seconds=60)
BEAT_S = 2.0
"""How often the worker renews its lease and says how far it is."""

SLOTS = 2
"""How many exports are made at a time, over all workers: each reads and writes a disk as fast as it can."""

MAX_TRIES = 5
WAIT = timedelta(minutes=1)
"""Times the number of the try: the pause after a failure that may pass."""

RESERVED_BYTES = 256 * 1024**2
"""What an export leaves free on a disk, for uploads and the database."""

_CLAIM_LOCK = 7_204_311  # any number that no other advisory lock of ours has
_HOPELESS = "It failed several times. Ask for it again; if that fails too, tell whoever runs this site."
_NO_ROOM_WORDS = "The server has no room for it. Tell whoever runs this site, then ask for it again."
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class ExportError(Exception):
    """There can be no export now; the text is for people."""


class NoRoomError(Exception):
    """The disk would be full."""


class LostLeaseError(Exception):
    """Another worker has this export, or it was canceled, or is gone with its person or workspace."""


def request_person_export(*, user: User) -> PersonExport:
    """Have an export of a person's own data made. Raises ExportError while one is under way."""
    with transaction.atomic():
        export = _create(PersonExport(user=user))
        audit.record("account.export_requested", workspace=None, actor=user, export=export.pk)
    return export


def request_workspace_export(*, actor: Membership) -> WorkspaceExport:
    """Have an export of the actor's workspace made; the door checks the role. Raises ExportError as above."""
    with transaction.atomic():
        export = _create(WorkspaceExport(workspace=actor.workspace, requested_by=actor.user))
        audit.record(
            "workspace.export_requested", workspace=actor.workspace, actor=actor.user, export=export.pk
        )
    return export


def cancel_person_export(*, user: User) -> bool:
    """End the person's export that is being made, if there is one; return whether this call did it."""
    return _cancel(
        PersonExport.objects.filter(user=user), "account.export_canceled", workspace=None, actor=user
    )


def cancel_workspace_export(*, actor: Membership) -> bool:
    """The same for the export of the actor's workspace; the door checks the role."""
    rows = WorkspaceExport.objects.filter(workspace=actor.workspace)
    return _cancel(rows, "workspace.export_canceled", workspace=actor.workspace, actor=actor.user)


def _cancel(rows: Any, action: str, *, workspace: Workspace | None, actor: User) -> bool:
    """Take row and file away. A worker that is at it notices with its next beat, and ends."""
    with transaction.atomic():
        being_made = rows.filter(state__in=[ExportState.WAITING, ExportState.BUILDING])
        export = being_made.select_for_update().order_by("pk").first()
        if export is None:
            return False
        audit.record(action, workspace=workspace, actor=actor, export=export.pk)
        export.delete()
        transaction.on_commit(lambda: _delete_file(export.file_name))
    return True


def _create(export: E) -> E:
    try:
        with transaction.atomic():
            export.save(force_insert=True)
    except IntegrityError:
        raise ExportError("An export is being made already. It appears here when it is ready.") from None
    transaction.on_commit(_ring)
    return export


def _ring() -> None:
    """Have a worker look at once. Without a broker the beat's next round does it."""
    from accounts.tasks import build_exports

    try:
        build_exports.delay()
    except Exception as error:
        logger.info("no worker could be rung for an export: %s", type(error).__name__)


@system_scope(System.EXPORT)
def build_due() -> str:
    """Make the exports that wait, one after another; return what was done. Any number may run at once."""
    outcomes = []
    while (export := _claim()) is not None:
        outcomes.append(_build(export))
    return " ".join(outcomes) or "none"


def _claim() -> Export | None:
    """Take the export that has waited longest, unless SLOTS are being made. One that failed too often is ended."""
    while True:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CLAIM_LOCK])
            busy = sum(kind.objects.filter(lease_until__gt=Now()).count() for kind in KINDS)
            export = None if busy >= SLOTS else _next()
            if export is None:
                return None
            left_over, is_hopeless = export.file_name, export.tries >= MAX_TRIES
            if is_hopeless:
                _fail(export, _HOPELESS)
            else:
                _take(export)
        _delete_file(left_over)
        if not is_hopeless:
            return export


def _next() -> Export | None:
    free = Q(lease_until=None) | Q(lease_until__lte=Now())
    waiting: list[Export] = []
    for kind in KINDS:
        rows = kind.objects.filter(free, state__in=["waiting", "building"], wake_at__lte=Now())
        waiting += rows.select_for_update(skip_locked=True, of=("self",)).order_by("requested_at", "pk")[:1]
    return min(waiting, key=lambda export: export.requested_at, default=None)


def _take(export: Export) -> None:
    token = uuid.uuid4()
    name = f"{FOLDER}/{export.pk}-{export.tries + 1}-{token.hex[:8]}.zip"
    _rows(export).update(
        state=ExportState.BUILDING,
        lease_token=token,
        lease_until=Now() + LEASE,
        tries=F("tries") + 1,
        done_bytes=0,
        file_name=name,
    )
    export.refresh_from_db()


def _rows(export: Export) -> Any:
    return type(export)._default_manager.filter(pk=export.pk)


def _held(export: Export) -> Any:
    return _rows(export).filter(lease_token=export.lease_token)


def _build(export: Export) -> str:
    try:
        size = _write(export)
        _finish(export, size)
    except LostLeaseError:
        _delete_file(export.file_name)
        return "lost"
    except Exception as error:
        logger.exception("export %s: try %d failed", export.pk, export.tries)
        _delete_file(export.file_name)
        return _give_back(export, error) if _held(export).exists() else "lost"
    logger.info("export %s: ready, %d bytes", export.pk, size)
    return "ready"


def _write(export: Export) -> int:
    """Write the file and return its size in bytes."""
    total = measure(export)
    _check_room(export.file_name, total)
    if not _held(export).update(total_bytes=total):
        raise LostLeaseError
    with (
        ArchiveFile(default_storage, export.file_name) as file,
        Archive(file, at=timezone.now(), beat=_pulse(export)) as archive,
    ):
        write_contents(export, archive)
    return int(default_storage.size(export.file_name))


def _pulse(export: Export) -> Callable[[int], None]:
    """Return what the archive calls with each piece: now and then it renews the lease and notes how far it is."""
    done, last = 0, time.monotonic()

    def beat(count: int) -> None:
        nonlocal done, last
        done += count
        if time.monotonic() - last < BEAT_S:
            return
        last = time.monotonic()
        _check_room(export.file_name, 0)
        if not _held(export).update(lease_until=Now() + LEASE, done_bytes=done):
            raise LostLeaseError

    return beat


def _check_room(name: str, wanted_bytes: int) -> None:
    """Raise NoRoomError if the disk cannot take so much and keep its reserve. An object store has room."""
    place = local_path(default_storage, name)
    if place is None:
        return
    folder = next(parent for parent in place.parents if parent.is_dir())
    if shutil.disk_usage(folder).free < wanted_bytes + RESERVED_BYTES:
        raise NoRoomError


def _finish(export: Export, size: int) -> None:
    with transaction.atomic():
        ready = _held(export).update(
            state=ExportState.READY,
            file_bytes=size,
            done_bytes=F("total_bytes"),
            ready_at=Now(),
            expires_at=Now() + KEPT_FOR,
            lease_token=None,
            lease_until=None,
        )
        if not ready:
            raise LostLeaseError
        export.refresh_from_db()
        _record_made(export)
        tell_ready(export)
    for older in _siblings(export).filter(state=ExportState.READY):
        delete_export(older)


def _record_made(export: Export) -> None:
    if isinstance(export, WorkspaceExport):
        workspace_id, actor = export.workspace_id, export.requested_by
        audit.record("workspace.exported", workspace=workspace_id, actor=actor, export=export.pk)
    else:
        audit.record("account.exported", workspace=None, actor=export.user, export=export.pk)


def _siblings(export: Export) -> Any:
    if isinstance(export, WorkspaceExport):
        rows: Any = WorkspaceExport.objects.filter(workspace_id=export.workspace_id)
    else:
        rows = PersonExport.objects.filter(user_id=export.user_id)
    return rows.exclude(pk=export.pk)


def _give_back(export: Export, error: Exception) -> str:
    """After a failure: end it where another try would not help, else let it wait."""
    if isinstance(error, NoRoomError) or getattr(error, "errno", None) in _NO_ROOM:
        with transaction.atomic():
            if _held(export).select_for_update().exists():
                _fail(export, _NO_ROOM_WORDS)
        return "no room"
    _held(export).update(
        state=ExportState.WAITING,
        lease_token=None,
        lease_until=None,
        file_name="",
        wake_at=Now() + WAIT * export.tries,
    )
    return "again"


def _fail(export: Export, problem: str) -> None:
    _rows(export).update(
        state=ExportState.FAILED, problem=problem, lease_token=None, lease_until=None, file_name=""
    )
    export.refresh_from_db()
    tell_failed(export)


def delete_export(export: Export) -> None:
    """Delete the file now; the row stays a while to say that there was one."""
    _delete_file(export.file_name)
    _rows(export).update(state=ExportState.EXPIRED, file_name="")


@system_scope(System.EXPORT)
def sweep() -> str:
    """Delete what is over: files after KEPT_FOR, rows long after that, and files that no row names. Safe to repeat."""
    count = 0
    for kind in KINDS:
        for export in kind.objects.filter(state=ExportState.READY, expires_at__lte=Now()):
            delete_export(export)
            count += 1
        old = kind.objects.filter(requested_at__lt=Now() - ROWS_KEPT_FOR)
        old.exclude(state__in=[ExportState.WAITING, ExportState.BUILDING, ExportState.READY]).delete()
    return f"expired={count} strays={_delete_strays()}"


def _delete_strays() -> int:
    """Files are named before they are begun, so one without a row has lost it: with its workspace, person or worker."""
    try:
        found = {f"{FOLDER}/{name}" for name in default_storage.listdir(FOLDER)[1]}
    except FileNotFoundError:
        return 0
    for kind in KINDS:
        found -= set(kind.objects.filter(file_name__in=found).values_list("file_name", flat=True))
    for name in found:
        _delete_file(name)
    return len(found)


def delete_files_of(exports: Any) -> None:
    """Delete the files of a query's rows, which are about to go."""
    for name in exports.exclude(file_name="").values_list("file_name", flat=True):
        _delete_file(name)


def _delete_file(name: str) -> None:
    if not name:
        return
    try:
        default_storage.delete(name)
    except Exception:  # of whatever storage; the next sweep finds it
        logger.warning("the export's file %s could not be deleted", name)


def newest_of_person(user: User) -> PersonExport | None:
    """The export that a person's page is about."""
    return PersonExport.objects.filter(user=user).order_by("-pk").first()


def newest_of_workspace(membership: Membership) -> WorkspaceExport | None:
    """The export that a workspace's page is about."""
    return WorkspaceExport.objects.filter(workspace_id=membership.workspace_id).order_by("-pk").first()
