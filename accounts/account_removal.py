"""Deleting one's account: what goes with it is said first, then it goes, with everything that is the person's alone.

It begins in one transaction: the person is out of every workspace and every browser. Workspaces that nobody else is in
are removed next (`accounts.removal`), which may have to wait for a worker or a platform; then the account itself goes,
and with it every row that holds an address or a name of theirs.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from smtplib import SMTPException

from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Lower, Now
from django.template.loader import render_to_string

from accounts import admin_log, audit, exports
from accounts.models import Invitation, Membership, PersonExport, Role, User, Workspace
from accounts.scopes import System, system_scope
from accounts.signals import person_removing
from accounts.workspaces import end_invitations

logger = logging.getLogger(__name__)


class AccountRemovalError(Exception):
    """The account cannot be deleted now; the text is for people."""


@dataclass
class Consequences:
    """What the deletion of an account does to the workspaces of its person.

    `blocking`: others are in it and nobody else owns it. `deleted`: nobody else is in it. `left`: it goes on without
    them. `ending`: it is to be deleted already, and without them nobody can keep it.
    """

    blocking: list[Workspace] = field(default_factory=list)
    deleted: list[Workspace] = field(default_factory=list)
    left: list[Workspace] = field(default_factory=list)
    ending: list[Workspace] = field(default_factory=list)


@system_scope(System.REMOVAL)
def consequences_of(user: User) -> Consequences:
    """Say what would become of each workspace that `user` is in, by name."""
    found = Consequences()
    for mine in user.memberships.usable().select_related("workspace").order_by("workspace__name", "pk"):
        _sort_in(mine, found)
    return found


def _sort_in(mine: Membership, found: Consequences) -> None:
    others = Membership.objects.filter(workspace_id=mine.workspace_id).exclude(pk=mine.pk)
    others = others.filter(user__removal_started_at=None)
    if not others.exists():
        found.deleted.append(mine.workspace)
    elif not mine.is_owner or others.filter(role=Role.OWNER, user__is_active=True).exists():
        found.left.append(mine.workspace)
    elif mine.workspace.delete_after is not None:
        found.ending.append(mine.workspace)
    else:
        found.blocking.append(mine.workspace)


@system_scope(System.REMOVAL)
def start_removal(*, user: User, operator: User | None = None) -> None:
    """Take `user` out of everything, and have the account removed. There is no way back.

    `operator` is who does it for them, in the admin: the audit log says so.
    Raises AccountRemovalError while a workspace with other members has no other owner, or for the last operator.
    """
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        if locked.removal_started_at is not None:
            return
        found = _consequences_under_lock(locked)
        _refuse(locked, found)
        actor = operator or locked
        _take_out_of_workspaces(locked, found, by=actor)
        audit.record("account.deletion_started", workspace=None, actor=actor, user=locked.pk)
        _lock_out(locked)
        transaction.on_commit(lambda: _say_goodbye(locked.email))
        transaction.on_commit(_ring)


def _consequences_under_lock(user: User) -> Consequences:
    """The same answer, which nobody can change until the transaction ends: members change under this lock too."""
    ids = user.memberships.values("workspace_id")
    list(Workspace.objects.select_for_update().filter(pk__in=ids).order_by("pk"))
    return consequences_of(user)


def _refuse(user: User, found: Consequences) -> None:
    if found.blocking:
        names = ", ".join(workspace.name for workspace in found.blocking)
        raise AccountRemovalError(
            f"Others work in {names}, and nobody else owns it. Hand it over or delete it first."
        )
    operators = User.objects.filter(is_superuser=True, is_active=True).exclude(pk=user.pk)
    if user.is_superuser and not operators.exists():
        raise AccountRemovalError("You are the only operator of this site. Make somebody else one first.")


def _take_out_of_workspaces(user: User, found: Consequences, *, by: User) -> None:
    for workspace in found.deleted:
        _end_workspace(workspace, by=by)
    for workspace in [*found.left, *found.ending, *found.blocking]:
        _leave(workspace, user, by=by)


def _end_workspace(workspace: Workspace, *, by: User) -> None:
    """Nobody else is in it, so nobody needs a grace period."""
    Workspace.objects.filter(pk=workspace.pk).update(
        delete_after=Now(), removal_started_at=Now(), deletion_requested_by=None
    )
    audit.record("workspace.deletion_requested", workspace=workspace, actor=by, reason="account deleted")


def _leave(workspace: Workspace, user: User, *, by: User) -> None:
    mine = Membership.objects.get(workspace=workspace, user=user)
    audit.record(
        "member.left",
        workspace=workspace,
        actor=by,
        user=user.pk,
        role=mine.role,
        reason="account deleted",
    )
    end_invitations(mine, unless=frozenset())
    mine.delete()


def _lock_out(user: User) -> None:
    """From here on nobody is this person: no password, no session, no second step opens anything."""
    user.removal_started_at = Now()
    user.is_active = user.is_staff = user.is_superuser = False
    user.set_unusable_password()
    user.save(update_fields=["removal_started_at", "is_active", "is_staff", "is_superuser", "password"])
    for session in UserSession.objects.filter(user=user):
        session.end()


def _say_goodbye(address: str) -> None:
    text = render_to_string("accounts/account_deleted_email.txt")
    try:
        send_mail("Your Broadside account is deleted", text, None, [address])
    except (OSError, SMTPException) as error:
        logger.warning("the e-mail about a deleted account was not sent: %s", type(error).__name__)


def _ring() -> None:
    from accounts.tasks import remove_workspaces

    try:
        remove_workspaces.delay()
    except Exception as error:  # without a broker the beat's next round does it
        logger.info("no worker could be rung for a deletion: %s", type(error).__name__)


@system_scope(System.REMOVAL)
def remove_due() -> str:
    """Remove the accounts whose workspaces are gone; return what was done, for the log. Safe to run beside itself."""
    outcomes = [_remove(user) for user in User.objects.exclude(removal_started_at=None).order_by("pk")]
    return f"removed={outcomes.count(True)} waiting={outcomes.count(False)}"


def _remove(user: User) -> bool:
    try:
        with transaction.atomic():
            locked = User.objects.select_for_update().filter(pk=user.pk).first()
            if locked is None:
                return True  # another run was faster
            if locked.memberships.usable().exists():  # come into since, by a request that was under way
                _take_out_of_workspaces(locked, _consequences_under_lock(locked), by=locked)
            if locked.memberships.exists():
                return False  # a workspace of theirs is being removed; its accounts and files come first
            _take_out(locked)
            audit.record("account.removed", workspace=None, actor=None, user=locked.pk)
            locked.delete()
    except Exception:
        logger.exception("account removal failed user=%s", user.pk)
        return False
    logger.info("account removed user=%s", user.pk)
    return True


def _take_out(user: User) -> None:
    """Remove what a cascade does not reach: rows of others that hold their address, and files."""
    person_removing.send(User, user=user)
    confirmed = EmailAddress.objects.filter(user=user, verified=True)
    addresses = {user.email.lower(), *confirmed.values_list(Lower("email"), flat=True)}
    proven = set(confirmed.values_list(Lower("email"), flat=True))
    # An address that was never confirmed may be somebody else's, and so may an invitation to it.
    invitations = Invitation.objects.annotate(address=Lower("email"))
    invitations.filter(Q(accepted_by=user) | Q(address__in=proven)).delete()
    exports.delete_files_of(PersonExport.objects.filter(user=user))
    admin_log.forget(User, [user.pk])
    admin_log.forget_words(addresses)
