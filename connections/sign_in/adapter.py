"""Where our rules meet allauth's flows around an account that somebody signs in with."""

from __future__ import annotations

from typing import Any

from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from django.http import HttpRequest

from accounts.models import User


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    """Linked accounts as Broadside has them: its words where a person must act."""

    error_messages = DefaultSocialAccountAdapter.error_messages | {
        "no_password": "Set a password first: without it and without TikTok you could not log in.",
        "no_verified_email": "Confirm your e-mail address first: it is the way back in if you forget the password.",
    }

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> User:
        """Start the new account with the name that TikTok shows; the person may change it on the next page."""
        user: User = sociallogin.user
        user.name = sociallogin.account.extra_data["display_name"]
        return user
