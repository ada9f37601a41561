"""Taking several photos in from a browser's form, each up to the platform's limit, no more than a post can hold."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest

from accounts.models import Workspace
from connections.providers.base import Provider
from publishing.photos import photo_too_large
from publishing.receiving import RefusedFile
from publishing.refusals import VideoRefusedError
from publishing.uploads import FORM_OVERHEAD_BYTES, VideoUploadHandler


class PhotoUploadHandler(VideoUploadHandler):
    """Stores each photo in a temporary place; one that is too large or too many becomes a RefusedFile."""

    def __init__(self, request: HttpRequest, *, workspace: Workspace, provider: Provider) -> None:
        super().__init__(request, workspace=workspace, field="photos")
        self._provider = provider
        self._limit = provider.photo_rules.max_bytes
        self._count = 0

    def handle_raw_input(
        self,
        input_data: Any,
        META: dict[str, Any],
        content_length: int,
        boundary: Any,
        encoding: str | None = None,
    ) -> None:
        """Look at the announced length before anything is read."""
        most = self._provider.photo_rules.max_count * self._limit
        self._is_announced_too_large = content_length > most + FORM_OVERHEAD_BYTES
        if not self._is_announced_too_large:
            self._take_room(content_length)

    def new_file(self, field_name: str, file_name: str, *args: Any, **kwargs: Any) -> None:
        """Begin a photo."""
        super().new_file(field_name, file_name, *args, **kwargs)
        self._count += 1
        most = self._provider.photo_rules.max_count
        if self._count > most:
            self._refusal = VideoRefusedError(
                f"A post holds at most {most} photos, so this one was left out.", code="too_many_photos"
            )

    def file_complete(self, file_size: int) -> UploadedFile | None:
        """Hand over the photo, or the reason why it was not taken."""
        file = super().file_complete(file_size)
        if not isinstance(file, RefusedFile):
            return file
        if file.refusal.code == "too_large":
            return RefusedFile(name=file.name or "photo", refusal=photo_too_large(self._provider))
        if file.refusal.code == "empty":
            empty = VideoRefusedError("This file is empty. Choose the photo again.", code="empty")
            return RefusedFile(name=file.name or "photo", refusal=empty)
        return file
