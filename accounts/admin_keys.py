"""Rows of other apps by which somebody gets in, or further up, in the admin.

Operators who are no superusers have only the permissions that were given to them. None of these lets them become
somebody else or give themselves more: what opens an account is changed by superusers, or by its owner.
"""

from __future__ import annotations

from typing import Any

from allauth.account import admin as allauth_account
from allauth.account.models import EmailAddress
from allauth.mfa import admin as allauth_mfa
from allauth.mfa.models import Authenticator
from allauth.usersessions import admin as allauth_usersessions
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth import admin as django_auth
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import User

for _model in (EmailAddress, Authenticator, UserSession, Group):
    admin.site.unregister(_model)


def is_superuser(request: HttpRequest) -> bool:
    """Whether the operator may do everything."""
    return isinstance(request.user, User) and request.user.is_superuser


def may_touch(request: HttpRequest, person: User | None) -> bool:
    """Whether the operator may change how `person` gets in, or what they may: other operators are for superusers."""
    return is_superuser(request) or person is None or not (person.is_staff or person.is_superuser)


class _OfSuperusers(admin.ModelAdmin):
    """Others look at most: no form, no deletion, no action."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Superusers only."""
        return is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers only."""
        return is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers only."""
        return is_superuser(request)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """allauth's own ask for no permission."""
        return dict(super().get_actions(request)) if is_superuser(request) else {}


@admin.register(Group)
class GroupAdmin(_OfSuperusers, django_auth.GroupAdmin):
    """Which permissions go together: who writes these could give themselves all."""


@admin.register(EmailAddress)
class EmailAddressAdmin(_OfSuperusers, allauth_account.EmailAddressAdmin):
    """Addresses: a password is reset through them."""


class _OnlyDeleted(admin.ModelAdmin):
    """Made by their owners alone, and taken away where that helps; those of operators by superusers."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody is given another's way in here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """As above."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """By permission; asked for each row, also of many that are deleted at once."""
        return super().has_delete_permission(request, obj) and may_touch(request, obj and obj.user)


@admin.register(Authenticator)
class AuthenticatorAdmin(_OnlyDeleted, allauth_mfa.AuthenticatorAdmin):
    """Second steps, for those who lost theirs. What they hold is not shown, though it is sealed."""

    fields = ("user", "type", "created_at", "last_used_at")


@admin.register(UserSession)
class UserSessionAdmin(_OnlyDeleted, allauth_usersessions.UserSessionAdmin):
    """Who is logged in from where. Deleting one logs that browser out."""

    fields = ("user", "ip", "user_agent", "created_at", "last_seen_at")
    search_fields = ("=user__pk", "user__email", "=ip")

    def delete_model(self, request: HttpRequest, obj: UserSession) -> None:
        """End the session too."""
        obj.end()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[UserSession]) -> None:
        """End each."""
        for session in queryset:
            session.end()
