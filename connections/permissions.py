"""Who may do what with connections, in one place: every member looks, these roles change."""

from __future__ import annotations

from accounts.models import Membership, Role

SEES_CONNECTIONS = Role.VIEWER
MANAGES_CONNECTIONS = Role.ADMIN


def can_manage_connections(membership: Membership | None) -> bool:
    """Whether this member may connect, reconnect, edit and disconnect accounts."""
    return membership is not None and membership.can(MANAGES_CONNECTIONS)
