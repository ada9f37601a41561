"""Memberships in the admin: the same rules, and the same lines in the audit log, as on the members page."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms import BaseInlineFormSet, BaseModelFormSet, ModelForm
from django.http import HttpRequest

from accounts import audit
from accounts.models import Membership, Role, User, Workspace
from accounts.workspaces import end_invitations


class MembershipFormSet(BaseInlineFormSet):
    """Rows of who is in which workspace. A row stays that person's, in that workspace; only its role changes."""

    def add_fields(self, form: ModelForm, index: int | None) -> None:
        """Shut what names the person and the workspace of a row that is there."""
        super().add_fields(form, index)
        if not form.instance._state.adding:
            for name in {"user", "workspace"} & set(form.fields):
                form.fields[name].disabled = True

    def clean(self) -> None:
        """Refuse to leave a workspace without an owner. Raises ValidationError."""
        super().clean()
        if any(self.errors):
            return
        lost: dict[Workspace, set[Any]] = defaultdict(set)
        gained = set()
        for form in self.forms:
            is_owner = form.cleaned_data.get("role") == Role.OWNER and not form.cleaned_data.get("DELETE")
            if form.instance._state.adding:
                gained |= {form.cleaned_data.get("workspace")} if is_owner else set()
            elif form.initial.get("role") == Role.OWNER and not is_owner:
                lost[form.instance.workspace].add(form.instance.pk)
            elif is_owner:
                gained.add(form.instance.workspace)
        for workspace, gone in lost.items():
            owners = Membership.objects.filter(workspace=workspace, role=Role.OWNER)
            if workspace not in gained and not owners.exclude(pk__in=gone).exists():
                raise ValidationError(f"{workspace} needs an owner. Make somebody else an owner first.")


class MembershipInline(admin.TabularInline):
    """Who is in a workspace, or which workspaces a person is in."""

    model = Membership
    formset = MembershipFormSet
    extra = 0
    autocomplete_fields = ("user", "workspace")
    readonly_fields = ("created_at",)


class RecordsMembers(admin.ModelAdmin):
    """A page with memberships in it, whose changes the people of the workspace find in their audit log."""

    def save_formset(
        self, request: HttpRequest, form: ModelForm, formset: BaseModelFormSet, change: bool
    ) -> None:
        """Save, and record each; what somebody invited who may not any more ends."""
        super().save_formset(request, form, formset, change)
        if formset.model is not Membership:
            return
        operator = cast(User, request.user)
        was = {one.instance.pk: one.initial.get("role", "") for one in formset.initial_forms}
        for member in formset.new_objects:
            _record("member.added", member, operator, role=member.role)
        for member, _ in formset.changed_objects:
            _record("member.role_changed", member, operator, was=was[member.pk], now=member.role)
            end_invitations(member, unless=Role(member.role).grants)
        for member in formset.deleted_objects:
            _record("member.removed", member, operator, role=member.role)
            end_invitations(member, unless=frozenset())


def _record(action: str, member: Membership, operator: User, **details: Any) -> None:
    audit.record(action, workspace=member.workspace_id, actor=operator, user=member.user_id, **details)
