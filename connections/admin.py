"""Connections for operators: look, search, and the same use cases as on the pages. Tokens are never shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from connections import services
from connections.cards import permissions_of
from connections.errors import ProviderError
from connections.models import SocialConnection, WebhookEvent
from connections.sign_in import admin as sign_in_admin  # noqa: F401  # registers
from connections.tokens import refresh_now

OPERATOR_REASON = "An operator of this service asks that you reconnect this account."


class ExpiryFilter(admin.SimpleListFilter):
    """By when the permission (the refresh token) or the access token ends."""

    title = "expiry"
    parameter_name = "expires"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The windows on offer."""
        return [
            ("access_over", "Access token is over"),
            ("access_hour", "Access token ends within an hour"),
            ("permission_over", "Permission is over"),
            ("permission_fortnight", "Permission ends within 14 days"),
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[SocialConnection]
    ) -> QuerySet[SocialConnection]:
        """The connections in the chosen window."""
        now = timezone.now()
        windows: dict[str, dict[str, Any]] = {
            "access_over": {"access_expires_at__lte": now},
            "access_hour": {"access_expires_at__gt": now, "access_expires_at__lte": now + timedelta(hours=1)},
            "permission_over": {"refresh_expires_at__lte": now},
            "permission_fortnight": {
                "refresh_expires_at__gt": now,
                "refresh_expires_at__lte": now + timedelta(days=14),
            },
        }
        return queryset.filter(**windows.get(self.value() or "", {}))


@admin.register(SocialConnection)
class SocialConnectionAdmin(admin.ModelAdmin):
    """Read-only but for the label: everything else is what the platform said, and a hand edit would lie."""

    list_display = [
        "display_name",
        "handle",
        "workspace",
        "provider",
        "status",
        "is_primary",
        "access_expires_at",
        "refresh_expires_at",
        "refreshed_at",
    ]
    list_filter = [
        "status",
        ExpiryFilter,
        "provider",
        "is_primary",
        ("workspace", admin.RelatedOnlyFieldListFilter),
    ]
    list_select_related = ["workspace"]
    search_fields = [
        "account_label",
        "provider_account_id",
        "profile__username",
        "profile__display_name",
        "creator_info__username",
        "creator_info__nickname",
        "workspace__name",
        "workspace__slug",
    ]
    ordering = ["-created_at"]
    date_hierarchy = "connected_at"
    actions = ["refresh_token_now", "test_now", "require_reconnect", "disconnect_now"]
    fieldsets = [
        (
            None,
            {"fields": ["id", "workspace", "provider", "provider_account_id", "account_label", "is_primary"]},
        ),
        ("State", {"fields": ["status", "status_reason", "connected_by", "connected_at", "disconnected_at"]}),
        (
            "Authorization",
            {
                "fields": [
                    "permissions",
                    "scopes",
                    "access_expires_at",
                    "refresh_expires_at",
                    "refreshed_at",
                    "refresh_lease_until",
                    "token_generation",
                ]
            },
        ),
        (
            "What the platform said",
            {"fields": ["profile", "profile_fetched_at", "creator_info", "creator_info_fetched_at"]},
        ),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """All but the label."""
        shown = [name for _, options in self.fieldsets or [] for name in options["fields"]]
        return [str(name) for name in shown if name != "account_label"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Accounts are connected by their owners, in the browser."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Disconnecting withdraws the access and keeps the history; deleting would do neither."""
        return False

    @admin.display(description="handle")
    def handle(self, connection: SocialConnection) -> str:
        """The @handle."""
        return f"@{connection.username}" if connection.username else ""

    @admin.display(description="permissions")
    def permissions(self, connection: SocialConnection) -> str:
        """Granted and missing permissions in words."""
        return "; ".join(
            permission.label if permission.is_granted else f"NOT GRANTED: {permission.label}"
            for permission in permissions_of(connection)
        )

    @admin.action(description="Refresh the token now", permissions=["change"])
    def refresh_token_now(self, request: HttpRequest, queryset: QuerySet[SocialConnection]) -> None:
        """Refresh each one's pair, whatever is left of its life."""

        def act(connection: SocialConnection) -> str:
            refresh_now(connection)
            return "refreshed the token"

        self._for_each(request, queryset, act)

    @admin.action(description="Test the connection", permissions=["change"])
    def test_now(self, request: HttpRequest, queryset: QuerySet[SocialConnection]) -> None:
        """Ask the platform for each one's profile."""

        def act(connection: SocialConnection) -> str:
            result = services.test_connection(connection)
            return f"test: {result.outcome.value} {result.code} {result.log_id}".rstrip()

        self._for_each(request, queryset, act)

    @admin.action(description="Require reconnecting", permissions=["change"])
    def require_reconnect(self, request: HttpRequest, queryset: QuerySet[SocialConnection]) -> None:
        """Hold what each one has under way until its owner connects it again."""

        def act(connection: SocialConnection) -> str:
            changed = services.mark_needs_reauth(connection, reason=OPERATOR_REASON)
            return "marked for reconnecting" if changed else "left as it is, it was not active"

        self._for_each(request, queryset, act)

    @admin.action(description="Disconnect and revoke", permissions=["change"])
    def disconnect_now(self, request: HttpRequest, queryset: QuerySet[SocialConnection]) -> None:
        """Withdraw the access to each one."""

        def act(connection: SocialConnection) -> str:
            result = services.disconnect(connection)
            return f"disconnected, at the platform: {result.revocation.value}"

        self._for_each(request, queryset, act)

    def _for_each(
        self,
        request: HttpRequest,
        queryset: QuerySet[SocialConnection],
        act: Callable[[SocialConnection], str],
    ) -> None:
        """Run `act` on each connection, say and record what came of it; one failure stops no other."""
        for connection in queryset:
            try:
                outcome, level = act(connection), messages.SUCCESS
            except ProviderError as error:
                outcome, level = f"failed: {error}", messages.ERROR
            self.message_user(request, f"{connection}: {outcome}", level)
            self.log_change(request, connection, outcome[:1].upper() + outcome[1:])


@admin.register(WebhookEvent)
class WebhookEventAdmin(admin.ModelAdmin):
    """What platforms told us and what came of it. To look at only: an event cannot be made or changed here."""

    list_display = [
        "received_at",
        "provider",
        "name",
        "kind",
        "outcome",
        "account_id",
        "publish_id",
        "occurred_at",
    ]
    list_filter = ["kind", "outcome", "provider", "name"]
    search_fields = ["account_id", "publish_id", "post_id"]
    ordering = ["-received_at"]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Events come from platforms."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """An event is what was signed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A deleted one could be taken a second time."""
        return False
