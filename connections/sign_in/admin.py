"""Linked accounts, for operators: to see, and to unlink. allauth's places for client secrets and tokens are shut."""

from __future__ import annotations

from allauth.socialaccount import admin as allauth
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin
from django.http import HttpRequest

for _model in (SocialAccount, SocialApp, SocialToken):
    admin.site.unregister(_model)


@admin.register(SocialAccount)
class SocialAccountAdmin(allauth.SocialAccountAdmin):
    """Who logs in with which TikTok account. Nobody is given another's way in here."""

    fields = ("user", "provider", "uid", "date_joined", "last_login")
    list_display = ("user", "provider", "uid", "date_joined")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only its owner can show that an account is theirs."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: SocialAccount | None = None) -> bool:
        """As above."""
        return False
