"""The audit log: one call for each thing worth knowing later, in the transaction of the change itself.

The log keeps ids and plain words. It keeps no token, no key, no address typed into a log-in form (people type passwords
there), no caption. An e-mail address that belongs to no account yet is masked.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from allauth.account.adapter import get_adapter
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from accounts.models import AuditEvent, Membership, User, Workspace
from accounts.scopes import System, person_scope, system_scope, workspace_scope

ACTIONS: dict[str, str] = {
    "sign_in": "Signed in",
    "sign_in.failed": "Sign-in failed",
    "sign_out": "Signed out",
    "password.changed": "Password changed",
    "password.reset": "Password reset",
    "email.confirmed": "E-mail address confirmed",
    "email.changed": "E-mail address changed",
    "session.ended": "Session ended from another browser",
    "sign_in_method.linked": "TikTok account linked for log-in",
    "sign_in_method.unlinked": "TikTok account unlinked from log-in",
    "second_step.added": "Second step of log-in added",
    "second_step.removed": "Second step of log-in removed",
    "second_step.codes_renewed": "Recovery codes renewed",
    "invitation.sent": "Invitation sent",
    "invitation.resent": "Invitation sent again",
    "invitation.revoked": "Invitation revoked",
    "invitation.accepted": "Invitation accepted",
    "member.added": "Member added by an operator",
    "member.role_changed": "Role changed",
    "member.removed": "Member removed",
    "member.left": "Member left",
    "account.export_requested": "Export of a person's data asked for",
    "account.export_canceled": "Export of a person's data canceled",
    "account.exported": "Export of a person's data made",
    "account.export_downloaded": "Export of a person's data downloaded",
    "account.deletion_started": "Account deleted",
    "account.removed": "Account removed for good",
    "workspace.created": "Workspace created",
    "workspace.export_requested": "Export of all data asked for",
    "workspace.export_canceled": "Export of all data canceled",
    "workspace.exported": "Export of all data made",
    "workspace.export_downloaded": "Export of all data downloaded",
    "workspace.retention_changed": "Keeping of source videos changed",
    "workspace.renamed": "Workspace renamed",
    "workspace.transferred": "Ownership handed over",
    "workspace.deletion_requested": "Workspace deleted, restorable",
    "workspace.restored": "Workspace restored",
    "workspace.removed": "Workspace removed for good",
    "connection.connected": "Account connected",
    "connection.reconnected": "Account reconnected",
    "connection.needs_reauth": "Account needs reconnecting",
    "connection.refresh_failed": "Access of an account could not be renewed",
    "connection.scopes_changed": "Permissions of an account changed",
    "connection.primary_changed": "Primary account changed",
    "connection.disconnected": "Account disconnected",
    "post.created": "Post created",
    "post.published": "Post published",
    "post.in_inbox": "Draft sent to the inbox",
    "post.failed": "Post failed",
    "post.canceled": "Post canceled",
    "post.retried": "Post retried",
    "post.marked_as_posted": "Post marked as posted",
    "post.source_removed": "Source video of a post removed",
    "post.file_infected": "Malware found in an uploaded file",
    "audit.exported": "Audit log exported",
    "keys.rotated": "Encryption keys rotated",
    "admin.added": "Added in the admin",
    "admin.changed": "Changed in the admin",
    "admin.deleted": "Deleted in the admin",
}
"""Every action there is, with what people read."""

GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "sign-in": ("Sign-ins", ("sign_in", "sign_out", "session.", "password.", "email.", "second_step.")),
    "members": ("Members", ("member.", "invitation.", "account.")),
    "connections": ("Connections", ("connection.",)),
    "posts": ("Posts", ("post.",)),
    "workspace": ("Workspace", ("workspace.", "audit.", "keys.", "admin.")),
}
"""What the page filters by: a label, and how the actions of it begin."""

_FORBIDDEN = ("token", "secret", "password", "key", "verifier", "upload_url", "code_verifier")
"""What no detail may be called, so that a slip is found by the first test that runs over it."""

_request: ContextVar[HttpRequest | None] = ContextVar("audit_request", default=None)


class AuditMiddleware:
    """Lets `record` know from where the request under way comes, however deep in the services it is called."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Remember `request` until it is answered."""
        mark = _request.set(request)
        try:
            return self._get_response(request)
        finally:
            _request.reset(mark)


def record(
    action: str,
    *,
    workspace: Workspace | uuid.UUID | None,
    actor: User | None,
    request: HttpRequest | None = None,
    **details: Any,
) -> AuditEvent:
    """Write one event. Call it in the transaction of the change, so that neither is there without the other.

    `action` is one of ACTIONS; `details` are ids and plain words. `request` is where it came from, by default the one
    that is being answered. Raises ValueError for an unknown action or a detail that sounds like a secret.
    """
    if action not in ACTIONS:
        raise ValueError(f"{action!r} is not in ACTIONS")
    if secret := [name for name in details if name in _FORBIDDEN]:
        raise ValueError(f"{secret} must not be in the audit log")
    workspace_id = workspace.pk if isinstance(workspace, Workspace) else workspace
    with workspace_scope(workspace_id) if workspace_id else system_scope(System.AUDIT):
        return AuditEvent.objects.create(
            workspace_id=workspace_id,
            actor_id=actor.pk if actor else None,
            action=action,
            ip=_ip_of(request or _request.get()),
            details={name: _plain(value) for name, value in details.items()},
        )


def record_for_person(
    action: str, *, user: User, actor: User | None, request: HttpRequest | None = None, **details: Any
) -> None:
    """Write what concerns a person and not one workspace: once for each workspace that they are a member of."""
    with person_scope(user.pk):
        rows = Membership.objects.filter(user=user).values_list("workspace_id", flat=True)
        ids: list[uuid.UUID | None] = [*rows]
    for workspace_id in ids or [None]:
        record(action, workspace=workspace_id, actor=actor, request=request, **details)


def current_actor() -> User | None:
    """The person whose request is being answered; None in a task, a command, or for a visitor."""
    user = getattr(_request.get(), "user", None)
    return user if isinstance(user, User) else None


def masked(email: str) -> str:
    """An address that can be recognized and not written to: "n***@example.com"."""
    name, _, domain = email.rpartition("@")
    return f"{name[:1]}***@{domain}"


def _ip_of(request: HttpRequest | None) -> str | None:
    """The client's address; behind a proxy only as TRUST_PROXY_HEADERS says, so that nobody writes their own."""
    if request is None:
        return None
    try:
        return str(get_adapter().get_client_ip(request))
    except PermissionDenied:
        return None  # no address to be had, as over a Unix socket


def _plain(value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    if isinstance(value, str):
        return " ".join(value.replace("\x00", "").split())[:400]
    return value if isinstance(value, bool | int | float | None) else str(value)[:400]
