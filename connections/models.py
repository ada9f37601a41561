"""Where to: the accounts on platforms that a workspace may publish to, and connects that are under way."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import TenantModel, Workspace
from connections.crypto import EncryptedTextField
from connections.providers.base import WebhookKind


class ConnectionStatus(models.TextChoices):
    """Whether a connection can be used."""

    ACTIVE = "active"
    NEEDS_REAUTH = "needs_reauth", "Needs reconnecting"
    REVOKED = "revoked", "Disconnected"


class SocialConnectionQuerySet(models.QuerySet["SocialConnection"]):
    """Which connections."""

    def active(self) -> Self:
        """Those that can be used."""
        return self.filter(status=ConnectionStatus.ACTIVE)

    def listed(self) -> Self:
        """Those that a workspace still has: all but the disconnected, the primary first."""
        return self.exclude(status=ConnectionStatus.REVOKED).order_by("-is_primary", "created_at")

    def expiring(self, before: datetime) -> Self:
        """Active ones whose access token ends before `before`."""
        return self.active().filter(access_expires_at__lt=before)

    def with_profile_before(self, moment: datetime) -> Self:
        """Active ones whose profile was read before `moment` or never, the oldest first."""
        old = Q(profile_fetched_at=None) | Q(profile_fetched_at__lt=moment)
        return self.active().filter(old).order_by(F("profile_fetched_at").asc(nulls_first=True), "pk")


class SocialConnection(TenantModel):
    """An authorized account on a platform. A disconnected one stays, without tokens, for the history."""

    workspace = models.ForeignKey(
        Workspace,
        on_delete=models.CASCADE,
        related_name="connections",
        db_index=False,  # key_by_workspace makes one
    )
    provider = models.CharField(max_length=20)
    provider_account_id = models.CharField(max_length=128)
    account_label = models.CharField("label", max_length=60, blank=True)
    account_type = models.CharField(max_length=20, default="creator")
    is_primary = models.BooleanField(default=False)
    status = models.CharField(max_length=12, choices=ConnectionStatus, default=ConnectionStatus.ACTIVE)
    status_reason = models.CharField(
        max_length=200, blank=True, help_text="Why it needs reconnecting, for people."
    )

    access_token = EncryptedTextField(blank=True)
    refresh_token = EncryptedTextField(blank=True)
    access_expires_at = models.DateTimeField(null=True, blank=True)
    refresh_expires_at = models.DateTimeField(null=True, blank=True)
    refreshed_at = models.DateTimeField(null=True, blank=True)
    refresh_lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    token_generation = models.PositiveIntegerField(default=0, editable=False)
    scopes = models.JSONField(default=list, help_text="Granted by the creator.")

    profile = models.JSONField(default=dict, blank=True)
    profile_fetched_at = models.DateTimeField(null=True, blank=True)
    creator_info = models.JSONField(default=dict, blank=True)
    creator_info_fetched_at = models.DateTimeField(null=True, blank=True)
    avatar = models.FileField(upload_to="avatars/", blank=True, max_length=200)

    connected_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    connected_at = models.DateTimeField(null=True, blank=True)
    disconnected_at = models.DateTimeField(null=True, blank=True)

    objects = SocialConnectionQuerySet.as_manager()

    class Meta:
        db_table = "social_connections"
        constraints = [
            models.UniqueConstraint(
                name="connection_one_per_account_and_workspace",
                fields=["workspace", "provider", "provider_account_id"],
            ),
            models.UniqueConstraint(
                name="connection_one_primary_per_provider",
                fields=["workspace", "provider"],
                condition=Q(is_primary=True),
            ),
            models.CheckConstraint(
                name="connection_status_known", condition=Q(status__in=ConnectionStatus.values)
            ),
            models.CheckConstraint(
                name="connection_revoked_is_bare",
                condition=~Q(status="revoked") | Q(access_token="", refresh_token="", is_primary=False),
            ),
        ]
        indexes = [
            models.Index(
                name="connection_expiring", fields=["access_expires_at"], condition=Q(status="active")
            )
        ]

    def __str__(self) -> str:
        return f"{self.provider}: {self.display_name}"

    @property
    def username(self) -> str:
        """The @handle without the @, empty when its scope was not granted."""
        return str(self.creator_info.get("username") or self.profile.get("username") or "")

    @property
    def nickname(self) -> str:
        """The name that the platform shows for this account."""
        return str(self.creator_info.get("nickname") or self.profile.get("display_name") or "")

    @property
    def display_name(self) -> str:
        """What to call this connection on a page: its label, else its nickname or handle."""
        return self.account_label or self.nickname or (f"@{self.username}" if self.username else "Account")

    @property
    def is_active(self) -> bool:
        """Whether it can be used now."""
        return self.status == ConnectionStatus.ACTIVE

    def has_scope(self, scope: str) -> bool:
        """Whether the creator granted `scope`."""
        return scope in self.scopes


class OAuthRequest(TenantModel):
    """A connect that was started and waits for the platform's answer: single use, short-lived."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    provider = models.CharField(max_length=20)
    state_hash = models.CharField(max_length=64, unique=True)
    session_hash = models.CharField(max_length=64)
    code_verifier = EncryptedTextField(blank=True)
    next_url = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "oauth_requests"

    def __str__(self) -> str:
        return f"{self.provider} connect started {self.created_at:%Y-%m-%d %H:%M}"


class WebhookEventQuerySet(models.QuerySet["WebhookEvent"]):
    """Which events."""

    def waiting(self) -> Self:
        """Those not acted on yet."""
        return self.filter(processed_at=None)


class WebhookEvent(models.Model):
    """What a platform told us by a webhook, stored before anything is done about it. Kept for 30 days.

    Of no workspace: an account may be connected in several. `body` is what was signed, as text; it holds no secret.
    """

    is_guarded = True  # only the system scopes see it

    id = models.BigAutoField(primary_key=True)
    provider = models.CharField(max_length=20)
    dedup_key = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=24, choices=[(kind.value, kind.value) for kind in WebhookKind])
    name = models.CharField(max_length=80, blank=True)
    account_id = models.CharField(max_length=128, blank=True)
    occurred_at = models.DateTimeField(null=True, blank=True, help_text="By the platform's clock.")
    publish_id = models.CharField(max_length=64, blank=True)
    post_id = models.CharField(max_length=64, blank=True)
    message = models.CharField(max_length=200, blank=True, help_text="For people.")
    is_own_doing = models.BooleanField(default=False)
    body = models.TextField()
    received_at = models.DateTimeField(db_default=Now())
    processed_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=20, blank=True)
    tries = models.PositiveSmallIntegerField(db_default=0)

    objects = WebhookEventQuerySet.as_manager()

    class Meta:
        db_table = "webhook_events"
        indexes = [
            models.Index(name="webhook_event_arrival", fields=["provider", "received_at"]),
            models.Index(
                name="webhook_event_waiting", fields=["received_at"], condition=Q(processed_at=None)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}: {self.name or self.kind}"
