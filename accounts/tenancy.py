"""The one door into a workspace: every page and service asks here first."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from accounts.models import Membership, Role
from accounts.workspaces import remember_workspace


def require_membership(request: HttpRequest, slug: str, *, at_least: Role = Role.VIEWER) -> Membership:
    """Return the logged-in user's membership of the workspace `slug`, with `workspace` loaded.

    Also sets `request.membership`, which the page frame shows, and remembers the workspace as the one used last.
    Raises Http404 to a stranger, since the existence of a workspace is private, and PermissionDenied to a member whose
    role is too small.
    """
    membership = (
        Membership.objects.usable()
        .select_related("workspace")
        .filter(workspace__slug=slug, user_id=request.user.pk)  # type: ignore[misc]  # None: a visitor, no rows
        .first()
    )
    if membership is None:
        raise Http404("No such workspace")
    request.membership = membership  # type: ignore[attr-defined]
    remember_workspace(request, membership.workspace)
    if not membership.can(at_least):
        raise PermissionDenied(f"This needs the role {at_least.label.lower()} or higher.")
    return membership
