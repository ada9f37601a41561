"""Asking people into a workspace by e-mail.

The link in the e-mail is a random token, of which the database keeps a hash. It works once, within seven days, for the
address that it was sent to and with the role that was chosen then. Whoever opens it reads the mailbox, so accepting
also proves the address.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import uuid
from datetime import timedelta
from smtplib import SMTPException
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.ids import first_uuid7_since
from accounts.models import AuditEvent, Invitation, Membership, Role, User, Workspace
from accounts.permissions import Permission
from accounts.scopes import System, system_scope, workspace_scope

logger = logging.getLogger(__name__)

LIFE = timedelta(days=7)
PER_DAY = 100
"""E-mails by one person or for one workspace within a day, those sent again too: nobody asked for them."""

PAUSE = timedelta(minutes=1)
"""Between two e-mails of one invitation."""


SESSION_KEY = "invitation"
"""Where a browser that came by a link remembers which one: the hash, not the token."""


class InvitationError(Exception):
    """This cannot be done with an invitation; the text is for people."""


def invite(*, actor: Membership, email: str, role: Role) -> Invitation:
    """Ask `email` into the actor's workspace and send the link; `sent_at` stays empty if the mail server fails.

    Tells nobody whether the address has an account. Raises InvitationError if the actor may not give that role, if the
    address is a member or was invited already, or if there were too many.
    """
    email = email.strip().lower()
    token = secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            workspace = Workspace.objects.select_for_update().get(pk=actor.workspace_id)
            actor = _sender(actor, role)
            _refuse_unfit(workspace, actor.user, email)
            invitation = Invitation.objects.create(
                workspace=workspace,
                email=email,
                role=role,
                token_hash=hash_of(token),
                invited_by=actor.user,
                expires_at=timezone.now() + LIFE,
            )
            _record("invitation.sent", invitation, actor.user, role=role.value)
    except IntegrityError:
        raise InvitationError("This address was invited already.") from None
    _send(invitation, token)
    return invitation


def resend(*, actor: Membership, invitation_id: uuid.UUID) -> Invitation:
    """Send a new link for another seven days; the old one ends.

    Raises InvitationError if the actor may not give that role, the last e-mail is less than a minute old or there were
    too many, and Invitation.DoesNotExist if it was answered.
    """
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        Workspace.objects.select_for_update().get(pk=actor.workspace_id)
        invitation = _unanswered(actor, invitation_id)
        actor = _sender(actor, Role(invitation.role))
        if invitation.sent_at and invitation.sent_at > timezone.now() - PAUSE:
            raise InvitationError("It was sent a moment ago. Wait a minute before you send it again.")
        _refuse_too_many(invitation.workspace, actor.user)
        invitation.token_hash = hash_of(token)
        invitation.expires_at = timezone.now() + LIFE
        invitation.invited_by = actor.user
        invitation.sent_at = None
        invitation.save(update_fields=["token_hash", "expires_at", "invited_by", "sent_at"])
        _record("invitation.resent", invitation, actor.user)
    _send(invitation, token)
    return invitation


def revoke(*, actor: Membership, invitation_id: uuid.UUID) -> Invitation:
    """Take an invitation back. Raises InvitationError if the actor may not, Invitation.DoesNotExist if answered."""
    with transaction.atomic():
        Workspace.objects.select_for_update().get(pk=actor.workspace_id)
        invitation = _unanswered(actor, invitation_id)
        actor = _sender(actor, Role(invitation.role), is_sending=False)
        invitation.revoked_at = timezone.now()
        invitation.save(update_fields=["revoked_at"])
        _record("invitation.revoked", invitation, actor.user)
    return invitation


def accept(invitation: Invitation, *, user: User) -> Membership:
    """Make `user` a member with the invitation's role, once; their address is confirmed thereby.

    Who is a member already keeps the role they have. Raises InvitationError if it is over, or was sent to another
    address, or if the account is being deleted.
    """
    with workspace_scope(invitation.workspace_id), transaction.atomic():
        if not User.objects.select_for_update(no_key=True).filter(pk=user.pk, is_active=True).exists():
            raise InvitationError("This account is switched off.")
        Workspace.objects.select_for_update().get(pk=invitation.workspace_id)
        if not is_for(invitation, user):
            raise InvitationError("This invitation was sent to another address.")
        open_one = Invitation.objects.open().filter(pk=invitation.pk, token_hash=invitation.token_hash)
        if not open_one.update(accepted_at=Now(), accepted_by=user):
            raise InvitationError("This invitation is no longer good.")
        membership, is_new = Membership.objects.get_or_create(
            workspace_id=invitation.workspace_id, user=user, defaults={"role": invitation.role}
        )
        _confirm_address(user, invitation.email)
        _record("invitation.accepted", invitation, user, role=membership.role, was_member=not is_new)
        invitation.refresh_from_db(fields=["accepted_at", "accepted_by"])
    return membership


def is_for(invitation: Invitation, user: User) -> bool:
    """Whether the invited address is this person's: the one they log in with, or another they have confirmed."""
    if user.email.lower() == invitation.email.lower():
        return True
    return EmailAddress.objects.filter(user=user, verified=True, email__iexact=invitation.email).exists()


