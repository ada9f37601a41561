"""Forms about people and workspaces."""

from __future__ import annotations

from typing import Any, ClassVar

from allauth.account.adapter import get_adapter
from allauth.account.forms import SignupForm as AllauthSignupForm
from allauth.core import ratelimit
from django import forms
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse

from accounts.models import Membership, Role, User, Workspace
from accounts.workspaces import create_personal_workspace


class SignupForm(AllauthSignupForm):
    """Name, e-mail address, password; the account and its first workspace are saved together or not at all.

    An address that is taken gets the answer "check your e-mail", and a message there says what to do: the page itself
    never tells that somebody has an account. (Where confirming is optional a new account is let in at once, so the
    two answers differ; `ACCOUNT_EMAIL_VERIFICATION=mandatory` makes them equal.)
    """

    name = forms.CharField(
        max_length=100, label="Your name", widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    field_order: ClassVar[list[str]] = ["name", "email", "password1"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = "E-mail address"
        self.fields["password1"].help_text = "At least 10 characters, not a common password."
        for field in self.fields.values():
            field.widget.attrs.pop("placeholder", None)

    def validate_unique_email(self, value: str) -> str:
        """Note a taken address instead of refusing it."""
        try:
            return str(super().validate_unique_email(value))
        except ValidationError:
            self.account_already_exists = True
            return value

    def custom_signup(self, request: HttpRequest, user: User) -> None:
        """Called by allauth once the user is saved."""
        user.name = self.cleaned_data["name"]
        user.save(update_fields=["name"])
        create_personal_workspace(user=user)

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        """Return the new user, or the answer for an address that is taken."""
        if not self.account_already_exists:
            try:
                with transaction.atomic():
                    return self.save(request), None
            except IntegrityError:  # somebody took the address since we looked
                if not User.objects.filter(email__iexact=self.cleaned_data["email"]).exists():
                    raise
        return None, self._answer_taken(request)

    def _answer_taken(self, request: HttpRequest) -> HttpResponse:
        email = self.cleaned_data["email"]
        adapter = get_adapter()
        if ratelimit.consume(request, action="confirm_email", key=email):
            adapter.send_account_already_exists_mail(email)
        return adapter.respond_email_verification_sent(request, None)


class ProfileForm(forms.ModelForm):
    """What a person says about themselves."""

    class Meta:
        model = User
        fields = ("name",)
        labels: ClassVar = {"name": "Your name"}
        widgets: ClassVar = {"name": forms.TextInput(attrs={"autocomplete": "name"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].required = True


class WorkspaceForm(forms.ModelForm):
    """A workspace's name. Its address stays as it is, so that links keep working."""

    class Meta:
        model = Workspace
        fields = ("name",)
        labels: ClassVar = {"name": "Workspace name"}
        help_texts: ClassVar = {"name": "A brand, a client, a team. Everybody in the workspace sees it."}


class RoleForm(forms.Form):
    """A member's new role, out of those that the actor may give."""

    role = forms.ChoiceField(choices=Role)

    def __init__(self, *args: Any, actor: Membership, member: Membership, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(role.value, role.label) for role in Role if actor.can_assign(member, role)]
        self.fields["role"] = forms.ChoiceField(choices=choices, initial=member.role, label="Role")
