"""How a connection loses its authorization, and which one of a workspace's connections is primary.

Each function is one short transaction and tells whoever waits by the signals of `connections.signals`.
"""

from __future__ import annotations

import logging
from uuid import UUID

from django.core.cache import cache
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts import audit
from accounts.models import User, Workspace
from connections.errors import ProviderError
from connections.models import ConnectionStatus, SocialConnection
from connections.notifying import tell_needs_reauth
from connections.providers import provider_for
from connections.signals import connection_lost

log = logging.getLogger(__name__)

REFRESH_NOTED_EVERY_S = 3600


def mark_needs_reauth(connection: SocialConnection, *, reason: str, generation: int | None = None) -> bool:
    """Record that the person must connect this account again; return whether this call changed it.

    `reason` is for people. With `generation`, only if the stored pair is still that one: a refusal of an older pair
    says nothing about a newer one. Sends `connection_lost` once, in the same transaction. Reloads `connection`.
    """
    rows = SocialConnection.objects.active().filter(pk=connection.pk)
    if generation is not None:
        rows = rows.filter(token_generation=generation)
    with transaction.atomic():
        changed = bool(rows.update(status=ConnectionStatus.NEEDS_REAUTH, status_reason=reason[:200]))
        if not changed and not SocialConnection.objects.filter(pk=connection.pk).exists():
            return False
        connection.refresh_from_db()
        if changed:
            tell_needs_reauth(connection)
            record_needs_reauth(connection, reason=reason)
            connection_lost.send(SocialConnection, connection=connection, reason=reason)
    if changed:
        log.warning(
            "connection needs reconnecting workspace=%s connection=%s generation=%s",
            connection.workspace_id,
            connection.pk,
            connection.token_generation,
        )
    return changed


def record_needs_reauth(connection: SocialConnection, *, reason: str) -> None:
    """Note in the audit log that the platform took the access away. In the transaction that marks it so."""
    audit.record(
        "connection.needs_reauth",
        workspace=connection.workspace_id,
        actor=None,
        connection=connection.pk,
        account=connection.display_name,
        reason=reason,
    )


def record_refresh_failed(connection: SocialConnection, error: ProviderError) -> None:
    """Note in the audit log that the access could not be renewed: once an hour for one reason, tried each minute."""
    reason = error.code or type(error).__name__
    if cache.add(f"refresh-failed:{connection.pk}:{reason}", 1, REFRESH_NOTED_EVERY_S):
        audit.record(
            "connection.refresh_failed",
            workspace=connection.workspace_id,
            actor=audit.current_actor(),
            connection=connection.pk,
            account=connection.display_name,
            reason=reason,
            log_id=error.log_id,
        )


def record_scopes_changed(
    connection: SocialConnection, *, before: set[str], actor: User | None = None
) -> None:
    """Note in the audit log which permissions came and went since `before`, if any did."""
    now = set(connection.scopes)
    if now != before:
        audit.record(
            "connection.scopes_changed",
            workspace=connection.workspace_id,
            actor=actor,
            connection=connection.pk,
            account=connection.display_name,
            granted=sorted(now - before),
            withdrawn=sorted(before - now),
        )


def expired_reason(connection: SocialConnection) -> str:
    """What people read when the platform refuses both tokens."""
    label = provider_for(connection.provider).label
    return f"{label} no longer accepts this connection. Reconnect the account to go on."


def mark_disconnected(connection: SocialConnection, *, reason: str) -> bool:
    """Wipe both tokens, keep the row for the history, hand the primary flag on; return whether this call did it.

    Sends `connection_lost` in the same transaction. Reloads `connection`.
    """
    with transaction.atomic():
        lock_primary(connection.workspace_id)
        was_primary = SocialConnection.objects.filter(pk=connection.pk, is_primary=True).exists()
        changed = bool(
            SocialConnection.objects.filter(pk=connection.pk)
            .exclude(status=ConnectionStatus.REVOKED)
            .update(
                status=ConnectionStatus.REVOKED,
                status_reason="",
                access_token="",
                refresh_token="",
                access_expires_at=None,
                refresh_expires_at=None,
                refresh_lease_until=None,
                token_generation=F("token_generation") + 1,
                is_primary=False,
                disconnected_at=Now(),
            )
        )
        connection.refresh_from_db()
        if changed:
            if was_primary:
                promote_oldest(connection.workspace_id, connection.provider)
            connection_lost.send(SocialConnection, connection=connection, reason=reason)
    return changed


def lock_primary(workspace_id: UUID) -> None:
    """Let one transaction at a time decide about a workspace's primary connections, also when it has none yet.

    The partial unique index would refuse a second primary anyway; the lock makes the loser wait instead of fail.
    """
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace_id)


def promote_oldest(workspace_id: UUID, provider: str) -> None:
    """Make the oldest active connection primary, or else the oldest listed one. Needs `lock_primary`."""
    rows = SocialConnection.objects.filter(workspace_id=workspace_id, provider=provider)
    heir = rows.active().order_by("created_at", "pk").first()
    heir = heir or rows.exclude(status=ConnectionStatus.REVOKED).order_by("created_at", "pk").first()
    if heir is not None:
        rows.filter(pk=heir.pk).update(is_primary=True)
        audit.record(
            "connection.primary_changed",
            workspace=workspace_id,
            actor=None,
            connection=heir.pk,
            account=heir.display_name,
            reason="the primary account went",
        )


def has_primary(workspace_id: UUID, provider: str) -> bool:
    """Whether the workspace has a primary connection on `provider`."""
    return SocialConnection.objects.filter(
        workspace_id=workspace_id, provider=provider, is_primary=True
    ).exists()