@system_scope(System.INVITATION)
def of_session(request: HttpRequest) -> Invitation | None:
    """The invitation whose link this browser opened last, whatever became of it; None without one."""
    known = request.session.get(SESSION_KEY)
    if not known:
        return None
    return Invitation.objects.select_related("workspace", "invited_by").filter(token_hash=known).first()


def open_of_session(request: HttpRequest) -> Invitation | None:
    """The same, only if it can be accepted now."""
    found = of_session(request)
    return found if found and is_open(found) else None


def is_open(invitation: Invitation) -> bool:
    """Whether it can be accepted now."""
    with workspace_scope(invitation.workspace_id):
        return Invitation.objects.open().filter(pk=invitation.pk).exists()


def hash_of(token: str) -> str:
    """What is kept of a token. It is random and long, so a plain hash is as good as a slow one."""
    return hashlib.sha256(token.encode()).hexdigest()


def _sender(actor: Membership, role: Role, *, is_sending: bool = True) -> Membership:
    """Read the actor anew, under the workspace's lock. Raises InvitationError if they may not invite to `role`."""
    fresh = Membership.objects.select_related("user", "workspace").filter(pk=actor.pk).first()
    if fresh is None or not fresh.may(Permission.MANAGE_MEMBERS) or not fresh.can_grant(role):
        raise InvitationError("Only an owner can invite owners and admins.")
    if is_sending and fresh.workspace.delete_after:
        raise InvitationError("This workspace is to be deleted. Restore it before you invite people.")
    unconfirmed = EmailAddress.objects.filter(user=fresh.user, email__iexact=fresh.user.email, verified=False)
    if is_sending and unconfirmed.exists():
        raise InvitationError("Confirm your own e-mail address first. The link is in your mailbox.")
    return fresh


def _refuse_unfit(workspace: Workspace, sender: User, email: str) -> None:
    addresses = EmailAddress.objects.filter(email__iexact=email, verified=True).values("user_id")
    members = Membership.objects.filter(workspace=workspace)
    if members.filter(user__email__iexact=email).exists() or members.filter(user__in=addresses).exists():
        raise InvitationError("This person is a member already.")
    same = Invitation.objects.unanswered().filter(workspace=workspace, email__iexact=email)
    if same.filter(expires_at__gt=Now()).exists():
        raise InvitationError("This address was invited already. You can send the invitation again below.")
    same.update(revoked_at=Now())  # it expired; the new one takes its place
    _refuse_too_many(workspace, sender)


@system_scope(System.INVITATION)  # somebody may send from many workspaces
def _refuse_too_many(workspace: Workspace, sender: User) -> None:
    """Count by the audit log, which holds each that was sent."""
    yesterday = first_uuid7_since(timezone.now() - timedelta(days=1))
    sent = AuditEvent.objects.filter(pk__gte=yesterday, action__in=["invitation.sent", "invitation.resent"])
    if (
        max(sent.filter(workspace_id=workspace.pk).count(), sent.filter(actor_id=sender.pk).count())
        >= PER_DAY
    ):
        raise InvitationError("That is enough invitations for today. Try again tomorrow.")


def _unanswered(actor: Membership, invitation_id: uuid.UUID) -> Invitation:
    rows = Invitation.objects.unanswered().select_related("workspace")
    return rows.get(pk=invitation_id, workspace_id=actor.workspace_id)


def _confirm_address(user: User, email: str) -> None:
    rows = EmailAddress.objects.filter(email__iexact=email)
    if not rows.filter(verified=True).exists():
        rows.filter(user=user).update(verified=True)


def _record(action: str, invitation: Invitation, actor: User, **details: Any) -> None:
    audit.record(
        action,
        workspace=invitation.workspace_id,
        actor=actor,
        invitation=invitation.pk,
        email=audit.masked(invitation.email),
        **details,
    )


def _send(invitation: Invitation, token: str) -> None:
    """Send the link, here and now: no queue ever holds it. A failure is noted by `sent_at` staying empty."""
    try:
        compose(invitation, token).send()
    except (OSError, SMTPException) as error:
        logger.warning("invitation not sent invitation=%s problem=%s", invitation.pk, type(error).__name__)
        return
    invitation.sent_at = timezone.now()
    Invitation.objects.filter(pk=invitation.pk).update(sent_at=invitation.sent_at)
    logger.info("invitation sent invitation=%s workspace=%s", invitation.pk, invitation.workspace_id)


def compose(invitation: Invitation, token: str) -> EmailMultiAlternatives:
    """Write the e-mail with the link."""
    inviter = invitation.invited_by.get_full_name() if invitation.invited_by else "Somebody"
    context = {
        "invitation": invitation,
        "inviter": _one_line(inviter),
        "workspace_name": _one_line(invitation.workspace.name),
        "url": settings.BASE_URL + reverse("invitation_open", kwargs={"token": token}),
        "days": LIFE.days,
    }
    message = EmailMultiAlternatives(
        subject=f"{context['inviter']} invites you to {context['workspace_name']}"[:160],
        body=render_to_string("accounts/invitation_email.txt", context),
        to=[invitation.email],
        headers={"Auto-Submitted": "auto-generated"},
    )
    message.attach_alternative(render_to_string("accounts/invitation_email.html", context), "text/html")
    return message


def _one_line(words: str) -> str:
    return " ".join(words.split())[:80]
