"""Who: people, the workspaces they share, and the role each has there."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.ids import uuid7


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

    objects = UserManager()

    EMAIL_FIELD = "email"
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_unique_whatever_case")]

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        """What to call this person on a page."""
        return self.name or self.email

    def get_short_name(self) -> str:
        """The first word of the name, or the part of the address before the @."""
        return self.name.split()[0] if self.name.strip() else self.email.split("@")[0]


class Role(models.TextChoices):
    """What a member may do, from least to most: look, publish, connect, own."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"
    OWNER = "owner"

    @property
    def rank(self) -> int:
        """Position from least (0) to most."""
        return list(Role).index(self)

    def covers(self, other: Role) -> bool:
        """Whether this role may do all that `other` may."""
        return self.rank >= other.rank


class Workspace(models.Model):
    """The tenant: owns connections, videos and posts."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=50, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    members: models.ManyToManyField[User, Membership] = models.ManyToManyField(
        User, through="Membership", related_name="workspaces"
    )

    def __str__(self) -> str:
        return self.name


class TenantModel(models.Model):
    """Base of every row that a workspace owns. Children carry `workspace_id` too: one rule covers all tables."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")

    class Meta:
        abstract = True


class Membership(TenantModel):
    """A user in a workspace, with a role."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.EDITOR)
    created_at = models.DateTimeField(auto_now_add=True)

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

    @property
    def can_publish(self) -> bool:
        """Whether this member creates and publishes posts."""
        return self.can(Role.EDITOR)

    @property
    def can_manage(self) -> bool:
        """Whether this member manages connections, members and settings."""
        return self.can(Role.ADMIN)

    @property
    def is_owner(self) -> bool:
        """Whether this member owns the workspace."""
        return self.role == Role.OWNER

    def can_assign(self, other: Membership, role: Role) -> bool:
        """Whether this member may give `other` the role: admins manage those below owner, owners everybody."""
        return self.can_manage and (self.is_owner or (not other.is_owner and role != Role.OWNER))

    def can_remove(self, other: Membership) -> bool:
        """Whether this member may take `other` out; leaving by oneself is everybody's right."""
        return self.pk == other.pk or (self.can_manage and (self.is_owner or not other.is_owner))
