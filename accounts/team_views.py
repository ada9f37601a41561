"""Pages about the end of a workspace, and about who owns it."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts import removal
from accounts.forms import DeleteWorkspaceForm, TransferForm
from accounts.models import Membership
from accounts.permissions import Permission
from accounts.removal import RemovalError
from accounts.tenancy import require_membership
from accounts.views import REFUSED
from accounts.workspaces import RoleChangeError, transfer_ownership


@require_http_methods(["GET", "HEAD", "POST"])
def workspace_transfer(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask to whom, then hand the workspace over."""
    actor = require_membership(request, slug, at_least=Permission.TRANSFER.least)
    form = TransferForm(request.POST if request.method == "POST" else None, actor=actor)
    if form.is_valid():
        try:
            heir = transfer_ownership(actor=actor, membership_id=form.cleaned_data["member"].pk)
        except Membership.DoesNotExist:
            raise Http404("No such member") from None
        except RoleChangeError as error:
            messages.error(request, str(error))
        else:
            messages.success(
                request, f"{heir.user.get_full_name()} owns {actor.workspace.name} now. You are an admin."
            )
        return redirect("workspace_members", slug=slug)
    status = REFUSED if form.errors else 200
    return render(request, "accounts/workspace_transfer.html", {"form": form}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def workspace_delete(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask for the name, then begin the grace period."""
    actor = require_membership(request, slug, at_least=Permission.DELETE.least)
    if actor.workspace.delete_after:
        messages.info(request, "This workspace is to be deleted already.")
        return redirect("workspace_settings", slug=slug)
    form = DeleteWorkspaceForm(request.POST if request.method == "POST" else None, workspace=actor.workspace)
    if form.is_valid():
        try:
            removal.request_deletion(actor=actor)
        except RemovalError as error:
            messages.error(request, str(error))
        return redirect("workspace_settings", slug=slug)
    status = REFUSED if form.errors else 200
    context = {"form": form, "days": removal.GRACE.days}
    return render(request, "accounts/workspace_delete.html", context, status=status)


@require_POST
def workspace_restore(request: HttpRequest, slug: str) -> HttpResponse:
    """Keep a workspace that was to be deleted."""
    actor = require_membership(request, slug, at_least=Permission.DELETE.least)
    try:
        removal.restore(actor=actor)
    except RemovalError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{actor.workspace.name} is kept.")
    return redirect("workspace_settings", slug=slug)
