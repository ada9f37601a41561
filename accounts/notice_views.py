"""The list of what a member was told in a workspace, and the switches for it."""

from __future__ import annotations

import uuid
from typing import cast

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Notice, NoticeKind, User
from accounts.notices import Switches, mark_read, set_preferences
from accounts.tenancy import require_membership

PAGE_SIZE = 30


@never_cache
@require_safe
def notice_list(request: HttpRequest, slug: str) -> HttpResponse:
    """List what the member was told in this workspace, the newest first."""
    membership = require_membership(request, slug)
    page = Paginator(Notice.objects.listed(membership), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "accounts/notices.html", {"page": page})


@never_cache
@require_safe
def open_notice(request: HttpRequest, slug: str, notice_id: uuid.UUID) -> HttpResponse:
    """Go to the page that a notice is about; it is read thereby."""
    membership = require_membership(request, slug)
    notice = get_object_or_404(Notice.objects.listed(membership), pk=notice_id)
    mark_read(membership, notice.pk)
    return redirect(notice.path or reverse("notices:list", kwargs={"slug": slug}))


@require_POST
def read_one(request: HttpRequest, slug: str, notice_id: uuid.UUID) -> HttpResponse:
    """Mark one notice as read."""
    membership = require_membership(request, slug)
    get_object_or_404(Notice.objects.listed(membership), pk=notice_id)
    mark_read(membership, notice_id)
    return _back_to_list(request, slug)


@require_POST
def read_all(request: HttpRequest, slug: str) -> HttpResponse:
    """Mark all of the member's notices in this workspace as read."""
    mark_read(require_membership(request, slug))
    return _back_to_list(request, slug)


def _back_to_list(request: HttpRequest, slug: str) -> HttpResponse:
    page = request.POST.get("page", "")
    address = reverse("notices:list", kwargs={"slug": slug})
    return redirect(f"{address}?page={page}" if page.isdecimal() else address)


@require_POST
def save_switches(request: HttpRequest) -> HttpResponse:
    """Keep which kinds of notices the user wants, and where. A box that is not ticked is not sent."""
    chosen = {
        kind: Switches(
            on_site=f"{kind.value}-site" in request.POST, by_email=f"{kind.value}-email" in request.POST
        )
        for kind in NoticeKind
    }
    set_preferences(cast(User, request.user), chosen)
    messages.success(request, "Saved.")
    return redirect(reverse("profile") + "#notifications")
