"""Forms about people and workspaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from allauth.account.adapter import get_adapter
from allauth.account.forms import SignupForm as AllauthSignupForm
from allauth.core import context, ratelimit
from django import forms
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse

from accounts import invitations
from accounts.models import Invitation, Membership, Role, User, Workspace
from accounts.workspaces import create_personal_workspace


class NewAccountForm(forms.Form):
    """A new person's name and e-mail address; the account and its first workspace are saved together or not at all.

    To be put before a sign-up form of allauth's. An address that is taken gets the answer "check your e-mail", and a
    message there says what to do: the page itself never tells that somebody has an account. (Where confirming is
    optional a new account is let in at once, so the two answers differ; `ACCOUNT_EMAIL_VERIFICATION=mandatory` makes
    them equal.)
    """

    name = forms.CharField(
        max_length=100, label="Your name", widget=forms.TextInput(attrs={"autocomplete": "name"})
    )

    account_already_exists: bool
    save: Callable[[HttpRequest], User]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = "E-mail address"
        for field in self.fields.values():
            field.widget.attrs.pop("placeholder", None)

        self.invitation = self._invitation()
        if self.invitation:
            self.fields["email"].initial = self.invitation.email

    def _invitation(self) -> Invitation | None:
        request = context.request
        return invitations.open_of_session(request) if request is not None else None

    def validate_unique_email(self, value: str) -> str:
        """Note a taken address instead of refusing it."""
        try:
            return str(super().validate_unique_email(value))  # type: ignore[misc]  # of allauth's form
        except ValidationError:
            self.account_already_exists = True
            return value

    def custom_signup(self, request: HttpRequest, user: User) -> None:
        """Called by allauth once the user is saved."""
        user.name = self.cleaned_data["name"]
        user.save(update_fields=["name"])
        if not self._join(request, user):
            create_personal_workspace(user=user)

    def _join(self, request: HttpRequest, user: User) -> bool:
        """Enter the workspace of the invitation that they came by, if it is for this address, which that proves."""
        invitation = invitations.open_of_session(request)
        if invitation is None:
            return False
        try:
            with transaction.atomic():
                invitations.accept(invitation, user=user)
        except invitations.InvitationError:  # for another address, or revoked since we looked
            return False
        get_adapter().stash_verified_email(request, user.email)
        return True

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
        request.session["signed_up"] = True  # a new account gets a session too: its cookie would tell
        adapter = get_adapter()
        if ratelimit.consume(request, action="confirm_email", key=email):
            adapter.send_account_already_exists_mail(email)
        return adapter.respond_email_verification_sent(request, None)


class SignupForm(NewAccountForm, AllauthSignupForm):
    """Name, e-mail address, password."""

    field_order = ("name", "email", "password1")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password1"].help_text = "At least 10 characters, not a common password."


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


class InvitationForm(forms.Form):
    """Whom to ask into a workspace, with a role out of those that the actor may give."""

    email = forms.EmailField(
        max_length=254, label="E-mail address", widget=forms.EmailInput(attrs={"autocomplete": "off"})
    )
    role = forms.ChoiceField()

    def __init__(self, *args: Any, actor: Membership, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(role.value, role.label) for role in Role if actor.can_grant(role)]
        self.fields["role"] = forms.ChoiceField(choices=choices, initial=Role.EDITOR.value, label="Role")


class TransferForm(forms.Form):
    """Who shall own the workspace."""

    member = forms.ModelChoiceField(queryset=Membership.objects.none(), label="New owner")

    def __init__(self, *args: Any, actor: Membership, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = actor.workspace.memberships.exclude(pk=actor.pk).filter(user__is_active=True)
        field = _MemberField(
            queryset=others.select_related("user").order_by("user__name", "user__email"),
            label="New owner",
            empty_label="Choose a member",
        )
        self.fields["member"] = field


class _MemberField(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.user.get_full_name()} ({obj.user.email})"


class DeleteWorkspaceForm(forms.Form):
    """The workspace's name, typed, so that nobody deletes the wrong one."""

    name = forms.CharField(max_length=80, widget=forms.TextInput(attrs={"autocomplete": "off"}))

    def __init__(self, *args: Any, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._workspace = workspace
        self.fields["name"].label = f"Type {workspace.name} to confirm"

    def clean_name(self) -> str:
        """Refuse what is not the name."""
        name: str = self.cleaned_data["name"]
        if " ".join(name.split()) != " ".join(self._workspace.name.split()):
            raise ValidationError("That is not the name of this workspace.")
        return name


class RoleForm(forms.Form):
    """A member's new role, out of those that the actor may give."""

    role = forms.ChoiceField(choices=Role)

    def __init__(self, *args: Any, actor: Membership, member: Membership, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(role.value, role.label) for role in Role if actor.can_assign(member, role)]
        self.fields["role"] = forms.ChoiceField(choices=choices, initial=member.role, label="Role")
