"""What every page's frame needs to know."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.http import HttpRequest

from accounts.models import Membership, Workspace
from accounts.notices import with_unread_counts
from accounts.scopes import person_scope
from accounts.workspaces import remembered_membership


class Frame:
    """The page frame of one request: read only by the templates that show it, each fact at most once."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @cached_property
    def memberships(self) -> list[Membership]:
        """The user's workspaces with their roles, by name."""
        user = getattr(self._request, "user", None)
        if user is None or not user.is_authenticated:
            return []
        mine = user.memberships.usable().select_related("workspace").order_by("workspace__name", "pk")
        with person_scope(user.pk):
            return list(with_unread_counts(mine))

    @cached_property
    def membership(self) -> Membership | None:
        """The membership that the page stands in; on a page outside of workspaces, that of the one used last."""
        inside: Membership | None = getattr(self._request, "membership", None)
        return inside or remembered_membership(self._request, self.memberships)

    @property
    def workspace(self) -> Workspace | None:
        """The workspace that the side bar is about."""
        return self.membership.workspace if self.membership else None

    @property
    def unread_count(self) -> int:
        """How many notices of this workspace the user has not read; counted with the workspaces."""
        if self.membership is None:
            return 0
        counts = (int(row.unread_count) for row in self.memberships if row.pk == self.membership.pk)  # type: ignore[attr-defined]
        return next(counts, 0)

    @property
    def unread_words(self) -> str:
        """That number as it stands on the bell: empty for none, "99+" for more than two figures."""
        return "" if not self.unread_count else str(self.unread_count) if self.unread_count < 100 else "99+"

    @cached_property
    def unconfirmed_email(self) -> str:
        """The user's address while it waits for confirmation, else empty."""
        user = getattr(self._request, "user", None)
        if user is None or not user.is_authenticated:
            return ""
        address = user.emailaddress_set.filter(primary=True, verified=False).first()
        return address.email if address else ""


def workspaces(request: HttpRequest) -> dict[str, Any]:
    """Give templates `membership` and `workspace` (None outside of one), `my_memberships` and `frame`."""
    membership = getattr(request, "membership", None)
    frame = Frame(request)
    return {
        "membership": membership,
        "workspace": membership.workspace if membership else None,
        "my_memberships": lambda: frame.memberships,
        "frame": frame,
    }
