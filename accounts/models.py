"""Who: people, the workspaces they share, and the role each has there."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils import timezone

from accounts.ids import uuid7
from accounts.permissions import Permission, Role


class UserManager(BaseUserManager["User"]):
    """Makes users that log in with their e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Save and return a user; without `password` the account cannot log in with one."""
        if not email:
            raise ValueError("A user needs an e-mail address")
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Save and return an operator: staff, with every permission in the admin."""
        return self.create_user(email, password, **(fields | {"is_staff": True, "is_superuser": True}))

    def get_by_natural_key(self, username: str | None) -> User:
        """Find a user by e-mail address, whatever its case."""
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A person. Belongs to workspaces by Membership; logs in with an e-mail address."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField("e-mail address", max_length=254, unique=True)
    name = models.CharField(max_length=100, blank=True)
    is_staff = models.BooleanField("operator", default=False, help_text="May use the admin.")
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now, editable=False)
    removal_started_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="They deleted their account; there is no way back."
    )

    objects = UserManager()

    EMAIL_FIELD = "email"
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_unique_whatever_case")]

    def __str__(self) -> str:
        return self.email

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the address in small letters: log-in looks for just those."""
        self.email = self.email.lower()
        super().save(*args, **kwargs)

    def get_full_name(self) -> str:
        """What to call this person on a page."""
        return self.name or self.email

    def get_short_name(self) -> str:
        """The first word of the name, or the part of the address before the @."""
        return self.name.split()[0] if self.name.strip() else self.email.split("@")[0]


class Workspace(models.Model):
    """The tenant: owns connections, videos and posts."""

    is_guarded = True  # by row-level security, though no column names its workspace

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=50, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    delete_after = models.DateTimeField(
        null=True, blank=True, help_text="An owner wants it deleted; until then it can be restored."
    )
    deletion_requested_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    removal_started_at = models.DateTimeField(
        null=True, blank=True, help_text="From then on nobody gets in, and there is no way back."
    )
    source_retention_days = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="Days after which the source video of an ended post is deleted; 0: never; empty: as the site has it.",
    )
    members: models.ManyToManyField[User, Membership] = models.ManyToManyField(
        User, through="Membership", related_name="workspaces"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="workspace_removed_only_after_grace",
                condition=models.Q(removal_started_at=None) | models.Q(delete_after__isnull=False),
            )
        ]
        indexes = [
            models.Index(
                name="workspace_to_be_deleted",
                fields=["delete_after"],
                condition=models.Q(delete_after__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return self.name


class TenantModel(models.Model):
    """Base of every row that a workspace owns. Children carry `workspace_id` too: one rule covers all tables."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")

    class Meta:
        abstract = True


class MembershipQuerySet(models.QuerySet["Membership"]):
    """Which memberships."""

    def usable(self) -> Self:
        """Those in workspaces that are not being removed just now."""
        return self.filter(workspace__removal_started_at=None)


class Membership(TenantModel):
    """A user in a workspace, with a role."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.EDITOR)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="membership_one_per_user_and_workspace", fields=["workspace", "user"]
            ),
            models.CheckConstraint(name="membership_role_known", condition=models.Q(role__in=Role.values)),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.workspace_id} as {self.role}"

    def can(self, at_least: Role) -> bool:
        """Whether this member may do what `at_least` may."""
        return Role(self.role).covers(at_least)

    def may(self, permission: Permission) -> bool:
        """Whether this member may do that."""
        return self.can(permission.least)

    @property
    def can_publish(self) -> bool:
        """Whether this member creates and publishes posts."""
        return self.may(Permission.PUBLISH)

    @property
    def can_manage(self) -> bool:
        """Whether this member manages connections, members and settings."""
        return self.may(Permission.MANAGE_CONNECTIONS)

    @property
    def is_owner(self) -> bool:
        """Whether this member owns the workspace."""
        return self.role == Role.OWNER

    def can_grant(self, role: Role) -> bool:
        """Whether this member may make somebody that."""
        return role in Role(self.role).grants

    def can_assign(self, other: Membership, role: Role) -> bool:
        """Whether this member may give `other` the role. A manager may also step down."""
        if self.pk == other.pk and self.may(Permission.MANAGE_MEMBERS):
            return Role(self.role).covers(role)
        return self.can_grant(Role(other.role)) and self.can_grant(role)

    def can_remove(self, other: Membership) -> bool:
        """Whether this member may take `other` out; leaving by oneself is everybody's right."""
        return self.pk == other.pk or self.can_grant(Role(other.role))


