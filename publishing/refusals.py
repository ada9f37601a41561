"""Why a file was not taken, in words for the person who sent it."""

from __future__ import annotations

import errno

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class VideoRefusedError(Exception):
    """A file was not taken, and nothing of it was kept. `code` names the rule in a word, for programs."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def storage_refusal(error: Exception) -> VideoRefusedError:
    """Say that the file could not be stored: for want of room, or for another reason that is the server's own."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return VideoRefusedError(
            "The server has no room left for this file, so nothing was stored. Ask whoever runs this site to make "
            "room, then send it again.",
            code="disk_full",
        )
    return VideoRefusedError(
        "The server could not store this file, so nothing was kept. Try again; if it happens once more, tell "
        "whoever runs this site.",
        code="storage_unavailable",
    )


def is_storage_error(error: Exception) -> bool:
    """Whether `error` comes from the place where files are kept, be it a disk or an object store."""
    return isinstance(error, OSError) or type(error).__module__.startswith(
        ("botocore", "boto3", "s3transfer")
    )
