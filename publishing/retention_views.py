"""The page on which a workspace decides how long source videos are kept after publishing."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.permissions import Permission
from accounts.tenancy import require_membership
from publishing import retention

REFUSED = 422
SITE, KEEP, DELETE = "site", "keep", "delete"


class RetentionForm(forms.Form):
    """As the site has it, keep, or delete after so many days."""

    choice = forms.ChoiceField(choices=[(SITE, SITE), (KEEP, KEEP), (DELETE, DELETE)])
    days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=retention.MAX_DAYS,
        label="Days after publishing",
        help_text="To delete them. Counted from the end of the last post of the video.",
    )

    def clean(self) -> dict[str, Any]:
        """Ask for the days where they are needed."""
        data = super().clean() or {}
        if data.get("choice") == DELETE and "days" not in self.errors and not data.get("days"):
            raise ValidationError({"days": "Say after how many days."})
        return data

    @property
    def chosen_days(self) -> int | None:
        """What the workspace keeps of it."""
        choice = self.cleaned_data["choice"]
        return {SITE: None, KEEP: 0}.get(choice, self.cleaned_data["days"])


@require_http_methods(["GET", "HEAD", "POST"])
def source_retention(request: HttpRequest, slug: str) -> HttpResponse:
    """Show and change how long the workspace keeps source videos."""
    actor = require_membership(request, slug, at_least=Permission.MANAGE_SETTINGS.least)
    days = actor.workspace.source_retention_days
    initial = {"choice": SITE if days is None else DELETE if days else KEEP, "days": days or None}
    form = RetentionForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        retention.choose(actor=actor, days=form.chosen_days)
        messages.success(request, "Saved.")
        return redirect("publishing:source_retention", slug=slug)
    context = {
        "form": form,
        "choice": form["choice"].value(),
        "site_days": settings.SOURCE_RETENTION_DAYS,
        "window_days": retention.RETRY_WINDOW.days,
    }
    return render(
        request, "publishing/source_retention.html", context, status=REFUSED if form.errors else 200
    )
