"""Two workspaces with one of everything in each, and the people who knock at their doors."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection as database
from django.test import Client
from django.utils import timezone

from accounts import audit, invitations
from accounts.models import (
    ExportState,
    Invitation,
    Membership,
    Notice,
    NoticeKind,
    PersonExport,
    Role,
    User,
    Workspace,
    WorkspaceExport,
)
from connections.crypto import seal
from connections.models import OAuthRequest, SocialConnection
from publishing.models import Attempt, Delivery, Photo, Post, PostKind, Video
from publishing.states import DeliveryState
from tests.publishing.pictures import picture

PASSWORD = "correct horse battery"
SCOPES = ["user.info.basic", "user.info.profile", "video.list", "video.upload", "video.publish"]

ANONYMOUS, STRANGER, VIEWER, EDITOR, ADMIN, OWNER, STAFF = PEOPLE = (
    "anonymous",
    "stranger",
    "viewer",
    "editor",
    "admin",
    "owner",
    "staff",
)
"""Who knocks at acme's doors: a visitor, the owner of rival, acme's members by role, an operator of no workspace."""

_SESSION = "account_authentication_methods"


@dataclass
class Side:
    """One workspace and what is in it. Everything that a reader could see of it bears its name."""

    workspace: Workspace
    members: dict[str, Membership] = field(default_factory=dict)
    notices: dict[str, Notice] = field(default_factory=dict)
    own_exports: dict[str, PersonExport] = field(default_factory=dict)
    token: str = ""
    export: WorkspaceExport = field(init=False)
    bystander: Membership = field(init=False)
    invitation: Invitation = field(init=False)
    connection: SocialConnection = field(init=False)
    spare_connection: SocialConnection = field(init=False)
    video: Video = field(init=False)
    kept_video: Video = field(init=False)
    photo: Photo = field(init=False)
    kept_photo: Photo = field(init=False)
    post: Post = field(init=False)
    photo_post: Post = field(init=False)
    delivery: Delivery = field(init=False)
    pulled: Delivery = field(init=False)

    @property
    def slug(self) -> str:
        """The part of its addresses."""
        return self.workspace.slug

    @property
    def owner(self) -> User:
        """Who owns it."""
        return self.members[OWNER].user

    def ids(self) -> set[str]:
        """The id of every row that it owns."""
        found = {str(self.workspace.pk)}
        for model in tenant_models():
            found |= {
                str(pk) for pk in model.objects.filter(workspace=self.workspace).values_list("pk", flat=True)
            }
        return found


def tenant_models() -> list[Any]:
    """The models whose rows a workspace owns."""
    from django.apps import apps

    return [
        model
        for model in apps.get_models()
        if any(
            column.attname == "workspace_id" and column.is_relation for column in model._meta.concrete_fields
        )
    ]


@dataclass
class World:
    """Acme, whose doors are tried, rival, from which the stranger comes, and an operator."""

    acme: Side
    rival: Side
    operator: User

    def user(self, person: str) -> User | None:
        """Who `person` of the table is, as the database has them."""
        if person == ANONYMOUS:
            return None
        return User.objects.get(pk=self._key_of(person))

    def _key_of(self, person: str) -> uuid.UUID:
        if person == STAFF:
            return self.operator.pk
        return (self.rival.members[OWNER] if person == STRANGER else self.acme.members[person]).user_id

    def visit(self, person: str, *, side: Side | None = None, headers: dict[str, str] | None = None) -> Visit:
        """Have `person` come with a browser of their own, to acme unless `side` says otherwise."""
        user = self.user(person)
        client = Client(headers=headers or {})
        if user is not None:
            log_in(client, user)
        return Visit(self, side or self.acme, person, user, client)


@dataclass
class Visit:
    """One person at one workspace's doors."""

    world: World
    side: Side
    person: str
    user: User | None
    client: Client
    values: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def role(self) -> str:
        """The role to pick one's own things by; the owner's for who has none."""
        found = [role for role, member in self.side.members.items() if member.user == self.user]
        return found[0] if found else OWNER

    @property
    def own_user(self) -> User:
        """The member of this side whose own things it is about: the person, or the owner for a person from outside."""
        return self.side.members[self.role].user


def log_in(client: Client, user: User) -> None:
    """Log `user` in as if they had typed their password a moment ago."""
    client.force_login(user)
    session = client.session
    session[_SESSION] = [{"method": "password", "at": time.time(), "reauthenticated": True}]
    session[f"{_SESSION}_user"] = str(user.pk)
    session.save()


