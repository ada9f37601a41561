"""A connection in people's words, for the pages: permissions, expiry, what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from connections.models import ConnectionStatus, SocialConnection
from connections.providers import provider_for
from connections.providers.base import Provider, PublishMode

ENDS_SOON = timedelta(days=14)

_LOST_FEATURES = {
    PublishMode.DIRECT: "Videos can't be posted straight to the profile.",
    PublishMode.INBOX: "Videos can't be sent to the inbox as drafts.",
}


@dataclass(frozen=True)
class Permission:
    """Something that the creator may allow: its words, whether it is granted, and what does not work without it."""

    label: str
    is_granted: bool
    consequence: str = ""


@dataclass(frozen=True)
class Card:
    """What a page shows about one connection."""

    connection: SocialConnection
    provider: Provider
    permissions: tuple[Permission, ...]
    permission_ends_soon: bool
    is_overdue: bool  # the access token is over; the next use renews it

    @property
    def picture_version(self) -> str:
        """Changes with the picture, so that browsers may keep it."""
        return str(self.connection.avatar.name).rpartition("-")[2].partition(".")[0]

    @property
    def missing(self) -> tuple[Permission, ...]:
        """What was asked for and not granted."""
        return tuple(permission for permission in self.permissions if not permission.is_granted)

    @property
    def lost_features(self) -> tuple[str, ...]:
        """What does not work for want of a permission, in sentences."""
        return tuple(permission.consequence for permission in self.missing if permission.consequence)

    @property
    def subtitle(self) -> str:
        """The nickname, where a label of the workspace's own stands in its place above."""
        return self.connection.nickname if self.connection.account_label else ""

    @property
    def needs_reconnect(self) -> bool:
        """Whether nothing works until the account is connected again."""
        return self.connection.status == ConnectionStatus.NEEDS_REAUTH


def cards_for(connections: Iterable[SocialConnection], *, now: datetime) -> list[Card]:
    """Return a card for each of `connections`, in their order."""
    return [card_for(connection, now=now) for connection in connections]


def card_for(connection: SocialConnection, *, now: datetime) -> Card:
    """Return the card of one connection."""
    ends_at = connection.refresh_expires_at
    return Card(
        connection=connection,
        provider=provider_for(connection.provider),
        permissions=permissions_of(connection),
        permission_ends_soon=ends_at is not None and ends_at - now < ENDS_SOON,
        is_overdue=connection.access_expires_at is not None and connection.access_expires_at <= now,
    )


def permissions_of(connection: SocialConnection) -> tuple[Permission, ...]:
    """Return what was asked for or granted, in the provider's order, without those that it has no words for."""
    provider = provider_for(connection.provider)
    modes = {scope: mode for mode, scope in provider.publish_scopes.items()}
    relevant = {*provider.requested_scopes, *connection.scopes}
    return tuple(
        Permission(
            label, connection.has_scope(scope), _LOST_FEATURES.get(modes[scope], "") if scope in modes else ""
        )
        for scope, label in provider.scope_labels.items()
        if scope in relevant
    )
