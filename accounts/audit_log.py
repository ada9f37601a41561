"""Reading the audit log: which events, in which words, and as a file."""

from __future__ import annotations

import csv
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from django.db.models import Q, QuerySet

from accounts.audit import ACTIONS, GROUPS
from accounts.models import AuditEvent, User, Workspace

BATCH = 500
PEOPLE = ("user", "user_id")
"""The details that name a person, by their id."""

COLUMNS = ("time (UTC)", "action", "what", "person", "person id", "IP address", "details")
_STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True)
class Filters:
    """What to look for. Days are in UTC, both ends included; what is empty leaves nothing out."""

    group: str = ""
    person: uuid.UUID | None = None
    first_day: date | None = None
    last_day: date | None = None


@dataclass(frozen=True)
class Line:
    """An event as people read it."""

    event: AuditEvent
    what: str
    person: str
    details: list[tuple[str, str]]


def events_of(workspace: Workspace, filters: Filters) -> QuerySet[AuditEvent]:
    """The events of a workspace that pass `filters`, the newest first."""
    rows = AuditEvent.objects.filter(workspace_id=workspace.pk)
    if filters.group in GROUPS:
        starts = GROUPS[filters.group][1]
        wanted = Q()
        for start in starts:
            wanted |= Q(action__startswith=start)
        rows = rows.filter(wanted)
    if filters.person:
        about = Q(details__user=str(filters.person)) | Q(details__user_id=str(filters.person))
        rows = rows.filter(Q(actor_id=filters.person) | about)
    if filters.first_day:
        rows = rows.filter(at__date__gte=filters.first_day)
    if filters.last_day:
        rows = rows.filter(at__date__lte=filters.last_day)
    return rows.order_by("-id")


def lines(events: Iterable[AuditEvent]) -> list[Line]:
    """The words for `events`, with one query for all the people in them."""
    events = list(events)
    names = _names(events)
    return [
        Line(
            event,
            what=ACTIONS.get(event.action, event.action),
            person=names.get(str(event.actor_id), "Somebody who is gone")
            if event.actor_id
            else _nobody(event),
            details=[
                (name.replace("_", " "), _words(name, value, names)) for name, value in event.details.items()
            ],
        )
        for event in events
    ]


def rows_for_file(events: QuerySet[AuditEvent]) -> Iterator[list[str]]:
    """The heading and a row for each event, safe to open in a spreadsheet."""
    yield list(COLUMNS)
    for batch in _batches(events):
        for line in lines(batch):
            details = "; ".join(f"{name}: {value}" for name, value in line.details)
            yield [
                safe_cell(cell)
                for cell in (
                    line.event.at.strftime("%Y-%m-%d %H:%M:%S"),
                    line.event.action,
                    line.what,
                    line.person,
                    str(line.event.actor_id or ""),
                    line.event.ip or "",
                    details,
                )
            ]


def safe_cell(text: str) -> str:
    """Keep a spreadsheet from taking text for a formula: a quote goes before what begins like one.

    Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    return f"'{text}" if text.lstrip(" ").startswith(_STARTS_FORMULA) else text


class Echo:
    """A file that hands back what is written to it, for a response that is sent while it is made."""

    def write(self, text: str) -> str:
        """Return `text`."""
        return text


def as_csv(rows: Iterable[list[str]]) -> Iterator[str]:
    """CSV lines as RFC 4180 has them."""
    writer = csv.writer(Echo())
    return (writer.writerow(row) for row in rows)


def _batches(events: QuerySet[AuditEvent]) -> Iterator[list[AuditEvent]]:
    """Page by key, so that no cursor stays open while a slow reader takes its time."""
    batch = list(events[:BATCH])
    while batch:
        yield batch
        batch = list(events.filter(pk__lt=batch[-1].pk)[:BATCH])


def _names(events: list[AuditEvent]) -> dict[str, str]:
    ids = {str(event.actor_id) for event in events if event.actor_id}
    ids |= {str(event.details[name]) for event in events for name in PEOPLE if event.details.get(name)}
    return {
        str(user.pk): f"{user.get_full_name()} ({user.email})" for user in User.objects.filter(pk__in=ids)
    }


def _nobody(event: AuditEvent) -> str:
    return "Not known" if event.action == "sign_in.failed" else "Broadside"


def _words(name: str, value: object, names: dict[str, str]) -> str:
    if name in PEOPLE:
        return names.get(str(value), "somebody who is gone")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
