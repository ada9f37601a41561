"""The audit log of a workspace, and its export."""

from __future__ import annotations

import uuid
from datetime import date
from typing import cast
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import audit
from accounts.audit_log import Filters, as_csv, events_of, lines, rows_for_file
from accounts.models import User
from accounts.permissions import Permission
from accounts.tenancy import require_membership

PAGE_SIZE = 50


@never_cache
@require_safe
def audit_list(request: HttpRequest, slug: str) -> HttpResponse:
    """Show what happened in the workspace, the newest first."""
    membership = require_membership(request, slug, at_least=Permission.SEE_AUDIT.least)
    filters = _filters(request.GET.dict())
    page = Paginator(events_of(membership.workspace, filters), PAGE_SIZE).get_page(request.GET.get("page"))
    people = User.objects.filter(memberships__workspace=membership.workspace).order_by("name", "email")
    context = {
        "page": page,
        "lines": lines(page),
        "filters": filters,
        "groups": [(key, label) for key, (label, _) in audit.GROUPS.items()],
        "query": urlencode(_query(filters)),
        "kept": _query(filters),
        "people": people,
    }
    return render(request, "accounts/audit.html", context)


@require_POST
def audit_export(request: HttpRequest, slug: str) -> StreamingHttpResponse:
    """Send the events that pass the filters as CSV. That somebody took them is an event too."""
    membership = require_membership(request, slug, at_least=Permission.SEE_AUDIT.least)
    filters = _filters(request.POST.dict())
    actor = cast(User, request.user)
    audit.record(
        "audit.exported",
        workspace=membership.workspace,
        actor=actor,
        request=request,
        filters=urlencode(_query(filters)) or "none",
    )
    rows = as_csv(rows_for_file(events_of(membership.workspace, filters)))
    name = f"{slug}-audit-{timezone.now():%Y-%m-%d}.csv"
    return StreamingHttpResponse(
        rows,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


def _filters(given: dict[str, str]) -> Filters:
    """Read what the address or form says; what makes no sense is as if it were not there."""
    group = given.get("group", "")
    return Filters(
        group=group if group in audit.GROUPS else "",
        person=_uuid(given.get("person", "")),
        first_day=_day(given.get("from", "")),
        last_day=_day(given.get("to", "")),
    )


def _query(filters: Filters) -> dict[str, str]:
    values = {
        "group": filters.group,
        "person": str(filters.person or ""),
        "from": filters.first_day.isoformat() if filters.first_day else "",
        "to": filters.last_day.isoformat() if filters.last_day else "",
    }
    return {name: value for name, value in values.items() if value}


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _day(text: str) -> date | None:
    try:
        return parse_date(text)
    except ValueError:
        return None
