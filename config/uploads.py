"""Files that nobody asked for are not taken."""

from __future__ import annotations

from typing import Any, NoReturn

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.uploadhandler import FileUploadHandler


class RefuseFiles(FileUploadHandler):
    """The handler of every form that takes no file: without it, a file sent to the log-in page would fill the disk.

    A view that takes one sets `request.upload_handlers` itself, with a limit.
    """

    def new_file(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises SuspiciousFileOperation, which is answered with 400."""
        raise SuspiciousFileOperation("This page takes no files.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Never called."""

    def file_complete(self, file_size: int) -> None:
        """Never called."""
