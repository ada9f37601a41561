"""What a person fills in to publish photos."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from connections.providers.base import PublishMode, PublishOptions
from publishing.forms import ComposerForm
from publishing.models import Photo
from publishing.preflight import Problem, find_photo_problems
from publishing.receiving import ReceivedFile, RefusedFile


class ManyFilesInput(forms.FileInput):
    """A file input that takes several files."""

    allow_multiple_selected = True

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[Any]:
        """All files of the field."""
        return list(files.getlist(name)) if hasattr(files, "getlist") else []


class ReceivedPhotosField(forms.Field):
    """Files taken in by PhotoUploadHandler: gives those received and those refused, in the order of the choice."""

    widget = ManyFilesInput

    def clean(self, value: Any) -> list[ReceivedFile | RefusedFile]:
        """Leave out what is no file of ours; what was refused is said by the view, photo by photo."""
        return [one for one in value or [] if isinstance(one, ReceivedFile | RefusedFile)]


class PhotoComposerForm(ComposerForm):
    """One photo post to one account. Which photos there are is not checked here: see `add_photo_problems`.

    Unlike a video's draft, a draft of photos takes its title and description along. Duet and stitch are for videos.
    """

    kept_video = None  # type: ignore[assignment]
    video = None  # type: ignore[assignment]
    allow_duet = None  # type: ignore[assignment]
    allow_stitch = None  # type: ignore[assignment]
    cover_seconds = None  # type: ignore[assignment]
    photos = ReceivedPhotosField(required=False, label="Photos")
    title = forms.CharField(required=False, max_length=1000, label="Title")
    adds_music = forms.BooleanField(required=False, label="Add music")
    cover = forms.CharField(required=False, max_length=40, label="Cover")

    def clean_title(self) -> str:
        """One line."""
        return " ".join(str(self.cleaned_data["title"]).split())

    def _option_problems(self) -> list[Problem]:
        return []  # all of them come with the photos, whose number they depend on

    def publish_options(self, cover_index: int = 0) -> PublishOptions:
        """The choices as the provider takes them."""
        data = self.cleaned_data
        discloses = bool(data.get("disclose"))
        return PublishOptions(
            caption=data.get("caption") or "",
            title=data.get("title") or "",
            privacy_level=data.get("privacy_level") or "",
            allow_comment=bool(data.get("allow_comment")),
            is_own_brand=discloses and bool(data.get("is_own_brand")),
            is_paid_partnership=discloses and bool(data.get("is_paid_partnership")),
            is_ai_generated=bool(data.get("is_ai_generated")),
            adds_music=bool(data.get("adds_music")),
            cover_index=cover_index,
        )

    def add_photo_problems(self, photos: list[Photo], *, cover_index: int) -> None:
        """Add what is wrong with the photos, the texts and the choices for this account. Call once."""
        account = self.account
        problems = find_photo_problems(
            photos=photos,
            provider=account.provider,
            creator=account.creator,
            mode=self.cleaned_data.get("mode") or PublishMode.DIRECT,
            options=self.publish_options(cover_index),
        )
        for problem in problems:
            self.add_error(problem.field, ValidationError(problem.message, code=problem.code))
