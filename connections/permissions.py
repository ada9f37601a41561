"""Who may do what with connections, by the names that this app uses; the rule itself is in `accounts.permissions`."""

from __future__ import annotations

from accounts.models import Membership
from accounts.permissions import Permission

SEES_CONNECTIONS = Permission.LOOK.least
MANAGES_CONNECTIONS = Permission.MANAGE_CONNECTIONS.least


def can_manage_connections(membership: Membership | None) -> bool:
    """Whether this member may connect, reconnect, edit and disconnect accounts."""
    return membership is not None and membership.may(Permission.MANAGE_CONNECTIONS)
