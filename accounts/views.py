"""Pages about people and workspaces."""

from __future__ import annotations

import uuid
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.forms import InvitationForm, ProfileForm, RoleForm, WorkspaceForm
from accounts.models import Invitation, Membership, Role, User
from accounts.permissions import Permission
from accounts.scopes import person_scope
from accounts.tenancy import require_membership
from accounts.workspaces import (
    LastOwnerError,
    RoleChangeError,
    TooManyWorkspacesError,
    change_role,
    create_further_workspace,
    is_last_owner,
    remembered_membership,
    remove_member,
    rename_workspace,
)

MEMBERS_PER_PAGE = 50
REFUSED = 422  # a form shown again, with what is wrong in it


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # the middleware lets nobody else in


def _posted(request: HttpRequest) -> QueryDict | None:
    return request.POST if request.method == "POST" else None


@login_not_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Bring a member to the workspace used last; tell a visitor what this is."""
    if not request.user.is_authenticated:
        return render(request, "home.html")
    with person_scope(_user(request).pk):
        memberships = list(_user(request).memberships.usable().select_related("workspace"))
    membership = remembered_membership(request, memberships)
    if membership is None:
        return redirect("workspace_list")
    return redirect("publishing:post_list", slug=membership.workspace.slug)


@require_safe
def workspace_open(request: HttpRequest, slug: str) -> HttpResponse:
    """Enter a workspace: it becomes the one used last."""
    membership = require_membership(request, slug)
    return redirect("publishing:post_list", slug=membership.workspace.slug)


@require_http_methods(["GET", "HEAD", "POST"])
def workspace_list(request: HttpRequest) -> HttpResponse:
    """List the user's workspaces and make a new one."""
    form = WorkspaceForm(_posted(request))
    if form.is_valid():
        try:
            workspace = create_further_workspace(name=form.cleaned_data["name"], owner=_user(request))
        except TooManyWorkspacesError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{workspace.name} is ready.")
            return redirect("workspace_open", slug=workspace.slug)
    return render(
        request, "accounts/workspace_list.html", {"form": form}, status=REFUSED if form.errors else 200
    )


@require_http_methods(["GET", "HEAD", "POST"])
def workspace_settings(request: HttpRequest, slug: str) -> HttpResponse:
    """Rename a workspace."""
    actor = require_membership(request, slug, at_least=Permission.MANAGE_SETTINGS.least)
    form = WorkspaceForm(_posted(request), instance=actor.workspace)
    if form.is_valid():
        rename_workspace(actor=actor, name=form.cleaned_data["name"])
        messages.success(request, "Saved.")
        return redirect("workspace_settings", slug=slug)
    if form.errors:
        actor.workspace.refresh_from_db(fields=["name"])  # the frame keeps showing the name that holds
    return render(
        request, "accounts/workspace_settings.html", {"form": form}, status=REFUSED if form.errors else 200
    )


@require_safe
def workspace_members(request: HttpRequest, slug: str) -> HttpResponse:
    """Show who is in the workspace, what each role may do, and let managers invite and change."""
    actor = require_membership(request, slug)
    return show_members(request, actor, form=InvitationForm(actor=actor))


def show_members(
    request: HttpRequest, actor: Membership, *, form: InvitationForm, status: int = 200
) -> HttpResponse:
    """The members page, also where an invitation was refused."""
    members = actor.workspace.memberships.select_related("user").order_by("created_at", "pk")
    page = Paginator(members, MEMBERS_PER_PAGE).get_page(request.GET.get("page"))
    rows = [
        {
            "member": member,
            "form": RoleForm(actor=actor, member=member, auto_id=f"role-{member.pk}"),
            "can_change": actor.can_assign(member, Role(member.role)),
            "can_remove": actor.can_remove(member),
        }
        for member in page
    ]
    context = {
        "rows": rows,
        "page": page,
        "form": form,
        "can_invite": actor.may(Permission.MANAGE_MEMBERS),
        "pending": _pending(actor) if actor.may(Permission.MANAGE_MEMBERS) else [],
        "roles": list(reversed(Role)),
        "permissions": list(Permission),
    }
    return render(request, "accounts/workspace_members.html", context, status=status)


def _pending(actor: Membership) -> list[dict[str, Any]]:
    rows = Invitation.objects.unanswered().filter(workspace=actor.workspace).select_related("invited_by")
    return [
        {"invitation": one, "can_change": actor.can_grant(Role(one.role))}
        for one in rows.order_by("-created_at")
    ]


def _member_or_404(actor: Membership, membership_id: uuid.UUID) -> Membership:
    return get_object_or_404(actor.workspace.memberships.select_related("user"), pk=membership_id)


@require_POST
def member_role(request: HttpRequest, slug: str, membership_id: uuid.UUID) -> HttpResponse:
    """Give a member another role."""
    actor = require_membership(request, slug, at_least=Permission.MANAGE_MEMBERS.least)
    member = _member_or_404(actor, membership_id)
    form = RoleForm(request.POST, actor=actor, member=member)
    if not form.is_valid():
        messages.error(request, "That role can't be given by you.")
        return redirect("workspace_members", slug=slug)
    role = Role(form.cleaned_data["role"])
    try:
        change_role(actor=actor, membership_id=membership_id, role=role)
    except Membership.DoesNotExist:
        raise Http404("No such member") from None
    except (LastOwnerError, RoleChangeError) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{member.user.get_full_name()} is now {role.label.lower()}.")
    return redirect("workspace_members", slug=slug)


@require_http_methods(["GET", "HEAD", "POST"])
def member_remove(request: HttpRequest, slug: str, membership_id: uuid.UUID) -> HttpResponse:
    """Ask, then take a member out of the workspace; everybody may leave by themselves."""
    actor = require_membership(request, slug)
    member = _member_or_404(actor, membership_id)
    if not actor.can_remove(member):
        raise PermissionDenied("You may not remove this member.")
    if request.method != "POST":
        context = {"member": member, "is_last_owner": is_last_owner(member)}
        return render(request, "accounts/member_remove.html", context)
    try:
        remove_member(actor=actor, membership_id=membership_id)
    except Membership.DoesNotExist:
        raise Http404("No such member") from None
    except (LastOwnerError, RoleChangeError) as error:
        messages.error(request, str(error))
        return redirect("workspace_members", slug=slug)
    if member.pk == actor.pk:
        messages.success(request, f"You have left {actor.workspace.name}.")
        return redirect("home")
    messages.success(request, f"{member.user.get_full_name()} is no longer a member.")
    return redirect("workspace_members", slug=slug)


@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """Show and change the user's own name."""
    user = _user(request)
    form = ProfileForm(_posted(request), instance=user)
    if form.is_valid():
        user.save(update_fields=["name"])
        messages.success(request, "Saved.")
        return redirect("profile")
    if form.errors:
        user.refresh_from_db(fields=["name"])
    return render(request, "accounts/profile.html", {"form": form}, status=REFUSED if form.errors else 200)
