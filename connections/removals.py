"""What follows when an account took its authorization away at the platform, or goes with its workspace."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts.scopes import System, system_scope, workspace_scope
from connections import services
from connections.lifecycle import record_needs_reauth
from connections.models import ConnectionStatus, SocialConnection, WebhookEvent
from connections.notifying import tell_needs_reauth
from connections.signals import connection_lost

logger = logging.getLogger(__name__)

DOUBT = timedelta(minutes=1)
"""The platform's clock and ours may differ by so much, and its times are whole seconds.

Where an authorization ended about when the account was connected, only the platform can say which came first.
"""


class Removal(StrEnum):
    """What became of the news that an authorization ended."""

    LATER = "later"  # somebody of ours is at the tokens just now, perhaps the one who ended it
    ENDED = "ended"
    UNTOUCHED = "untouched"  # unknown here, disconnected, or connected again since


def end_authorization(event: WebhookEvent) -> Removal:
    """Mark every connection of that account, in whichever workspace, and drop its dead tokens.

    One that was connected again after the event is left alone; where the times are too close to tell, the platform is
    asked. Sends `connection_lost` for each that was active. Safe to call twice. Not to be called in a transaction.
    """
    at = min(event.occurred_at or event.received_at, event.received_at)  # their clock may be ahead
    rows = SocialConnection.objects.filter(
        provider=event.provider, provider_account_id=event.account_id
    ).exclude(status=ConnectionStatus.REVOKED)
    if event.is_own_doing and rows.filter(refresh_lease_until__gt=Now()).exists():
        return Removal.LATER  # a disconnect tells the platform first and wipes its row a moment later
    outcomes = set()
    for row in rows.order_by("created_at"):
        with workspace_scope(row.workspace_id):
            outcomes.add(_end_one(row, at=at, reason=event.message))
    return next((outcome for outcome in Removal if outcome in outcomes), Removal.UNTOUCHED)


def forget_events(connection: SocialConnection) -> None:
    """Delete what the platform told of an account that is connected nowhere but in a workspace that is going.

    An event of any workspace's account is of no workspace, so that no cascade reaches it.
    """
    same = {"provider": connection.provider, "provider_account_id": connection.provider_account_id}
    with system_scope(System.SHARED_ACCOUNT):
        if not SocialConnection.objects.filter(**same).exclude(pk=connection.pk).exists():
            events = WebhookEvent.objects.filter(provider=connection.provider)
            events.filter(account_id=connection.provider_account_id).delete()


def _end_one(connection: SocialConnection, *, at: datetime, reason: str) -> Removal:
    connected_at = connection.connected_at or connection.created_at
    if connected_at > at + DOUBT:
        return Removal.UNTOUCHED
    if connected_at > at - DOUBT:
        outcome = services.test_connection(connection).outcome  # a refusal of both tokens marks it
        if outcome is services.TestOutcome.UNREACHABLE:
            return Removal.LATER
        if outcome is not services.TestOutcome.NEEDS_RECONNECT:
            return Removal.UNTOUCHED
    return Removal.ENDED if _drop(connection, reason=reason) else Removal.UNTOUCHED


def _drop(connection: SocialConnection, *, reason: str) -> bool:
    """Only the authorization that was read: another one that came meanwhile has another `connected_at`."""
    same = SocialConnection.objects.filter(pk=connection.pk).exclude(
        connected_at__gt=connection.connected_at or connection.created_at
    )
    with transaction.atomic():
        was_active = bool(same.active().update(**_ended(reason)))
        marked = same.filter(status=ConnectionStatus.NEEDS_REAUTH).exclude(access_token="", refresh_token="")
        changed = was_active or bool(marked.update(**_ended(reason)))
        connection.refresh_from_db()
        if was_active:
            tell_needs_reauth(connection)
            record_needs_reauth(connection, reason=reason)
            connection_lost.send(SocialConnection, connection=connection, reason=reason)
    if changed:
        logger.warning(
            "authorization removed at the platform workspace=%s connection=%s",
            connection.workspace_id,
            connection.pk,
        )
    return changed


def _ended(reason: str) -> dict[str, Any]:
    # The generation goes up so that a refresher under way does not store its pair over this.
    return {
        "status": ConnectionStatus.NEEDS_REAUTH,
        "status_reason": reason[:200],
        "access_token": "",
        "refresh_token": "",
        "access_expires_at": None,
        "refresh_expires_at": None,
        "token_generation": F("token_generation") + 1,
    }
