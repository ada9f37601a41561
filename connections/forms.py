"""The one thing about a connection that people may write: its label."""

from __future__ import annotations

from django import forms

from connections.models import SocialConnection


class LabelForm(forms.ModelForm):
    """A name of the workspace's own for an account."""

    class Meta:
        model = SocialConnection
        fields = ["account_label"]
        labels = {"account_label": "Label"}
        help_texts = {
            "account_label": "Shown in this workspace instead of the account's name. Leave it empty to show that one."
        }
