"""The list of posts, and the page of one: what is happening to it, live."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.functional import cached_property
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import Membership
from accounts.tenancy import require_membership
from publishing.listing import FilterCount, choose_filter, count_filters, listed_deliveries
from publishing.models import Delivery, Post
from publishing.presentation import Panel, describe
from publishing.timeline import Entry, tell_attempt

PAGE_SIZE = 20
LIST_POLL_SECONDS = 3

_CSRF_INPUT = re.compile(r'<input type="hidden" name="csrfmiddlewaretoken"[^>]*>')  # masked anew each time


class CountedPaginator(Paginator[Any]):
    """A paginator that was told the count, which the filters' query found already."""

    def __init__(self, rows: Any, *, per_page: int, count: int) -> None:
        super().__init__(rows, per_page)
        self._known_count = count

    @cached_property
    def count(self) -> int:
        """The number of rows."""
        return self._known_count


@never_cache
@require_safe
def post_list(request: HttpRequest, slug: str) -> HttpResponse:
    """List the workspace's posts by state; htmx gets the part that changes, or nothing if it did not."""
    membership = require_membership(request, slug)
    chosen = choose_filter(request.GET.get("state", ""))
    filters = count_filters(membership.workspace, chosen)
    page = _page(request, membership, filters)
    is_live = any(one.count for one in filters if one.filter.name == "in-progress")
    context = {
        "filters": filters,
        "chosen": chosen,
        "page": page,
        "panels": [describe(delivery, now=timezone.now()) for delivery in page],
        "poll_seconds": LIST_POLL_SECONDS if is_live else None,
        "has_any": filters[0].count > 0,
        "has_connection": filters[0].count > 0 or membership.workspace.connections.listed().exists(),
    }
    return _live(request, "publishing/post_list.html", "publishing/_post_rows.html", context)


def _page(request: HttpRequest, membership: Membership, filters: list[FilterCount]) -> Page[Delivery]:
    current = next(one for one in filters if one.is_current)
    rows = listed_deliveries(membership.workspace, current.filter)
    paginator = CountedPaginator(rows, per_page=PAGE_SIZE, count=current.count)
    return paginator.get_page(request.GET.get("page"))


@never_cache
@require_safe
def post_detail(request: HttpRequest, slug: str, post_id: str) -> HttpResponse:
    """Show one post and how it stands; htmx gets the part that changes, or nothing if it did not."""
    membership = require_membership(request, slug)
    posts = membership.workspace.posts.select_related("video", "created_by")
    post = get_object_or_404(posts, pk=post_id)
    panels = _panels(post)
    polls = [panel.poll_seconds for panel in panels if panel.poll_seconds is not None]
    context = {
        "post": post,
        "photos": list(post.photos.order_by("position")) if post.is_photo else [],
        "sheets": [(panel, _entries(panel)) for panel in panels],
        "poll_seconds": min(polls, default=None),
    }
    return _live(request, "publishing/post_detail.html", "publishing/_post_live.html", context)


def _panels(post: Post) -> list[Panel]:
    deliveries = post.deliveries.select_related("connection", "post__video").order_by("created_at")
    return [describe(delivery, now=timezone.now()) for delivery in deliveries]


def _entries(panel: Panel) -> list[Entry]:
    """The diary, the newest first. Only the newest line can still be under way."""
    attempts = list(panel.delivery.attempts.order_by("-started_at", "-pk"))
    is_held_by_worker = panel.delivery.lease_token is not None
    return [
        tell_attempt(one, platform=panel.platform, is_over=place > 0 or not is_held_by_worker)
        for place, one in enumerate(attempts)
    ]


def is_htmx(request: HttpRequest) -> bool:
    """Whether htmx asks, for a part of the page."""
    return request.headers.get("HX-Request") == "true"


def _live(request: HttpRequest, whole: str, part: str, context: dict[str, Any]) -> HttpResponse:
    """Answer with the whole page, or to htmx with the part, or with 204 if the part still looks the same.

    An unchanged part is not swapped, so that a reader keeps the place, the selection and what was unfolded.
    """
    fragment = render_to_string(part, context, request)
    version = hashlib.sha256(_CSRF_INPUT.sub("", fragment).encode()).hexdigest()[:16]
    context |= {"fragment": fragment, "version": version}
    if not is_htmx(request):
        return render(request, whole, context)
    if request.GET.get("version") == version and context.get("poll_seconds"):
        return HttpResponse(status=204)
    return render(request, "publishing/_live.html", context)