def build_world() -> World:
    """Save both workspaces with all that is in them."""
    acme = _build_side("Acme", {OWNER: "Alice", ADMIN: "Ada", EDITOR: "Erin", VIEWER: "Vic"})
    rival = _build_side("Rival", {OWNER: "Mallory"})
    operator = User.objects.create_superuser("operator@example.com", PASSWORD)
    EmailAddress.objects.create(user=operator, email=operator.email, primary=True, verified=True)
    return World(acme, rival, operator)


def _build_side(name: str, people: dict[str, str]) -> Side:
    side = Side(Workspace.objects.create(name=name, slug=name.lower()))
    for role, person in people.items():
        side.members[role] = add_member(side, person, Role(role))
        side.notices[role] = make_notice(side, side.members[role])
        side.own_exports[role] = PersonExport.objects.create(user=side.members[role].user, **_finished(side))
    side.bystander = add_member(side, "Bystander", Role.VIEWER)
    side.export = WorkspaceExport.objects.create(workspace=side.workspace, **_finished(side))
    _invite(side)
    _connect(side)
    _store_media(side)
    _make_posts(side)
    audit.record(
        "workspace.renamed", workspace=side.workspace, actor=side.owner, was=f"{name} before", now=name
    )
    return side


def add_member(side: Side, name: str, role: Role) -> Membership:
    """Save a person with a confirmed address as a member."""
    host = f"{side.slug}.example.com"
    user = User.objects.create_user(
        f"{name.lower()}@{host}", PASSWORD, name=f"{name} of {side.workspace.name}"
    )
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    return Membership.objects.create(workspace=side.workspace, user=user, role=role)


def make_notice(side: Side, member: Membership) -> Notice:
    return Notice.objects.create(
        workspace=side.workspace,
        user=member.user,
        kind=NoticeKind.PUBLISHED,
        key=f"told-{member.pk}",
        title=f"{side.workspace.name} is told something",
        path=f"/w/{side.slug}/posts/",
    )


def _finished(side: Side) -> dict[str, Any]:
    """An export that can be downloaded."""
    content = f"all that {side.slug} has".encode()
    name = default_storage.save(f"exports/{uuid.uuid4()}.zip", ContentFile(content))
    later = timezone.now() + timedelta(days=1)
    return {"state": ExportState.READY, "file_name": name, "file_bytes": len(content), "expires_at": later}


def _invite(side: Side) -> None:
    side.token = f"token-of-{side.slug}"
    side.invitation = Invitation.objects.create(
        workspace=side.workspace,
        email=f"invited@{side.slug}.example.com",
        role=Role.EDITOR,
        token_hash=invitations.hash_of(side.token),
        invited_by=side.owner,
        expires_at=timezone.now() + timedelta(days=7),
    )


def _connect(side: Side) -> None:
    side.spare_connection = make_connection(side, "spare")  # the older one, and not the primary
    side.connection = make_connection(side, "main", is_primary=True)
    side.connection.avatar.save(f"{side.slug}.jpg", ContentFile(picture()))


def make_connection(side: Side, word: str, **fields: Any) -> SocialConnection:
    """Save an active connection whose tokens end late enough."""
    now = timezone.now()
    row = SocialConnection(
        workspace=side.workspace,
        provider="tiktok",
        provider_account_id=f"-000{side.slug}{word}",
        account_label=f"{side.workspace.name} {word}",
        scopes=SCOPES,
        profile={"username": f"{side.slug}{word}", "display_name": f"{side.workspace.name} {word}"},
        connected_at=now,
        connected_by=side.owner,
        refreshed_at=now,
        access_expires_at=now + timedelta(hours=2),
        refresh_expires_at=now + timedelta(days=180),
        **fields,
    )
    row.access_token = seal(row, "access_token", f"act.{side.slug}-{word}")
    row.refresh_token = seal(row, "refresh_token", f"rft.{side.slug}-{word}")
    row.save()
    return row


def _store_media(side: Side) -> None:
    side.video, side.kept_video = make_video(side, "clip"), make_video(side, "kept")
    side.kept_photo = make_photo(side, "kept")


def make_video(side: Side, word: str) -> Video:
    """Store a video that posts can take; its bytes only say whose it is."""
    content = f"the film {word} of {side.slug}".encode() * 20
    video = Video(
        workspace=side.workspace,
        original_name=f"{side.slug}-{word}.mp4",
        content_type="video/mp4",
        total_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        duration_ms=5_000,
        width=720,
        height=1280,
        frame_rate=30.0,
        container="mp4",
        video_codec="h264",
        uploaded_by=side.owner,
    )
    video.file.save("clip.mp4", ContentFile(content), save=False)
    video.poster.save("poster.jpg", ContentFile(picture()), save=False)
    video.save()
    return video


