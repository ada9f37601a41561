"""Pages about somebody's data: exporting it, and where its deletion begins."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import exports
from accounts.exports import Export, ExportError
from accounts.models import User
from accounts.permissions import Permission
from accounts.tenancy import require_membership

POLL_S = 2


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def personal_data(request: HttpRequest) -> HttpResponse:
    """Show how far the export of the person's own data is, and begin one."""
    user = cast(User, request.user)
    if request.method == "POST":
        try:
            exports.request_person_export(user=user)
        except ExportError as error:
            messages.info(request, str(error))
        return redirect("personal_data")
    return _page(request, "accounts/personal_data.html", exports.newest_of_person(user), {})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def workspace_data(request: HttpRequest, slug: str) -> HttpResponse:
    """Show an owner how far the export of the workspace is, and begin one."""
    actor = require_membership(request, slug, at_least=Permission.EXPORT_DATA.least)
    if request.method == "POST":
        try:
            exports.request_workspace_export(actor=actor)
        except ExportError as error:
            messages.info(request, str(error))
        return redirect("workspace_data", slug=slug)
    export = exports.newest_of_workspace(actor)
    return _page(request, "accounts/workspace_data.html", export, {})


@require_POST
def personal_export_cancel(request: HttpRequest) -> HttpResponse:
    """Cancel the export of the person's own data that is being made."""
    is_canceled = exports.cancel_person_export(user=cast(User, request.user))
    _tell_canceled(request, is_canceled)
    return redirect("personal_data")


@require_POST
def workspace_export_cancel(request: HttpRequest, slug: str) -> HttpResponse:
    """Cancel the export of the workspace that is being made."""
    actor = require_membership(request, slug, at_least=Permission.EXPORT_DATA.least)
    _tell_canceled(request, exports.cancel_workspace_export(actor=actor))
    return redirect("workspace_data", slug=slug)


def _tell_canceled(request: HttpRequest, is_canceled: bool) -> None:
    if is_canceled:
        messages.success(request, "The export is canceled. What was made of it is deleted.")
    else:
        messages.info(request, "There was no export to cancel: it had ended already.")


def _page(
    request: HttpRequest, template: str, export: Export | None, context: dict[str, Any]
) -> HttpResponse:
    """The page, or to htmx, which asks while an export is being made, its live part."""
    is_part = request.headers.get("HX-Request") == "true"
    is_open = export is not None and export.is_open
    context |= {
        "export": export,
        "is_open": is_open,
        "poll_seconds": POLL_S if is_open else None,
        "days": exports.KEPT_FOR.days,
    }
    if is_part:
        return render(request, "accounts/_export.html", context)
    return render(request, template, context)
