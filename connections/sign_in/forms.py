"""What a person who comes by TikTok is asked for: TikTok tells no e-mail address."""

from __future__ import annotations

from typing import Any

from allauth.socialaccount.forms import SignupForm as AllauthSignupForm
from allauth.socialaccount.models import SocialAccount
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.forms import NewAccountForm
from accounts.models import User


class SignupForm(NewAccountForm, AllauthSignupForm):
    """Name and e-mail address. The account opens once the address is confirmed."""

    field_order = ("name", "email")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].initial = self.sociallogin.user.name

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        """Return the new user, or the answer for what is taken, be it the address or the TikTok account."""
        who = self.sociallogin.account
        try:
            with transaction.atomic():
                return super().try_save(request)
        except IntegrityError:
            if not SocialAccount.objects.filter(provider=who.provider, uid=who.uid).exists():
                raise
        messages.info(request, "That TikTok account has an account here already. Log in with it.")
        return None, redirect("account_login")