def make_photo(side: Side, word: str, **fields: Any) -> Photo:
    """Store a photo that posts can take."""
    content = picture()
    photo = Photo(
        workspace=side.workspace,
        original_name=f"{side.slug}-{word}.jpg",
        content_type="image/jpeg",
        total_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        width=90,
        height=160,
        uploaded_by=side.owner,
        **fields,
    )
    photo.file.save("photo.jpg", ContentFile(content), save=False)
    photo.save()
    return photo


def _make_posts(side: Side) -> None:
    name, owner = side.workspace.name, side.owner
    side.post = Post.objects.create(
        workspace=side.workspace, video=side.video, caption=f"{name} goes out", created_by=owner
    )
    side.delivery = make_delivery(side, side.post)
    side.photo_post = Post.objects.create(
        workspace=side.workspace, kind=PostKind.PHOTO, title=f"{name} in pictures", created_by=owner
    )
    side.photo = make_photo(side, "shown", post=side.photo_post)
    side.pulled = make_delivery(
        side,
        side.photo_post,
        state=DeliveryState.PROCESSING,
        publish_id=f"p_pub_url~v2.{side.slug}",
        pull_requested_at=timezone.now(),
        wake_at=None,
    )


def make_delivery(side: Side, post: Post, **fields: Any) -> Delivery:
    """Save a delivery of `post` to the main connection, with a line in its diary; scheduled for later by default."""
    values = {
        "options": {"privacy_level": "SELF_ONLY"},
        "total_bytes": 500,
        "wake_at": timezone.now() + timedelta(days=1),
    } | fields
    delivery = Delivery.objects.create(
        workspace=side.workspace, post=post, connection=side.connection, **values
    )
    Attempt.objects.create(
        workspace=side.workspace,
        delivery=delivery,
        step="status",
        outcome=f"{side.slug}_error",
        log_id=f"log-of-{side.slug}",
        message=f"what the platform said to {side.slug}",
        finished_at=timezone.now(),
    )
    return delivery


def begin_connect(side: Side, user: User, session_key: str, *, state: str) -> OAuthRequest:
    """Save a connect that `user` began in the session `session_key`; the platform will bring `state` back."""
    request = OAuthRequest(
        workspace=side.workspace,
        user=user,
        provider="tiktok",
        state_hash=hashlib.sha256(state.encode()).hexdigest(),
        session_hash=hashlib.sha256(session_key.encode()).hexdigest(),
        expires_at=timezone.now() + timedelta(minutes=10),
    )
    request.code_verifier = seal(request, "code_verifier", "")
    request.save()
    return request


# --- What the database holds ------------------------------------------------------------------------------------------

_PASSING = frozenset({"django_session", "usersessions_usersession"})
"""Tables that every request of somebody logged in may write: who is here, and when they were last."""


def fingerprint(workspace: Workspace | None = None) -> dict[str, str]:
    """Return a digest of each table's rows, or of those rows that belong to `workspace`."""
    parts, arguments = [], []
    for table, condition in _tables(workspace).items():
        parts.append(
            f"SELECT '{table}', md5(coalesce(string_agg(row, '' ORDER BY row), '')) FROM"  # noqa: S608
            f" (SELECT (to_jsonb(t) - 'last_login')::text AS row FROM {table} t WHERE {condition}) AS rows"
        )
        arguments += [str(workspace.pk)] * condition.count("%s") if workspace else []
    with database.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), arguments)
        return dict(cursor.fetchall())


def _tables(workspace: Workspace | None) -> dict[str, str]:
    if workspace is not None:
        owned = {model._meta.db_table: "workspace_id = %s::uuid" for model in tenant_models()}
        return owned | {
            "accounts_workspace": "id = %s::uuid",
            "accounts_auditevent": "workspace_id = %s::uuid",
            "accounts_user": "id IN (SELECT user_id FROM accounts_membership WHERE workspace_id = %s::uuid)",
        }
    names = set(database.introspection.table_names()) - _PASSING
    return dict.fromkeys(sorted(names), "TRUE")


def changed_tables(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """The tables whose rows differ."""
    return {name for name, digest in after.items() if before[name] != digest}


Prepare = Callable[[Visit], None]
MakeBody = Callable[[Visit], dict[str, Any]]


def new_key() -> str:
    """A form's submission key."""
    return str(uuid.uuid4())


def media_root() -> str:
    """Where this test's files are."""
    return str(settings.MEDIA_ROOT)
