"""Telling whoever asked for an export how it ended, on the site and by e-mail."""

from __future__ import annotations

import logging
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.urls import reverse

from accounts.models import Membership, NoticeKind, PersonExport, WorkspaceExport
from accounts.notices import Message, tell

logger = logging.getLogger(__name__)


def tell_ready(export: PersonExport | WorkspaceExport) -> None:
    """Say that it can be downloaded, and until when. In the transaction that makes it so."""
    until = f"{export.expires_at:%-d %B %Y}" if export.expires_at else ""
    size = f"{max(export.file_bytes / 1e6, 0.1):.1f} MB"
    _tell(export, "ready", f"{_what(export)} is ready", f"{size}, to be downloaded until {until}.", "")


def tell_failed(export: PersonExport | WorkspaceExport) -> None:
    """Say that there will be none. In the transaction that makes it so."""
    _tell(
        export,
        "failed",
        f"{_what(export)} could not be made",
        export.problem,
        "Ask for it again on the same page.",
    )


def _what(export: PersonExport | WorkspaceExport) -> str:
    if isinstance(export, WorkspaceExport):
        return f"The export of {export.workspace.name}"
    return "The export of your data"


def _tell(export: PersonExport | WorkspaceExport, event: str, title: str, body: str, next_step: str) -> None:
    message = Message(
        kind=NoticeKind.EXPORT,
        key=f"export:{export.pk}:{event}",
        title=title,
        body=body,
        next_step=next_step,
        path=_path(export),
        action="Open the page",
    )
    member = _member(export)
    if member is not None:
        tell([member], message)
    elif isinstance(export, PersonExport):
        # Notices belong to workspaces; somebody who is in none gets the e-mail alone.
        address = export.user.email
        transaction.on_commit(lambda: _send(address, message))


def _member(export: PersonExport | WorkspaceExport) -> Membership | None:
    """Whose notice it is: that of the requester, in the workspace or, for their own data, in the one joined first."""
    if isinstance(export, WorkspaceExport):
        return Membership.objects.filter(workspace_id=export.workspace_id, user=export.requested_by).first()
    return export.user.memberships.usable().order_by("created_at", "pk").first()


def _path(export: PersonExport | WorkspaceExport) -> str:
    if isinstance(export, WorkspaceExport):
        return reverse("workspace_data", kwargs={"slug": export.workspace.slug})
    return reverse("personal_data")


def _send(address: str, message: Message) -> None:
    text = "\n\n".join(
        part for part in (message.body, message.next_step, settings.BASE_URL + message.path) if part
    )
    try:
        send_mail(message.title, text, None, [address])
    except (OSError, SMTPException) as error:
        logger.warning("an export's e-mail was not sent: %s", type(error).__name__)
