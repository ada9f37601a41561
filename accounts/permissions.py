"""What each role may do, in one place: the views ask here, and the members page and docs/teams.md show it."""

from __future__ import annotations

from enum import Enum

from django.db import models


class Role(models.TextChoices):
    """What a member may do, from least to most: look, publish, connect, own."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"
    OWNER = "owner"

    @property
    def rank(self) -> int:
        """Position from least (0) to most."""
        return list(Role).index(self)

    def covers(self, other: Role) -> bool:
        """Whether this role may do all that `other` may."""
        return self.rank >= other.rank

    @property
    def words(self) -> str:
        """What it is for, in a sentence."""
        return _WORDS[self]

    @property
    def grants(self) -> frozenset[Role]:
        """The roles that it may give, by invitation or by change; it may also change and remove who has them."""
        return _GRANTS[self]


_WORDS = {
    Role.OWNER: "Everything, and decides who else is an owner or an admin.",
    Role.ADMIN: "Connects accounts, manages editors and viewers, and all that an editor does.",
    Role.EDITOR: "Creates, publishes and cancels posts.",
    Role.VIEWER: "Looks at posts and connections, changes nothing.",
}
_GRANTS = {
    Role.OWNER: frozenset(Role),
    Role.ADMIN: frozenset({Role.EDITOR, Role.VIEWER}),
    Role.EDITOR: frozenset[Role](),
    Role.VIEWER: frozenset[Role](),
}


class Permission(Enum):
    """One thing that members do: the least role that may, and what people read."""

    LOOK = (Role.VIEWER, "See posts, connections and members")
    LEAVE = (Role.VIEWER, "Leave the workspace")
    PUBLISH = (Role.EDITOR, "Create, publish, retry and cancel posts")
    MANAGE_CONNECTIONS = (
        Role.ADMIN,
        "Connect, reconnect and disconnect accounts, and choose the primary one",
    )
    MANAGE_MEMBERS = (Role.ADMIN, "Invite, change and remove editors and viewers")
    MANAGE_SETTINGS = (Role.ADMIN, "Rename the workspace, and say how long source videos are kept")
    SEE_AUDIT = (Role.ADMIN, "Read and export the audit log")
    MANAGE_MANAGERS = (Role.OWNER, "Invite, change and remove owners and admins")
    TRANSFER = (Role.OWNER, "Hand the workspace over to somebody else")
    EXPORT_DATA = (Role.OWNER, "Export everything that the workspace holds")
    DELETE = (Role.OWNER, "Delete the workspace, and restore it")

    def __init__(self, least: Role, words: str) -> None:
        self.least = least
        self.words = words

    @property
    def who(self) -> str:
        """Those who may, in words."""
        return _WHO[self.least]

    def is_of(self, role: Role) -> bool:
        """Whether members with this role may."""
        return role.covers(self.least)


_WHO = {
    Role.VIEWER: "Everybody",
    Role.EDITOR: "Editors, admins and owners",
    Role.ADMIN: "Admins and owners",
    Role.OWNER: "Owners",
}
