"""What every page's frame needs to know."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


def workspaces(request: HttpRequest) -> dict[str, Any]:
    """Give templates `membership` and `workspace` (None outside of one) and `my_memberships`, read only when used."""
    membership = getattr(request, "membership", None)
    user = getattr(request, "user", None)

    def my_memberships() -> Any:
        if user is None or not user.is_authenticated:
            return []
        return user.memberships.select_related("workspace").order_by("workspace__name")

    return {
        "membership": membership,
        "workspace": membership.workspace if membership else None,
        "my_memberships": my_memberships,
    }
