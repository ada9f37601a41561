"""Which posts the list shows: the filters, and how many each holds."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Prefetch, Q

from accounts.models import Workspace
from publishing.models import DeliveryQuerySet, Photo
from publishing.states import WORKING, DeliveryState

_S = DeliveryState


@dataclass(frozen=True)
class Filter:
    """A group of states under one word of a reader's language; `states` empty means all."""

    name: str
    label: str
    states: tuple[DeliveryState, ...]
    when_empty: str


FILTERS = (
    Filter("all", "All", (), "Nothing has been posted from this workspace yet."),
    Filter(
        "in-progress", "In progress", (_S.SCHEDULED, *sorted(WORKING)), "Nothing is on its way right now."
    ),
    Filter("attention", "Needs attention", (_S.HELD,), "Nothing waits for you."),
    Filter("published", "Published", (_S.PUBLISHED,), "Nothing has been published yet."),
    Filter("inbox", "Drafts in inbox", (_S.IN_INBOX,), "No draft waits in an inbox."),
    Filter("failed", "Failed", (_S.FAILED,), "Nothing has failed."),
    Filter("canceled", "Canceled", (_S.CANCELED,), "Nothing was canceled."),
)


@dataclass(frozen=True)
class FilterCount:
    """A filter, how many deliveries it holds, and whether it is the chosen one."""

    filter: Filter
    count: int
    is_current: bool


def choose_filter(name: str) -> Filter:
    """Return the filter called `name`, "all" for an unknown one."""
    return next((one for one in FILTERS if one.name == name), FILTERS[0])


def count_filters(workspace: Workspace, current: Filter) -> list[FilterCount]:
    """Count all filters in one query."""
    counts = workspace.deliveries.aggregate(
        **{
            one.name.replace("-", "_"): Count("pk", filter=Q(state__in=one.states) if one.states else None)
            for one in FILTERS
        }
    )
    return [FilterCount(one, counts[one.name.replace("-", "_")], one is current) for one in FILTERS]


def listed_deliveries(workspace: Workspace, chosen: Filter) -> DeliveryQuerySet:
    """Return the deliveries of a filter, the newest first, with all that a row shows."""
    rows = (
        workspace.deliveries.select_related("post__video", "connection")
        .prefetch_related(Prefetch("post__photos", Photo.objects.order_by("position")))
        .order_by("-created_at", "-pk")
    )
    return rows.filter(state__in=chosen.states) if chosen.states else rows
