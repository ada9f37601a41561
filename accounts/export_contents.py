"""What stands in an export: the parts of this app, those of the others, and the words that explain them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.export_archive import SCHEMA, Archive
from accounts.export_parts import Media, Part, Record, Table
from accounts.models import (
    AuditEvent,
    Invitation,
    Membership,
    Notice,
    NoticePreference,
    PersonExport,
    User,
    Workspace,
    WorkspaceExport,
)
from accounts.scopes import workspace_scope
from accounts.signals import data_exporting

BATCH = 500

README = """This archive was made by Broadside.

manifest.json   what kind of export it is, when it was made (UTC), how many rows each JSON file has,
                and which files the storage did not have any more
*.json          UTF-8; all times are in UTC (ISO 8601, "Z"); people, posts and accounts are named by their ids
media/          the files as they came in

The shape of every file is described in docs/personal-data.md of Broadside's source.
It holds no password, no key and no access to any account.
"""


def measure(export: PersonExport | WorkspaceExport) -> int:
    """How many bytes of media the export will hold."""
    total = 0
    for workspace, person in _scopes(export):
        with workspace_scope(workspace.pk):
            media = (part for part in _handed_in(workspace, person) if isinstance(part, Media))
            total += sum(part.total_bytes for part in media)
    return total


def write_contents(export: PersonExport | WorkspaceExport, archive: Archive) -> None:
    """Write every part of the export into `archive`, the manifest last: it knows what was missing."""
    archive.add_text("README.txt", README)
    if isinstance(export, PersonExport):
        archive.add(_of_person(export.user))
    for workspace, person in _scopes(export):
        folder = f"workspaces/{workspace.slug}/" if person else ""
        with workspace_scope(workspace.pk):
            if person is None:
                archive.add(_of_workspace(workspace))
            archive.add(_handed_in(workspace, person), folder=folder)
    archive.add([Record("manifest", _manifest(export, archive))])


def _manifest(export: PersonExport | WorkspaceExport, archive: Archive) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "kind": "person" if isinstance(export, PersonExport) else "workspace",
        "export": export.pk,
        "made_at": timezone.now(),
        "rows": archive.counts,
        "missing_files": archive.missing,
    }


def _scopes(export: PersonExport | WorkspaceExport) -> Iterator[tuple[Workspace, User | None]]:
    """The workspaces that the export looks into, and the person whose things it takes from there; None: all."""
    if isinstance(export, WorkspaceExport):
        yield export.workspace, None
        return
    for membership in (
        export.user.memberships.usable().select_related("workspace").order_by("created_at", "pk")
    ):
        yield membership.workspace, export.user


def _handed_in(workspace: Workspace, person: User | None) -> Iterator[Part]:
    """The parts of the other apps. What fails in one of them fails the export: half of the data is none."""
    for _, parts in data_exporting.send(Workspace, workspace=workspace, person=person):
        yield from cast("Iterable[Part]", parts)


def table(name: str, rows: QuerySet[Any], *columns: str) -> Table:
    """Export these columns of `rows`, in the order of their keys, a batch at a time."""
    return Table(name, _batches(rows.order_by("pk").values(*dict.fromkeys(("pk", *columns)))))


def _batches(rows: QuerySet[Any]) -> Iterator[dict[str, Any]]:
    """Page by key: no cursor stays open while a large film goes by, and no transaction."""
    batch = list(rows[:BATCH])
    while batch:
        last = batch[-1]["pk"]
        for row in batch:
            yield {"id": row.pop("pk"), **row}
        batch = list(rows.filter(pk__gt=last)[:BATCH])


def _of_workspace(workspace: Workspace) -> Iterable[Part]:
    yield Record(
        "workspace",
        {
            "id": workspace.pk,
            "name": workspace.name,
            "slug": workspace.slug,
            "created_at": workspace.created_at,
            "source_retention_days": workspace.source_retention_days,
        },
    )
    members = Membership.objects.filter(workspace=workspace)
    yield table("members", members, "user_id", "user__name", "user__email", "role", "created_at")
    invitations = Invitation.objects.filter(workspace=workspace)
    yield table(
        "invitations",
        invitations,
        "email",
        "role",
        "invited_by_id",
        "created_at",
        "expires_at",
        "accepted_at",
        "accepted_by_id",
        "revoked_at",
    )
    yield _audit(AuditEvent.objects.filter(workspace_id=workspace.pk))


def _of_person(user: User) -> Iterable[Part]:
    yield Record(
        "person",
        {
            "id": user.pk,
            "email": user.email,
            "name": user.name,
            "date_joined": user.date_joined,
            "last_login": user.last_login,
        },
    )
    yield table("email_addresses", EmailAddress.objects.filter(user=user), "email", "verified", "primary")
    methods = SocialAccount.objects.filter(user=user)
    yield table("sign_in_methods", methods, "provider", "uid", "extra_data", "date_joined", "last_login")
    yield table("second_steps", Authenticator.objects.filter(user=user), "type", "created_at", "last_used_at")
    yield table(
        "sessions", UserSession.objects.filter(user=user), "ip", "user_agent", "created_at", "last_seen_at"
    )
    mine = Membership.objects.filter(user=user)
    yield table(
        "memberships", mine, "workspace_id", "workspace__name", "workspace__slug", "role", "created_at"
    )
    invitations = Invitation.objects.filter(Q(invited_by=user) | Q(accepted_by=user))
    yield table(
        "invitations", invitations, "workspace_id", "email", "role", "created_at", "accepted_at", "revoked_at"
    )
    notices = Notice.objects.filter(user=user)
    yield table(
        "notices",
        notices,
        "workspace_id",
        "kind",
        "title",
        "body",
        "next_step",
        "created_at",
        "read_at",
        "email_sent_at",
    )
    switches = NoticePreference.objects.filter(user=user)
    yield table("notice_switches", switches, "kind", "on_site", "by_email")
    key = str(user.pk)
    about = Q(actor_id=user.pk) | Q(details__user=key) | Q(details__user_id=key)
    events = _audit(AuditEvent.objects.filter(about))
    yield Table(events.name, (_without_place_of_others(row, user) for row in events.rows))


def _without_place_of_others(row: Mapping[str, Any], user: User) -> Mapping[str, Any]:
    """What others did to a person is theirs to know; from which address they did it is not."""
    return row if row["actor_id"] == user.pk else {**row, "ip": None}


def _audit(events: QuerySet[AuditEvent]) -> Table:
    return table("audit", events, "at", "workspace_id", "actor_id", "action", "ip", "details")
