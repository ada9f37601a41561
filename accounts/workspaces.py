"""Making workspaces, remembering the one in use, and changing who may do what in them."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.text import slugify

from accounts import audit
from accounts.models import Invitation, Membership, Role, User, Workspace
from accounts.scopes import System, system_scope, workspace_scope

SESSION_KEY = "workspace_id"
SLUG_ATTEMPTS = 8


class LastOwnerError(Exception):
    """A workspace always keeps an owner: its last one neither leaves nor steps down."""


class RoleChangeError(Exception):
    """This member may not make that change."""


class TooManyWorkspacesError(Exception):
    """This person owns as many workspaces as the site allows to one."""


def create_further_workspace(*, name: str, owner: User) -> Workspace:
    """As `create_workspace`, at a person's own wish: up to `WORKSPACES_PER_PERSON` of their own. 0 is no limit.

    Without one, whoever meets a workspace's quota would make another. Those that are being deleted count until they are
    gone. Raises TooManyWorkspacesError.
    """
    most = settings.WORKSPACES_PER_PERSON
    with transaction.atomic():
        User.objects.select_for_update().get(pk=owner.pk)  # requests at once are counted one by one
        if most and Membership.objects.filter(user=owner, role=Role.OWNER).count() >= most:
            raise TooManyWorkspacesError(
                f"You own {most} workspaces, as many as one person may here. Deleted ones count until they are gone."
            )
        return create_workspace(name=name, owner=owner)


def create_workspace(*, name: str, owner: User, slug: str = "") -> Workspace:
    """Save a workspace with `owner` in it, in one transaction.

    Its slug is made from its name and always ends at random: a plain name that is refused would tell anybody that
    such a workspace exists. `slug` is one that an operator chose; raises IntegrityError if it is taken.
    """
    base = slugify(name)[:40].strip("-") or "workspace"
    for _ in range(SLUG_ATTEMPTS):
        workspace = Workspace(name=name, slug=slug or f"{base}-{secrets.token_hex(3)}")
        try:
            with workspace_scope(workspace.pk), transaction.atomic():
                workspace.save(force_insert=True)
                Membership.objects.create(workspace=workspace, user=owner, role=Role.OWNER)
                audit.record("workspace.created", workspace=workspace, actor=owner, name=name)
        except IntegrityError:
            if slug or not _is_taken(workspace.slug):
                raise
        else:
            return workspace
    raise RuntimeError(f"No free slug found in {SLUG_ATTEMPTS} tries")


@system_scope(System.SLUG)
def _is_taken(slug: str) -> bool:
    return Workspace.objects.filter(slug=slug).exists()


def create_personal_workspace(*, user: User) -> Workspace:
    """Make the workspace that a new account starts with, named after its person."""
    return create_workspace(name=f"{user.get_full_name().split('@')[0][:60]}'s workspace", owner=user)


def remember_workspace(request: HttpRequest, workspace: Workspace) -> None:
    """Note in the session that this workspace was used last. Polls of a page in the background don't count."""
    used = str(workspace.pk)
    if request.headers.get("HX-Request") or request.session.get(SESSION_KEY) == used:
        return
    request.session[SESSION_KEY] = used


def remembered_membership(request: HttpRequest, memberships: Sequence[Membership]) -> Membership | None:
    """Return the membership of the workspace used last, else of the one joined first, None without any."""
    last = request.session.get(SESSION_KEY) if hasattr(request, "session") else None
    for membership in memberships:
        if str(membership.workspace_id) == last:
            return membership
    return min(memberships, key=lambda membership: membership.created_at, default=None)


def rename_workspace(*, actor: Membership, name: str) -> None:
    """Give the actor's workspace another name; its slug stays. Reloads `actor.workspace`."""
    with transaction.atomic():
        workspace = Workspace.objects.select_for_update().get(pk=actor.workspace_id)
        was, workspace.name = workspace.name, name
        workspace.save(update_fields=["name"])
        if was != name:
            audit.record("workspace.renamed", workspace=workspace, actor=actor.user, was=was, now=name)
    actor.workspace = workspace