class InvitationQuerySet(models.QuerySet["Invitation"]):
    """Which invitations."""

    def unanswered(self) -> Self:
        """Neither accepted nor revoked; they may have expired."""
        return self.filter(accepted_at=None, revoked_at=None)

    def open(self) -> Self:
        """Those that can be accepted now, by the database's clock."""
        return self.unanswered().filter(
            expires_at__gt=Now(), workspace__delete_after=None, workspace__removal_started_at=None
        )


class Invitation(TenantModel):
    """An address that was asked into a workspace with a role. Of its link only a hash is kept."""

    email = models.EmailField(max_length=254)
    role = models.CharField(max_length=10, choices=Role)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True, help_text="Empty: the mail server did not take it.")
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                "workspace",
                name="invitation_one_unanswered_per_address",
                condition=models.Q(accepted_at=None, revoked_at=None),
            ),
            models.CheckConstraint(name="invitation_role_known", condition=models.Q(role__in=Role.values)),
            models.CheckConstraint(
                name="invitation_answered_once",
                condition=models.Q(accepted_at=None) | models.Q(revoked_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk} into {self.workspace_id} as {self.role}"

    @property
    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at <= timezone.now()


class AuditEvent(models.Model):
    """Who did what, when and from where. The database refuses to change or delete a row.

    People and workspaces are plain ids without a foreign key: what is gone leaves its events as they were written, and
    a name never has to be taken out of them. `details` holds ids and plain words, no secret (`accounts.audit`).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(db_default=Now())
    workspace_id = models.UUIDField(null=True, help_text="Empty: of no workspace.")
    actor_id = models.UUIDField(null=True, help_text="Empty: Broadside by itself, or nobody who is known.")
    action = models.CharField(max_length=60)
    ip = models.GenericIPAddressField(null=True)
    details = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(name="audit_newest_first", fields=["workspace_id", "-id"]),
            # asked for with each row that is deleted after its workspace (migration 0008)
            models.Index(
                name="audit_last_words",
                fields=["workspace_id"],
                condition=models.Q(action="workspace.removed"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} at {self.at:%Y-%m-%d %H:%M:%S}"


class NoticeKind(models.TextChoices):
    """What people are told about. The labels stand on the profile page."""

    PUBLISHED = "published", "A post is published"
    FAILED = "failed", "A post failed"
    HELD = "held", "A post waits for you"
    RECONNECT = "reconnect", "An account needs reconnecting"
    ACCESS_ENDING = "access_ending", "The access to an account ends soon"
    EXPORT = "export", "An export of data is ready"


class NoticeQuerySet(models.QuerySet["Notice"]):
    """Which notices."""

    def listed(self, membership: Membership) -> Self:
        """What a member's page shows, the newest first."""
        mine = self.filter(workspace_id=membership.workspace_id, user_id=membership.user_id, is_shown=True)
        return mine.order_by("-pk")

    def unread(self) -> Self:
        """Those to be read yet."""
        return self.filter(is_shown=True, read_at=None)

    def due_emails(self) -> Self:
        """Those whose e-mail may be sent now, by the database's clock, the oldest first."""
        return self.filter(email_due_at__lte=Now()).order_by("email_due_at", "pk")


class Notice(TenantModel):
    """One event told to one person. `key` names the event: whatever is repeated, a person is told of it once.

    `email_due_at` is when its e-mail must next be tried, NULL when nobody must: none is wanted, it was sent
    (`email_sent_at`), or it was given up.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=20, choices=NoticeKind)
    key = models.CharField(max_length=160)
    title = models.CharField(max_length=160)
    body = models.CharField(max_length=600, blank=True)
    next_step = models.CharField(max_length=400, blank=True)
    path = models.CharField(max_length=200, blank=True, help_text="The page that it is about, on this site.")
    action = models.CharField(max_length=60, blank=True, help_text="What the link to it says.")
    created_at = models.DateTimeField(db_default=Now())
    is_shown = models.BooleanField(default=True, help_text="In the list on the site.")
    read_at = models.DateTimeField(null=True, blank=True)
    email_due_at = models.DateTimeField(null=True, blank=True)
    email_tries = models.PositiveSmallIntegerField(default=0)
    email_sent_at = models.DateTimeField(null=True, blank=True)
    email_problem = models.CharField(max_length=120, blank=True, help_text="Why the e-mail has not gone out.")

    objects = NoticeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="notice_one_per_person_and_event", fields=["user", "key"]),
            models.CheckConstraint(name="notice_kind_known", condition=models.Q(kind__in=NoticeKind.values)),
        ]
        indexes = [
            models.Index(name="notice_newest_first", fields=["user", "workspace", "-id"]),
            models.Index(
                name="notice_unread",
                fields=["user", "workspace"],
                condition=models.Q(is_shown=True, read_at=None),
            ),
            models.Index(
                name="notice_email_queue",
                fields=["email_due_at"],
                condition=models.Q(email_due_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.user_id}"


class NoticePreference(models.Model):
    """A person's two switches for one kind of notice; without a row the defaults hold (`accounts.notices`)."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notice_preferences")
    kind = models.CharField(max_length=20, choices=NoticeKind)
    on_site = models.BooleanField()
    by_email = models.BooleanField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="notice_preference_one_per_kind", fields=["user", "kind"]),
            models.CheckConstraint(
                name="notice_preference_kind_known", condition=models.Q(kind__in=NoticeKind.values)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.user_id}"


