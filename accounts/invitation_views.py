"""Pages about invitations: sending them from the members page, and answering one."""

from __future__ import annotations

import uuid
from typing import cast

from allauth.decorators import rate_limit
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import invitations
from accounts.forms import InvitationForm
from accounts.invitations import SESSION_KEY, InvitationError
from accounts.models import Invitation, Membership, Role, User
from accounts.permissions import Permission
from accounts.scopes import person_scope
from accounts.tenancy import require_membership
from accounts.views import REFUSED, show_members

GONE = 410
LINKS = {"invitation": "30/m/ip"}
"""How often one address may come by a link."""


@require_POST
def invite(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask an address into the workspace; the members page again, with what is wrong, if that can't be."""
    actor = require_membership(request, slug, at_least=Permission.MANAGE_MEMBERS.least)
    form = InvitationForm(request.POST, actor=actor)
    if form.is_valid():
        try:
            role = Role(form.cleaned_data["role"])
            invitation = invitations.invite(actor=actor, email=form.cleaned_data["email"], role=role)
        except InvitationError as error:
            form.add_error("email", str(error))
        else:
            _tell_sent(request, invitation)
            return redirect("workspace_members", slug=slug)
    return show_members(request, actor, form=form, status=REFUSED)


@require_POST
def resend(request: HttpRequest, slug: str, invitation_id: uuid.UUID) -> HttpResponse:
    """Send a new link."""
    actor = require_membership(request, slug, at_least=Permission.MANAGE_MEMBERS.least)
    try:
        _tell_sent(request, invitations.resend(actor=actor, invitation_id=invitation_id))
    except Invitation.DoesNotExist:
        raise Http404("No such invitation") from None
    except InvitationError as error:
        messages.error(request, str(error))
    return redirect("workspace_members", slug=slug)


@require_POST
def revoke(request: HttpRequest, slug: str, invitation_id: uuid.UUID) -> HttpResponse:
    """Take an invitation back."""
    actor = require_membership(request, slug, at_least=Permission.MANAGE_MEMBERS.least)
    try:
        invitation = invitations.revoke(actor=actor, invitation_id=invitation_id)
    except Invitation.DoesNotExist:
        raise Http404("No such invitation") from None
    except InvitationError as error:
        messages.error(request, str(error))
    else:
        messages.success(
            request, f"The invitation of {invitation.email} is revoked. Its link no longer works."
        )
    return redirect("workspace_members", slug=slug)


def _tell_sent(request: HttpRequest, invitation: Invitation) -> None:
    if invitation.sent_at:
        messages.success(request, f"The invitation is on its way to {invitation.email}.")
    else:
        messages.warning(
            request,
            f"The mail server did not take the e-mail to {invitation.email}. The invitation is kept: send it again.",
        )


@login_not_required
@never_cache
@require_safe
@rate_limit(action="invitation", config=LINKS, limit_get=True)  # each is a guess, and a session
def open_link(request: HttpRequest, token: str) -> HttpResponse:
    """Come by the link in an e-mail: the token goes out of the address, where others could read it."""
    request.session[SESSION_KEY] = invitations.hash_of(token)
    return redirect("invitation")


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def answer(request: HttpRequest) -> HttpResponse:
    """Show the invitation that this browser came by, and take it."""
    user = request.user if isinstance(request.user, User) else None
    invitation = invitations.of_session(request)
    if invitation is None:
        return _show(request, "unknown", None, status=404)
    if invitation.accepted_by_id and user and invitation.accepted_by_id == user.pk:
        return _enter(request, invitation)
    if not invitations.is_open(invitation):
        return _show(request, _why_over(invitation), invitation, status=GONE)
    if user is None:
        return _show(request, "visitor", invitation)
    if not invitations.is_for(invitation, user):
        return _show(request, "other", invitation, status=403 if request.method == "POST" else 200)
    if request.method != "POST":
        return _show(request, "ready", invitation)
    try:
        membership = invitations.accept(invitation, user=user)
    except InvitationError as error:
        messages.error(request, str(error))
        return redirect("invitation")
    messages.success(
        request, f"You are in {invitation.workspace.name}, as {membership.get_role_display().lower()}."
    )
    return _enter(request, invitation)


def _enter(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    request.session.pop(SESSION_KEY, None)
    user = cast(User, request.user)
    with person_scope(user.pk):
        is_member = (
            Membership.objects.usable().filter(workspace_id=invitation.workspace_id, user=user).exists()
        )
    if is_member:
        return redirect("workspace_open", slug=invitation.workspace.slug)
    return redirect("home")  # accepted once, and left or removed since


def _why_over(invitation: Invitation) -> str:
    if invitation.accepted_at:
        return "accepted"
    if invitation.revoked_at or invitation.workspace.delete_after:
        return "revoked"
    return "expired"


def _show(request: HttpRequest, state: str, invitation: Invitation | None, status: int = 200) -> HttpResponse:
    context = {
        "state": state,
        "invitation": invitation,
        "role": Role(invitation.role) if invitation else None,
    }
    return render(request, "accounts/invitation.html", context, status=status)