def change_role(*, actor: Membership, membership_id: uuid.UUID, role: Role) -> Membership:
    """Give a member of the actor's workspace another role; their invitations that it may not give end.

    Raises RoleChangeError if the actor may not, LastOwnerError if no owner would be left, Membership.DoesNotExist.
    """
    with transaction.atomic():
        actor, membership = _lock_members(actor, membership_id)
        if not actor.can_assign(membership, role):
            raise RoleChangeError("Only an owner can make or change an owner or an admin.")
        if role != Role.OWNER:
            _keep_an_owner(membership)
        _set_role(actor, membership, role)
    return membership


def transfer_ownership(*, actor: Membership, membership_id: uuid.UUID) -> Membership:
    """Make another member the owner, and the actor an admin, at once; return the new owner.

    Raises RoleChangeError if the actor is no owner or means themselves, Membership.DoesNotExist.
    """
    with transaction.atomic():
        actor, heir = _lock_members(actor, membership_id)
        if not actor.is_owner or actor.pk == heir.pk:
            raise RoleChangeError("Only an owner can hand a workspace over, and to somebody else.")
        _set_role(actor, heir, Role.OWNER)
        _set_role(actor, actor, Role.ADMIN)
        audit.record(
            "workspace.transferred", workspace=actor.workspace_id, actor=actor.user, user=heir.user_id
        )
    return heir


def remove_member(*, actor: Membership, membership_id: uuid.UUID) -> Membership:
    """Take a member out of the actor's workspace, with the invitations they sent; everybody may take out themselves.

    Membership is asked for with each request, so their sessions lose the workspace at once. Raises RoleChangeError if
    the actor may not, LastOwnerError if no owner would be left, Membership.DoesNotExist.
    """
    with transaction.atomic():
        actor, membership = _lock_members(actor, membership_id)
        if not actor.can_remove(membership):
            raise RoleChangeError("Only an owner can remove an owner or an admin.")
        _keep_an_owner(membership)
        action = "member.left" if membership.pk == actor.pk else "member.removed"
        audit.record(
            action,
            workspace=membership.workspace_id,
            actor=actor.user,
            user=membership.user_id,
            role=membership.role,
        )
        end_invitations(membership, unless=frozenset())
        membership.delete()
    return membership


def _set_role(actor: Membership, membership: Membership, role: Role) -> None:
    was, membership.role = membership.role, role
    membership.save(update_fields=["role"])
    if was == role:
        return
    audit.record(
        "member.role_changed",
        workspace=membership.workspace_id,
        actor=actor.user,
        user=membership.user_id,
        was=was,
        now=role.value,
    )
    end_invitations(membership, unless=role.grants)


def end_invitations(sender: Membership, *, unless: frozenset[Role]) -> None:
    """Revoke what somebody invited who may not any more: else a removed admin could come back by another address."""
    rows = Invitation.objects.unanswered().filter(
        workspace_id=sender.workspace_id, invited_by_id=sender.user_id
    )
    for invitation in rows.exclude(role__in=unless):
        Invitation.objects.filter(pk=invitation.pk).update(revoked_at=Now())
        audit.record(
            "invitation.revoked",
            workspace=sender.workspace_id,
            actor=None,
            invitation=invitation.pk,
            email=audit.masked(invitation.email),
            reason="the inviter may not invite any more",
        )


def _lock_members(actor: Membership, membership_id: uuid.UUID) -> tuple[Membership, Membership]:
    """Re-read both under the workspace's lock, so that two owners can't each step down believing in the other."""
    workspace = Workspace.objects.select_for_update().get(pk=actor.workspace_id)
    members = workspace.memberships.select_related("user")
    target = members.get(pk=membership_id)
    return (target if actor.pk == membership_id else members.get(pk=actor.pk)), target


def is_last_owner(membership: Membership) -> bool:
    """Whether the workspace would be without an owner if this member left. Nothing is locked: it may change."""
    others = Membership.objects.filter(
        workspace_id=membership.workspace_id, role=Role.OWNER, user__is_active=True
    ).exclude(pk=membership.pk)
    return membership.role == Role.OWNER and not others.exists()


def _keep_an_owner(leaving: Membership) -> None:
    if is_last_owner(leaving):
        raise LastOwnerError("A workspace needs an owner. Make somebody else an owner first.")
