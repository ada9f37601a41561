"""Telling a workspace's owners and admins what an account needs of them."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.urls import reverse

from accounts.models import Notice, NoticeKind
from accounts.notices import Message, managers, tell
from accounts.scopes import System, system_scope
from connections.models import SocialConnection
from connections.providers import provider_for

WARN_DAYS = (1, 7, 30)
"""So many days before the refresh token ends people are told, once each."""


def lost_key(connection: SocialConnection) -> str:
    """Name the loss of what the creator consented to last: a person hears of it once, as the account's or a post's."""
    return f"connection:{connection.pk}:lost:{_consented_at(connection)}"


def tell_needs_reauth(connection: SocialConnection) -> None:
    """Say that the account must be reconnected. In the transaction that marks it so; safe to repeat."""
    tell(
        managers(connection.workspace_id),
        Message(
            kind=NoticeKind.RECONNECT,
            key=lost_key(connection),
            title=f"Reconnect {connection.display_name}",
            body=connection.status_reason,
            next_step="Reconnect the account. What waits for it then goes on by itself; nothing is lost.",
            path=reverse("connections:list", kwargs={"slug": connection.workspace.slug}),
            action="Open the connections",
        ),
    )


@system_scope(System.UPKEEP)
def warn_of_ending_access(*, now: datetime) -> int:
    """Tell of every active account whose refresh token ends within 30, 7 or 1 days; return of how many it was news.

    The nearest threshold counts, once each for one consent of the creator: a platform may state the same end a second
    earlier or later at each refresh, so its date is no part of the key. Safe to repeat.
    """
    ending = SocialConnection.objects.active().filter(
        refresh_expires_at__gt=now, refresh_expires_at__lte=now + timedelta(days=max(WARN_DAYS))
    )
    messages = {
        _ending_key(connection, days): (connection, days)
        for connection in ending.select_related("workspace").iterator()
        if (days := _threshold(connection, now)) is not None
    }
    known = Notice.objects.filter(key__in=messages).values_list("key", flat=True)
    news = set(messages) - set(known)
    for key in sorted(news):
        connection, days = messages[key]
        _warn(connection, days, key)
    return len(news)


def _threshold(connection: SocialConnection, now: datetime) -> int | None:
    if connection.refresh_expires_at is None:
        return None
    left = connection.refresh_expires_at - now
    return next((days for days in WARN_DAYS if left <= timedelta(days=days)), None)


def _ending_key(connection: SocialConnection, days: int) -> str:
    return f"connection:{connection.pk}:ends:{_consented_at(connection)}:{days}"


def _consented_at(connection: SocialConnection) -> str:
    return (connection.connected_at or connection.created_at).isoformat()


def _warn(connection: SocialConnection, days: int, key: str) -> None:
    label = provider_for(connection.provider).label
    within = "tomorrow" if days == 1 else f"within {days} days"
    ends = f"{connection.refresh_expires_at:%-d %B %Y}"
    with transaction.atomic():
        tell(
            managers(connection.workspace_id),
            Message(
                kind=NoticeKind.ACCESS_ENDING,
                key=key,
                title=f"Reconnect {connection.display_name} {'by ' if days == 1 else ''}{within}",
                body=f"{label} ends Broadside's access to this account on {ends}. Posts after that would wait.",
                next_step="Reconnect the account before then; it takes a minute, and nothing is lost.",
                path=reverse("connections:list", kwargs={"slug": connection.workspace.slug}),
                action="Open the connections",
            ),
        )
