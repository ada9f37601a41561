"""What a person fills in to publish a video."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from connections.providers.base import PublishMode, PublishOptions
from publishing.composing import Account
from publishing.models import Video
from publishing.preflight import Problem, find_option_problems, find_problems
from publishing.receiving import ReceivedFile, RefusedFile

ACCEPT = "video/mp4,video/quicktime,video/webm,.mp4,.mov,.webm"
FIELD_OF = {"cover_timestamp_ms": "cover_seconds"}
"""Form fields that are named otherwise than the option that they fill."""


class ReceivedVideoField(forms.Field):
    """A file taken in by VideoUploadHandler: gives a ReceivedFile, None without one, or says why it was refused."""

    widget = forms.FileInput

    def clean(self, value: Any) -> ReceivedFile | None:
        """Raise the refusal of a refused file as the field's error."""
        if isinstance(value, RefusedFile):
            raise ValidationError(value.refusal.message, code=value.refusal.code)
        return value if isinstance(value, ReceivedFile) else None


class ComposerForm(forms.Form):
    """One post to one account. `account` decides what may be chosen; nothing is preselected that TikTok wants chosen.

    What depends on the file alone is not checked here: see `add_problems`.
    """

    submission_key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    kept_video = forms.CharField(widget=forms.HiddenInput, required=False)
    video = ReceivedVideoField(required=False, label="Video")
    mode = forms.ChoiceField(choices=[(mode.value, mode.value) for mode in PublishMode], required=False)
    caption = forms.CharField(
        required=False, strip=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 5})
    )
    privacy_level = forms.CharField(required=False, label="Who can see this video", widget=forms.Select)
    allow_comment = forms.BooleanField(required=False, label="Comment")
    allow_duet = forms.BooleanField(required=False, label="Duet")
    allow_stitch = forms.BooleanField(required=False, label="Stitch")
    disclose = forms.BooleanField(required=False, label="Disclose video content")
    is_own_brand = forms.BooleanField(required=False, label="Your brand")
    is_paid_partnership = forms.BooleanField(required=False, label="Branded content")
    is_ai_generated = forms.BooleanField(required=False, label="AI-generated content")
    cover_seconds = forms.DecimalField(
        required=False, min_value=0, max_value=36_000, label="Cover frame", localize=False
    )

    def __init__(self, *args: Any, account: Account, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.account = account
        privacy = self.fields["privacy_level"].widget
        privacy.choices = [("", "Choose…"), *account.privacy_choices]
        if account.default_mode is not None:
            self.fields["mode"].initial = account.default_mode.value

    @property
    def chosen_mode(self) -> str:
        """The mode to show as chosen: what was sent if it is possible, else the first that is."""
        sent = str(self["mode"].value() or "")
        possible = {choice.mode.value for choice in self.account.modes if choice.is_available}
        fallback = self.account.default_mode
        return sent if sent in possible else (fallback.value if fallback else "")

    def clean_caption(self) -> str:
        """Line ends as one character, which is how they are counted and sent."""
        return str(self.cleaned_data["caption"]).replace("\r\n", "\n").replace("\r", "\n").strip()

    def clean_mode(self) -> PublishMode:
        """Only a way of posting that is possible now; the account's default where none was sent."""
        fallback = self.account.default_mode
        wanted = self.cleaned_data["mode"] or (fallback.value if fallback else PublishMode.DIRECT.value)
        mode = PublishMode(wanted)
        if not self.account.can(mode):
            reason = next(choice.reason for choice in self.account.modes if choice.mode is mode)
            raise ValidationError(f"This is not possible right now: {reason}", code="mode_unavailable")
        return mode

    def clean(self) -> dict[str, Any]:
        """Check the choices against each other and against what the creator may choose."""
        data = super().clean() or self.cleaned_data
        if data.get("mode") is not PublishMode.DIRECT:
            return data
        if data.get("disclose") and not (data.get("is_own_brand") or data.get("is_paid_partnership")):
            rules = self.account.provider.posting_rules
            self.add_error(
                "disclose", ValidationError(rules.disclosure_incomplete, code="disclosure_incomplete")
            )
        self._add(self._option_problems())
        return data

    def _option_problems(self) -> list[Problem]:
        return find_option_problems(
            provider=self.account.provider, creator=self.account.creator, options=self.publish_options()
        )

    def publish_options(self) -> PublishOptions:
        """The choices as the provider takes them. Brand boxes count only while the disclosure is on."""
        data = self.cleaned_data
        discloses = bool(data.get("disclose"))
        seconds = data.get("cover_seconds")
        return PublishOptions(
            caption=data.get("caption") or "",
            privacy_level=data.get("privacy_level") or "",
            allow_comment=bool(data.get("allow_comment")),
            allow_duet=bool(data.get("allow_duet")),
            allow_stitch=bool(data.get("allow_stitch")),
            is_own_brand=discloses and bool(data.get("is_own_brand")),
            is_paid_partnership=discloses and bool(data.get("is_paid_partnership")),
            is_ai_generated=bool(data.get("is_ai_generated")),
            cover_timestamp_ms=None if seconds is None else int(seconds * 1000),
        )

    def add_problems(self, video: Video) -> None:
        """Add what is wrong with this file for this account. Call once the other fields are clean."""
        self._add(
            find_problems(
                video=video,
                provider=self.account.provider,
                creator=self.account.creator,
                mode=self.cleaned_data["mode"],
                options=self.publish_options(),
            )
        )

    def _add(self, problems: list[Problem]) -> None:
        for problem in problems:
            field = FIELD_OF.get(problem.field, problem.field)
            self.add_error(field, ValidationError(problem.message, code=problem.code))
