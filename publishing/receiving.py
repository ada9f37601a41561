"""Taking a file's bytes in: onto a temporary file beside the storage, with its checksum, up to the limit."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile

from publishing.preflight import format_gigabytes
from publishing.quota import Reservation
from publishing.refusals import VideoRefusedError, storage_refusal

INCOMING = "incoming"
"""Folder of files not yet taken, in the storage's own filesystem, so that taking one is a rename."""

BLOCK_BYTES = 256 * 1024


class ReceivedFile(UploadedFile):
    """A file that arrived whole and waits in a temporary place. Closing it removes it, unless it was moved before."""

    def __init__(self, file: Any, *, name: str, size: int, sha256: str) -> None:
        super().__init__(file=file, name=name, size=size)
        self._temporary = file
        self.sha256 = sha256
        self.reservation: Reservation | None = None
        """The room taken for it in its workspace's quota, if there is one."""

    def temporary_file_path(self) -> str:
        """Where it is now; storages on the same disk rename it from here."""
        return str(self._temporary.name)

    def close(self) -> None:
        """Close it and remove what was not moved away. May be called twice."""
        with suppress(FileNotFoundError):
            self._temporary.close()
        reservation, self.reservation = self.reservation, None
        if reservation is not None:
            reservation.release()


class RefusedFile(UploadedFile):
    """Stands in the form for a file that was not taken. Holds no bytes, only the reason."""

    def __init__(self, *, name: str, refusal: VideoRefusedError) -> None:
        super().__init__(file=None, name=name, size=0)
        self.refusal = refusal

    def close(self) -> None:
        """Nothing is open."""


class Receiver:
    """Writes one arriving file to its temporary place, hashing as it goes, and stops at the limit or a full disk.

    A context manager: what was not finished is removed at the end of the block.
    """

    def __init__(self, *, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._size = 0
        self._sha256 = hashlib.sha256()
        self._file: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def write(self, data: bytes) -> None:
        """Take the next bytes. Raises VideoRefusedError, with nothing left behind, at the limit or on a full disk."""
        self._size += len(data)
        if self._size > self._limit:
            self.discard()
            raise too_large(self._limit)
        try:
            if self._file is None:
                self._file = _open_temporary()
            self._file.write(data)
        except OSError as error:
            self.discard()
            raise storage_refusal(error) from error
        self._sha256.update(data)

    def finish(self) -> ReceivedFile:
        """Return the whole file, safely on the disk. Raises VideoRefusedError if it is empty or the disk is full."""
        if self._file is None:
            raise VideoRefusedError("This file is empty. Choose the video again.", code="empty")
        try:
            self._file.flush()
            os.fsync(self._file.fileno())  # some file systems tell only now that they are full
        except OSError as error:
            self.discard()
            raise storage_refusal(error) from error
        file, self._file = self._file, None
        return ReceivedFile(file, name=self._name, size=self._size, sha256=self._sha256.hexdigest())

    def discard(self) -> None:
        """Remove what was written so far. May be called twice."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(
                OSError
            ):  # a full disk refuses the last buffered bytes again; the file goes all the same
                file.close()
            Path(file.name).unlink(missing_ok=True)


def receive_stream(source: IO[bytes] | File[Any], *, name: str, limit: int | None = None) -> ReceivedFile:
    """Copy an open file in, block by block, leaving the original alone. Raises VideoRefusedError as Receiver does."""
    with Receiver(name=name, limit=settings.MAX_VIDEO_BYTES if limit is None else limit) as receiver:
        while block := source.read(BLOCK_BYTES):
            receiver.write(block)
        return receiver.finish()


def too_large(limit: int) -> VideoRefusedError:
    """The refusal of a file above `limit` bytes."""
    return VideoRefusedError(
        f"This file is larger than {format_gigabytes(limit)}, the most that can be sent. Shorten the video or export "
        "it with a lower bitrate.",
        code="too_large",
    )


def incoming_folder() -> Path | None:
    """Return the folder for temporary files on the storage's own disk, None where the storage is no local disk."""
    try:
        return Path(default_storage.path(INCOMING))
    except NotImplementedError:
        return None


def _open_temporary() -> Any:
    folder = incoming_folder()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return tempfile.NamedTemporaryFile(prefix="upload-", suffix=".part", dir=folder)
