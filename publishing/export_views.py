"""Downloading an export, whole or on from where a download broke off."""

from __future__ import annotations

import uuid
from typing import cast

from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts import audit
from accounts.models import DataExport, ExportState, PersonExport, User, WorkspaceExport
from accounts.permissions import Permission
from accounts.tenancy import require_membership
from publishing.serving import StoredFile, serve_file


@require_safe
def personal_download(request: HttpRequest, export_id: uuid.UUID) -> HttpResponseBase:
    """Send the export of the person's own data to that person. To all others there is no such thing."""
    user = cast(User, request.user)
    rows = PersonExport.objects.filter(user=user, state=ExportState.READY, expires_at__gt=timezone.now())
    export = get_object_or_404(rows, pk=export_id)
    if _is_beginning(request):
        audit.record("account.export_downloaded", workspace=None, actor=user, export=export.pk)
    return _send(request, export, f"broadside-my-data-{export.requested_at:%Y-%m-%d}.zip")


@require_safe
def workspace_download(request: HttpRequest, slug: str, export_id: uuid.UUID) -> HttpResponseBase:
    """Send the export of a workspace to one of its owners."""
    actor = require_membership(request, slug, at_least=Permission.EXPORT_DATA.least)
    rows = WorkspaceExport.objects.filter(
        workspace=actor.workspace, state=ExportState.READY, expires_at__gt=timezone.now()
    )
    export = get_object_or_404(rows, pk=export_id)
    if _is_beginning(request):
        audit.record(
            "workspace.export_downloaded", workspace=actor.workspace, actor=actor.user, export=export.pk
        )
    return _send(request, export, f"{slug}-export-{export.requested_at:%Y-%m-%d}.zip")


def _is_beginning(request: HttpRequest) -> bool:
    """Whether this is a download and not the rest of one, or a look at its size."""
    wanted = request.headers.get("Range", "")
    return request.method == "GET" and (not wanted or wanted.startswith("bytes=0-"))


def _send(request: HttpRequest, export: DataExport, file_name: str) -> HttpResponseBase:
    file = StoredFile(
        storage=default_storage,
        name=export.file_name,
        total_bytes=export.file_bytes,
        content_type="application/zip",
        sha256=export.pk.hex,  # an entity tag: the file of an export never changes
    )
    return serve_file(request, file, file_name=file_name, cache="private, no-store")
