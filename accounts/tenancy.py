"""The one door into a workspace: every page and service asks here first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse

from accounts.models import Membership, Role
from accounts.scopes import NOTHING, Scope, System, current_scope, entered, narrow_to, stand_in, streamed
from accounts.workspaces import remember_workspace


class ScopeMiddleware:
    """Gives each request its scope: nothing, then the person's own rows; `require_membership` adds the workspace.

    Operators see everything in the admin. Pages open to everybody stay without a scope and look at no session. What was
    set ends with the request, also after an exception; a streamed answer keeps it to its last byte.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer `request` in a scope of its own."""
        with entered(NOTHING):
            response = self._get_response(request)
            if isinstance(response, StreamingHttpResponse) and current_scope() != NOTHING:
                response.streaming_content = streamed(response.streaming_content)  # type: ignore[arg-type]
            return response

    def process_view(self, request: HttpRequest, view: Callable[..., Any], *_: Any) -> None:
        """The person is known now, and so is the page."""
        if not getattr(view, "login_required", True) or not request.user.is_authenticated:
            return
        match = request.resolver_match
        if match and match.app_names[:1] == ["admin"] and request.user.is_staff:
            stand_in(Scope(system=System.ADMIN))
        else:
            stand_in(Scope(user_id=request.user.pk))


def require_membership(request: HttpRequest, slug: str, *, at_least: Role = Role.VIEWER) -> Membership:
    """Return the logged-in user's membership of the workspace `slug`, with `workspace` loaded.

    From there on the request is in the scope of that workspace. Also sets `request.membership`, which the page frame
    shows, and remembers the workspace as the one used last.
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
    narrow_to(membership.workspace_id)
    request.membership = membership  # type: ignore[attr-defined]
    remember_workspace(request, membership.workspace)
    if not membership.can(at_least):
        raise PermissionDenied(f"This needs the role {at_least.label.lower()} or higher.")
    return membership
