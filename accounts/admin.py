"""People and workspaces, for operators."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from allauth.account.decorators import secure_admin_login
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts import admin_keys, removal
from accounts.account_removal import AccountRemovalError, start_removal
from accounts.admin_members import MembershipInline, RecordsMembers
from accounts.models import AuditEvent, Invitation, User, Workspace

admin.site.site_header = "Broadside"
admin.site.site_title = "Broadside"
admin.site.index_title = "Operators"
# Operators log in like everybody, behind the same rate limits.
# https://docs.allauth.org/en/latest/common/admin.html
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]


OF_OPERATORS = ("is_staff", "is_superuser", "groups", "user_permissions")


class UserCreationForm(AdminUserCreationForm):
    """A new account: address and password."""

    class Meta:
        model = User
        fields = ("email",)
        field_classes: ClassVar[dict[str, Any]] = {}


@admin.register(User)
class UserAdmin(RecordsMembers, DjangoUserAdmin):
    """Accounts. A password can be set, never read: not even its hash is shown."""

    add_form = UserCreationForm
    list_display = ("email", "name", "is_active", "is_staff", "last_login", "date_joined")
    list_filter = ("is_active", "is_staff", "date_joined")
    search_fields = ("email", "name")
    ordering = ("email",)
    readonly_fields = ("id", "password_link", "last_login", "date_joined")
    filter_horizontal = ("groups", "user_permissions")
    fieldsets = (
        (None, {"fields": ("id", "email", "name", "password_link")}),
        ("Access", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "name", "usable_password", "password1", "password2")}),)
    inlines = (MembershipInline,)
    actions = ["delete_accounts"]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """By permission; of operators, themselves included, only superusers change anything, a password above all."""
        return super().has_change_permission(request, obj) and admin_keys.may_touch(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """What makes an operator is a superuser's to give."""
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if admin_keys.is_superuser(request) else fields + OF_OPERATORS

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """By the action alone: deleting the row would leave the person's files and log entries behind."""
        return False

    @admin.action(description="Delete the accounts, at once and for good", permissions=["change"])
    def delete_accounts(self, request: HttpRequest, people: QuerySet[User]) -> None:
        """Do what the people themselves can do in their profile."""
        for person in people.order_by("pk"):
            if not self.has_change_permission(request, person):
                self.message_user(request, f"{person.email}: an operator's account.", messages.ERROR)
                continue
            try:
                start_removal(user=person, operator=cast(User, request.user))
            except AccountRemovalError as error:
                self.message_user(request, f"{person.email}: {error}", messages.ERROR)
            else:
                self.message_user(request, f"The account of {person.email} is being deleted.")

    @admin.display(description="Password")
    def password_link(self, user: User) -> SafeString:
        """Where to set a new one."""
        return format_html(
            '<a href="{}">Set a new password</a>', reverse("admin:auth_user_password_change", args=[user.pk])
        )


@admin.register(Workspace)
class WorkspaceAdmin(RecordsMembers):
    """Tenants, with their members."""

    list_display = ("name", "slug", "member_count", "created_at")
    list_filter = ("created_at",)
    search_fields = ("name", "slug", "memberships__user__email")
    ordering = ("name",)
    readonly_fields = ("id", "created_at", "delete_after", "deletion_requested_by", "removal_started_at")
    inlines = (MembershipInline,)
    actions = ["request_deletion", "restore"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """By the action alone: deleting the row would leave files behind, and the platform's permissions in force."""
        return False

    @admin.action(description="Delete in two weeks, restorable until then", permissions=["change"])
    def request_deletion(self, request: HttpRequest, workspaces: QuerySet[Workspace]) -> None:
        """Do what the owners themselves can do in the settings."""
        operator = cast(User, request.user)
        count = sum(removal.request_deletion_by_operator(one, operator=operator) for one in workspaces)
        self.message_user(request, f"{count} to be deleted in {removal.GRACE.days} days.")

    @admin.action(description="Restore what is to be deleted", permissions=["change"])
    def restore(self, request: HttpRequest, workspaces: QuerySet[Workspace]) -> None:
        """Take it back where the removal has not begun."""
        operator = cast(User, request.user)
        count = sum(removal.restore_by_operator(one, operator=operator) for one in workspaces)
        self.message_user(request, f"{count} restored.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Workspace]:
        """Count the members with the list, not row by row."""
        return super().get_queryset(request).annotate(members_in_it=Count("memberships", distinct=True))

    @admin.display(description="Members", ordering="members_in_it")
    def member_count(self, workspace: Any) -> int:
        """How many people are in it."""
        return int(workspace.members_in_it)


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows to look at."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """What happened in all workspaces, and outside of them."""

    list_display = ("at", "action", "actor_id", "workspace_id", "ip")
    list_filter = ("at", "action")
    search_fields = ("=actor_id", "=workspace_id", "action", "=ip")
    ordering = ("-id",)
    show_full_result_count = False


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    """Who was asked into which workspace, and what came of it."""

    list_display = ("email", "workspace", "role", "sent_at", "expires_at", "accepted_at", "revoked_at")
    list_filter = ("role", "created_at")
    list_select_related = ("workspace",)
    search_fields = ("email", "workspace__name", "workspace__slug")
    ordering = ("-created_at",)
    exclude = ("token_hash",)
