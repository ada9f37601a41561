"""The page on which a person deletes their account."""

from __future__ import annotations

from typing import Any, cast

from allauth.account.decorators import reauthentication_required
from django import forms
from django.contrib import messages
from django.contrib.auth import logout
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.account_removal import AccountRemovalError, consequences_of, start_removal
from accounts.models import User
from accounts.views import REFUSED


class DeleteAccountForm(forms.Form):
    """The person's address, typed, so that nobody deletes an account by a slip."""

    email = forms.CharField(max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "off"}))

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._user = user
        self.fields["email"].label = f"Type {user.email} to confirm"

    def clean_email(self) -> str:
        """Refuse what is not their address."""
        email: str = self.cleaned_data["email"]
        if email.strip().lower() != self._user.email.lower():
            raise ValidationError("That is not the e-mail address of this account.")
        return email


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@reauthentication_required
def account_delete(request: HttpRequest) -> HttpResponse:
    """Say what goes with the account; then, once its address is typed, delete it.

    The password or second step is asked for again before the page is shown, unless it was just given.
    """
    user = cast(User, request.user)
    form = DeleteAccountForm(request.POST if request.method == "POST" else None, user=user)
    if form.is_valid():
        try:
            start_removal(user=user)
        except AccountRemovalError as error:
            messages.error(request, str(error))
            return redirect("account_delete")
        logout(request)
        messages.success(request, "Your account is deleted, and you are logged out everywhere.")
        return redirect("home")
    context = {"form": form, "found": consequences_of(user)}
    return render(request, "accounts/account_delete.html", context, status=REFUSED if form.errors else 200)