class ExportState(models.TextChoices):
    """How far an export is. Waiting to be tried again is no state: that is `wake_at`."""

    WAITING = "waiting", "Queued"
    BUILDING = "building", "Being made"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"
    EXPIRED = "expired", "Deleted"


class DataExport(models.Model):
    """A file with somebody's data that is made in the background, kept for a while, and then deleted.

    `lease_token` and `lease_until` are the claim of the worker at it. Each try writes a file of its own, so that a
    worker that froze cannot spoil the file of its successor. `done_bytes` of `total_bytes` counts media only.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    state = models.CharField(max_length=10, choices=ExportState, default=ExportState.WAITING)
    requested_at = models.DateTimeField(db_default=Now())
    wake_at = models.DateTimeField(db_default=Now(), help_text="Not to be tried before.")
    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    total_bytes = models.BigIntegerField(default=0)
    done_bytes = models.BigIntegerField(default=0)
    file_name = models.CharField(max_length=200, blank=True, help_text="In the storage.")
    file_bytes = models.BigIntegerField(default=0)
    ready_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=300, blank=True, help_text="Why it failed, for people.")

    class Meta:
        abstract = True

    @property
    def is_open(self) -> bool:
        """Whether it is not at an end yet."""
        return self.state in {ExportState.WAITING, ExportState.BUILDING}

    @property
    def is_ready(self) -> bool:
        """Whether it can be downloaded."""
        return self.state == ExportState.READY


_OPEN_EXPORT = models.Q(state__in=["waiting", "building"])


class PersonExport(DataExport):
    """An export of one person's data. Of no workspace: theirs alone, from all workspaces that they are in."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="exports")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="person_export_one_at_a_time", fields=["user"], condition=_OPEN_EXPORT
            ),
            models.CheckConstraint(
                name="person_export_state_known", condition=models.Q(state__in=ExportState.values)
            ),
        ]

    def __str__(self) -> str:
        return f"export of {self.user_id} ({self.state})"


class WorkspaceExport(DataExport, TenantModel):
    """An export of all that a workspace owns."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="exports")
    requested_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="workspace_export_one_at_a_time", fields=["workspace"], condition=_OPEN_EXPORT
            ),
            models.CheckConstraint(
                name="workspace_export_state_known", condition=models.Q(state__in=ExportState.values)
            ),
        ]

    def __str__(self) -> str:
        return f"export of {self.workspace_id} ({self.state})"
