"""Telling people: one notice for each event and person, on the site and, where it is wanted, by e-mail.

A notice is written in the transaction of what it tells of, so neither is there without the other. Its e-mail is sent
later, from the row (`accounts.notice_emails`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from accounts.models import Membership, Notice, NoticeKind, NoticePreference, Role, User
from accounts.permissions import Permission
from accounts.scopes import System, system_scope

KEPT_FOR = timedelta(days=365)
"""Longer than any event may repeat: a notice that is gone could be told again."""

DELETED_AT_ONCE = 1000


@dataclass(frozen=True)
class Switches:
    """Where a person wants to read of one kind of event."""

    on_site: bool
    by_email: bool


DEFAULTS: dict[NoticeKind, Switches] = {
    NoticeKind.PUBLISHED: Switches(on_site=True, by_email=False),
    NoticeKind.FAILED: Switches(on_site=True, by_email=True),
    NoticeKind.HELD: Switches(on_site=True, by_email=True),
    NoticeKind.RECONNECT: Switches(on_site=True, by_email=True),
    NoticeKind.ACCESS_ENDING: Switches(on_site=True, by_email=True),
    NoticeKind.EXPORT: Switches(on_site=True, by_email=True),
}


@dataclass(frozen=True)
class Message:
    """What is told, in a creator's words: what happened, what to do, and the page to do it on.

    `key` names the event, the same whenever it is told again: at most 160 characters.
    """

    kind: NoticeKind
    key: str
    title: str
    body: str = ""
    next_step: str = ""
    path: str = ""
    action: str = ""


def tell(members: Iterable[Membership], message: Message) -> None:
    """Write `message` for each of `members`, as their switches say.

    Safe to repeat: a person who was told of this event is not told again. Call it in the transaction that makes the
    event true. Members of one workspace; those that switched the kind off are left out.
    """
    members = list(members)
    chosen = switches_of([member.user_id for member in members], message.kind)
    rows = [
        _row(member, message, switches)
        for member in members
        if (switches := chosen[member.user_id]) != Switches(on_site=False, by_email=False)
    ]
    if rows:
        Notice.objects.bulk_create(rows, ignore_conflicts=True)


def _row(member: Membership, message: Message, switches: Switches) -> Notice:
    return Notice(
        workspace_id=member.workspace_id,
        user_id=member.user_id,
        kind=message.kind,
        key=message.key,
        title=_one_line(message.title, 160),
        body=_one_line(message.body, 600),
        next_step=_one_line(message.next_step, 400),
        path=message.path,
        action=message.action,
        is_shown=switches.on_site,
        email_due_at=Now() if switches.by_email else None,
    )


def _one_line(words: str, most: int) -> str:
    """Fold white space, since a title becomes the subject of an e-mail, and cut what is too long."""
    folded = " ".join(words.replace("\x00", "").split())
    return folded if len(folded) <= most else folded[: most - 1] + "…"


def managers(workspace_id: uuid.UUID) -> list[Membership]:
    """Those who manage a workspace: its owners and admins who may log in."""
    roles = [role for role in Role if Permission.MANAGE_CONNECTIONS.is_of(role)]
    return list(
        Membership.objects.filter(workspace_id=workspace_id, role__in=roles, user__is_active=True).order_by(
            "pk"
        )
    )


def creator_or_managers(workspace_id: uuid.UUID, user_id: uuid.UUID | None) -> list[Membership]:
    """The person who made something, or if they have left the workspace, those who manage it."""
    if user_id is not None:
        creator = Membership.objects.filter(
            workspace_id=workspace_id, user_id=user_id, user__is_active=True
        ).first()
        if creator is not None:
            return [creator]
    return managers(workspace_id)


def switches_of(user_ids: Iterable[uuid.UUID], kind: NoticeKind) -> dict[uuid.UUID, Switches]:
    """How each of these people set the switches for `kind`."""
    ids = list(user_ids)
    rows = NoticePreference.objects.filter(user__in=ids, kind=kind)
    chosen = {row.user_id: Switches(row.on_site, row.by_email) for row in rows}
    return {user_id: chosen.get(user_id, DEFAULTS[kind]) for user_id in ids}


def preferences_of(user: User) -> dict[NoticeKind, Switches]:
    """All the switches of one person."""
    rows = {row.kind: Switches(row.on_site, row.by_email) for row in user.notice_preferences.all()}
    return {kind: rows.get(kind, DEFAULTS[kind]) for kind in NoticeKind}


def set_preferences(user: User, chosen: dict[NoticeKind, Switches]) -> None:
    """Keep the switches of one person."""
    NoticePreference.objects.bulk_create(
        [
            NoticePreference(user=user, kind=kind, on_site=switches.on_site, by_email=switches.by_email)
            for kind, switches in chosen.items()
        ],
        update_conflicts=True,
        unique_fields=["user", "kind"],
        update_fields=["on_site", "by_email"],
    )


def mark_read(membership: Membership, notice_id: uuid.UUID | None = None) -> int:
    """Mark one of a member's notices as read, or all of this workspace; return how many were unread."""
    rows = Notice.objects.unread().filter(workspace_id=membership.workspace_id, user_id=membership.user_id)
    if notice_id is not None:
        rows = rows.filter(pk=notice_id)
    return rows.update(read_at=Now())


@system_scope(System.UPKEEP)
def delete_old() -> int:
    """Forget notices older than KEPT_FOR, up to DELETED_AT_ONCE; return how many.

    Keys grow with time, so the first ones are the oldest.
    """
    oldest = Notice.objects.order_by("pk").values("pk")[:DELETED_AT_ONCE]
    return Notice.objects.filter(pk__in=oldest, created_at__lt=Now() - KEPT_FOR).delete()[0]


def with_unread_counts(memberships: QuerySet[Membership]) -> QuerySet[Membership]:
    """Give each membership `unread_count`: its person's unread notices there. Costs no query of its own."""
    unread = (
        Notice.objects.unread()
        .filter(user_id=OuterRef("user_id"), workspace_id=OuterRef("workspace_id"))
        .order_by()
        .values("user_id")
        .annotate(n=Count("pk"))
        .values("n")
    )
    return memberships.annotate(unread_count=Coalesce(Subquery(unread, output_field=IntegerField()), 0))
