"""Deleting a workspace: a wish, a grace period in which it can be taken back, then the removal of everything."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now
from django.dispatch import Signal
from django.utils import timezone

from accounts import admin_log, audit, exports
from accounts.models import AuditEvent, Membership, User, Workspace, WorkspaceExport
from accounts.permissions import Permission
from accounts.scopes import System, system_scope, workspace_scope
from accounts.signals import workspace_disconnecting, workspace_emptying, workspace_stopping

logger = logging.getLogger(__name__)

GRACE = timedelta(days=14)


class RemovalError(Exception):
    """This cannot be done with a workspace's deletion; the text is for people."""


def request_deletion(*, actor: Membership) -> Workspace:
    """Have the workspace removed after GRACE; until then it works as before and can be restored. Safe to repeat.

    Raises RemovalError if the actor is no owner any more.
    """
    with transaction.atomic():
        workspace = _locked(actor)
        _request(workspace, by=actor.user)
    return workspace


def request_deletion_by_operator(workspace: Workspace, *, operator: User) -> bool:
    """The same for an operator in the admin; return whether this call did it."""
    with transaction.atomic():
        locked = Workspace.objects.select_for_update().get(pk=workspace.pk)
        return _request(locked, by=operator)


def restore_by_operator(workspace: Workspace, *, operator: User) -> bool:
    """Take the wish back for an operator; return whether this call did it. Too late once the removal has begun."""
    with transaction.atomic():
        locked = Workspace.objects.select_for_update().get(pk=workspace.pk)
        return locked.removal_started_at is None and _take_back(locked, by=operator)


def _request(workspace: Workspace, *, by: User) -> bool:
    if workspace.delete_after is not None:
        return False
    workspace.delete_after = timezone.now() + GRACE
    workspace.deletion_requested_by = by
    workspace.save(update_fields=["delete_after", "deletion_requested_by"])
    audit.record(
        "workspace.deletion_requested",
        workspace=workspace,
        actor=by,
        delete_after=workspace.delete_after.isoformat(timespec="seconds"),
    )
    return True


def _take_back(workspace: Workspace, *, by: User) -> bool:
    if workspace.delete_after is None:
        return False
    workspace.delete_after = None
    workspace.deletion_requested_by = None
    workspace.save(update_fields=["delete_after", "deletion_requested_by"])
    audit.record("workspace.restored", workspace=workspace, actor=by)
    return True


def restore(*, actor: Membership) -> Workspace:
    """Take the wish back. Raises RemovalError if the actor is no owner any more, or the removal has begun."""
    with transaction.atomic():
        workspace = _locked(actor)
        _take_back(workspace, by=actor.user)
    return workspace


def _locked(actor: Membership) -> Workspace:
    workspace = Workspace.objects.select_for_update().get(pk=actor.workspace_id)
    fresh = Membership.objects.filter(pk=actor.pk).first()
    if fresh is None or not fresh.may(Permission.DELETE):
        raise RemovalError("Only an owner can delete or restore a workspace.")
    if workspace.removal_started_at:
        raise RemovalError("Its removal has begun, so it can't be brought back.")
    return workspace


@system_scope(System.REMOVAL)
def remove_due() -> str:
    """Remove the workspaces whose grace is over; return what was done, for the log. Safe to run twice or beside itself.

    What cannot be ended yet (a video on its way, a platform's answer awaited) is left for the next run.
    """
    with system_scope(System.REMOVAL):
        due = Workspace.objects.filter(delete_after__lte=Now(), removal_started_at=None)
        due.update(removal_started_at=Now())
        doomed = list(Workspace.objects.exclude(removal_started_at=None).order_by("pk"))
    outcomes = []
    for workspace in doomed:
        with workspace_scope(workspace.pk):  # so that no slip in here reaches another one's rows
            outcomes.append(_remove(workspace))
    return f"removed={outcomes.count(True)} waiting={outcomes.count(False)}"


def _remove(workspace: Workspace) -> bool:
    """Take one workspace as far as it goes. Nobody gets in any more, and a failure stops no other one."""
    for signal in (workspace_stopping, workspace_disconnecting, workspace_emptying):
        if not _is_done(signal, workspace):
            logger.info("workspace removal waits workspace=%s", workspace.pk)
            return False
    with transaction.atomic():
        locked = Workspace.objects.select_for_update().filter(pk=workspace.pk).first()
        if locked is None:
            return True  # another run was faster
        exports.delete_files_of(WorkspaceExport.objects.filter(workspace=workspace))
        admin_log.forget(Workspace, [workspace.pk])
        locked.delete()
        _end_log(workspace)
    logger.info("workspace removed workspace=%s", workspace.pk)
    return True


def _end_log(workspace: Workspace) -> None:
    """Delete the workspace's events, whose words may name people and accounts; one stays, and says what was done.

    The database lets them go only now that the workspace is gone and that one is written (migration 0008).
    """
    events = AuditEvent.objects.filter(workspace_id=workspace.pk)
    disconnected = events.filter(action="connection.disconnected")
    answers = sorted(disconnected.values_list("details__revocation", flat=True))
    last = audit.record(
        "workspace.removed",
        workspace=workspace.pk,
        actor=None,
        revocations=answers,
        events=events.count(),
    )
    events.exclude(pk=last.pk).delete()


def _is_done(signal: Signal, workspace: Workspace) -> bool:
    done = True
    for receiver, answer in signal.send_robust(Workspace, workspace=workspace):
        if isinstance(answer, Exception):
            # Django has logged the traceback.
            name = getattr(receiver, "__name__", receiver)
            logger.error("workspace removal failed workspace=%s handler=%s", workspace.pk, name)
            done = False
        done = done and answer is not False
    return done
