"""What the posting page must know of the chosen account: who it is, what it may choose, what stands in the way."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta

from accounts.models import Workspace
from connections.errors import (
    AuthorizationError,
    CapError,
    ConfigurationError,
    ProviderError,
    RateLimitError,
    RejectedError,
)
from connections.models import SocialConnection
from connections.profiles import creator_info_for
from connections.providers import provider_for
from connections.providers.base import CreatorInfo, Provider, PublishMode

CREATOR_AGE = timedelta(seconds=10)
"""How old the account's choices may be when the page is shown. Young enough to be "now", old enough for a reload."""


@dataclass(frozen=True)
class Obstacle:
    """Why the account cannot post directly at this moment, and what helps: "reconnect", "reload" or nothing here."""

    title: str
    message: str
    remedy: str = ""
    code: str = ""
    log_id: str = ""


@dataclass(frozen=True)
class ModeChoice:
    """One way of posting, and why it cannot be chosen where it cannot."""

    mode: PublishMode
    title: str
    hint: str
    reason: str = ""

    @property
    def is_available(self) -> bool:
        """Whether it can be chosen."""
        return not self.reason


@dataclass(frozen=True)
class Account:
    """A connection as the posting page sees it. `creator` is None where direct posting is not possible now."""

    connection: SocialConnection
    provider: Provider
    creator: CreatorInfo | None
    obstacle: Obstacle | None
    modes: tuple[ModeChoice, ...]

    @property
    def name(self) -> str:
        """The creator's own name, as the platform gives it now."""
        return (
            self.creator.nickname
            if self.creator
            else self.connection.nickname or self.connection.display_name
        )

    @property
    def username(self) -> str:
        """The @handle without the @."""
        return self.creator.username if self.creator else self.connection.username

    @property
    def privacy_choices(self) -> list[tuple[str, str]]:
        """Exactly what the creator may choose, in the platform's order, with labels."""
        levels = self.creator.privacy_levels if self.creator else ()
        return [(level, self.provider.privacy_labels.get(level, level)) for level in levels]

    @property
    def default_mode(self) -> PublishMode | None:
        """The first way of posting that is possible, None if none is."""
        return next((choice.mode for choice in self.modes if choice.is_available), None)

    def can(self, mode: PublishMode) -> bool:
        """Whether this way of posting is possible now."""
        return any(choice.is_available for choice in self.modes if choice.mode is mode)


def choose_connection(workspace: Workspace, wanted: str) -> SocialConnection | None:
    """Return the connection with the id `wanted`, else the primary, else the first; None if there is none."""
    listed = list(workspace.connections.listed())
    try:
        pk = uuid.UUID(wanted)
    except ValueError:
        pk = None
    return next((one for one in listed if one.pk == pk), listed[0] if listed else None)


def look_at_account(connection: SocialConnection) -> Account:
    """Ask the provider what the creator may choose now. Never raises ProviderError: that becomes the obstacle."""
    provider = provider_for(connection.provider)
    creator, obstacle = None, _known_obstacle(connection, provider)
    if obstacle is None:
        try:
            creator = creator_info_for(connection, max_age=CREATOR_AGE)
        except ProviderError as error:
            obstacle = _explain(error, provider)
            connection.refresh_from_db()  # a dead token changes the connection's status
    return Account(
        connection=connection,
        provider=provider,
        creator=creator,
        obstacle=obstacle,
        modes=_modes(connection, provider, obstacle),
    )


def _known_obstacle(connection: SocialConnection, provider: Provider) -> Obstacle | None:
    if not connection.is_active:
        return Obstacle(
            f"{connection.display_name} needs reconnecting",
            connection.status_reason or f"{provider.label} no longer lets us act for this account.",
            remedy="reconnect",
        )
    scope = provider.publish_scopes[PublishMode.DIRECT]
    if not connection.has_scope(scope):
        return Obstacle(
            "Direct posting was not allowed",
            f"When this account was connected, “{provider.scope_labels.get(scope, scope)}” was not ticked. "
            "Reconnect it and leave that ticked to post straight to the profile.",
            remedy="reconnect",
            code=scope,
        )
    return None


def _explain(error: ProviderError, provider: Provider) -> Obstacle:
    """Sort an error into what its reader can do about it."""
    explained = provider.explain(error.code)
    words = f"{explained.message} {explained.next_step}"
    ids = {"code": error.code, "log_id": error.log_id}
    if isinstance(error, AuthorizationError):
        title = "This account needs reconnecting"
        return Obstacle(title, explained.message if error.code else _dead_token(provider), "reconnect", **ids)
    if isinstance(error, CapError):
        return Obstacle("This account cannot post right now", words, **ids)
    if isinstance(error, RateLimitError):
        return Obstacle(
            f"{provider.label} asks us to wait",
            "This page asked for the account's settings too often. Wait a minute, then reload them.",
            "reload",
            **ids,
        )
    if isinstance(error, ConfigurationError):
        return Obstacle(f"This site is not set up correctly at {provider.label}", words, **ids)
    if isinstance(error, RejectedError):
        return Obstacle("This account cannot post right now", words, "reload", **ids)
    return Obstacle(
        f"{provider.label} cannot be reached right now",
        f"The account's settings are needed before posting, and {provider.label} did not give a usable answer. "
        "What you typed is kept: reload the settings in a moment.",
        "reload",
        **ids,
    )


def _dead_token(provider: Provider) -> str:
    return f"{provider.label} no longer lets us act for this account."


def _modes(
    connection: SocialConnection, provider: Provider, obstacle: Obstacle | None
) -> tuple[ModeChoice, ...]:
    inbox_scope = provider.publish_scopes[PublishMode.INBOX]
    if not connection.is_active:
        inbox_reason = "Reconnect the account first."
    elif not connection.has_scope(inbox_scope):
        words = provider.scope_labels.get(inbox_scope, inbox_scope)
        inbox_reason = f"“{words}” was not ticked when this account was connected."
    else:
        inbox_reason = ""
    return (
        ModeChoice(
            PublishMode.DIRECT,
            "Post to the profile",
            "Goes live with the caption and settings below.",
            reason="" if obstacle is None else obstacle.title + ".",
        ),
        ModeChoice(
            PublishMode.INBOX,
            f"Send to the {provider.label} inbox",
            provider.posting_rules.inbox_note,
            reason=inbox_reason,
        ),
    )
