"""Taking a file in from a browser's form, block by block, without ever holding it in memory."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import HttpRequest

from accounts.models import Workspace
from publishing import quota
from publishing.receiving import BLOCK_BYTES, ReceivedFile, Receiver, RefusedFile, too_large
from publishing.refusals import VideoRefusedError

FORM_OVERHEAD_BYTES = 1024 * 1024
"""What the form's other fields and the multipart frames add to a file, at most."""


class VideoUploadHandler(FileUploadHandler):
    """Stores the one file of a form in a temporary place; a refused one becomes a RefusedFile with its reason.

    Room in the quota of `workspace` is taken by the announced length, before anything is read.

    What is refused is still read to its end, since a browser that is cut off in mid-sending shows a connection error
    and never the answer. A form that announces more than the limit is read without storing any of it.
    """

    chunk_size = BLOCK_BYTES

    def __init__(self, request: HttpRequest, *, workspace: Workspace, field: str = "video") -> None:
        super().__init__(request)
        self._workspace = workspace
        self._reservation: quota.Reservation | None = None
        self._no_room: VideoRefusedError | None = None
        self._field = field
        self._limit: int = settings.MAX_VIDEO_BYTES
        self._is_announced_too_large = False
        self._receiver: Receiver | None = None
        self._refusal: VideoRefusedError | None = None

    def handle_raw_input(
        self,
        input_data: Any,
        META: dict[str, Any],
        content_length: int,
        boundary: Any,
        encoding: str | None = None,
    ) -> None:
        """Look at the announced length before anything is read."""
        self._is_announced_too_large = content_length > self._limit + FORM_OVERHEAD_BYTES
        if not self._is_announced_too_large:
            self._take_room(content_length)

    def _take_room(self, content_length: int) -> None:
        """Take room for what the form holds at least; what its files come to exactly is settled when they are here."""
        try:
            least = max(content_length - FORM_OVERHEAD_BYTES, 0)
            self._reservation = quota.reserve(self._workspace, least)
        except VideoRefusedError as refusal:
            self._no_room = refusal

    def new_file(self, field_name: str, file_name: str, *args: Any, **kwargs: Any) -> None:
        """Begin a file; one in a field that this form does not have is passed over."""
        super().new_file(field_name, file_name, *args, **kwargs)
        if field_name != self._field:
            raise SkipFile
        self._receiver = Receiver(name=file_name, limit=self._limit)
        self._refusal = too_large(self._limit) if self._is_announced_too_large else self._no_room

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Store a block, or let it go by once the file is refused."""
        if self._refusal is not None or self._receiver is None:
            return
        if self._reservation is not None:
            self._reservation.renew()
        try:
            self._receiver.write(raw_data)
        except VideoRefusedError as refusal:
            self._refusal = refusal

    def file_complete(self, file_size: int) -> UploadedFile | None:
        """Hand over the file, or the reason why it was not taken."""
        receiver, self._receiver = self._receiver, None
        if receiver is None:
            return None
        try:
            if self._refusal is not None:
                raise self._refusal
            return self._with_room(receiver.finish())
        except VideoRefusedError as refusal:
            return RefusedFile(name=self.file_name or "video", refusal=refusal)

    def _with_room(self, received: ReceivedFile) -> ReceivedFile:
        try:
            size = received.size or 0
            received.reservation = quota.reserve(self._workspace, size, out_of=self._reservation)
        except BaseException:
            received.close()
            raise
        return received

    def upload_interrupted(self) -> None:
        """The browser went away in the middle of the file."""
        self._drop()
        self._release()

    def upload_complete(self) -> None:
        """The whole form was read."""
        self._drop()
        self._release()

    def _release(self) -> None:
        reservation, self._reservation = self._reservation, None
        if reservation is not None:
            reservation.release()

    def _drop(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.discard()

    def __del__(self) -> None:
        self._drop()
