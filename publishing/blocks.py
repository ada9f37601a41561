"""Reading a byte range of a stored file, block by block, so that memory grows with neither the file nor the chunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.files.storage import Storage

BLOCK_BYTES = 256 * 1024


_GONE = frozenset({"NoSuchKey", "404", "InvalidRange", "416"})
"""An object store's words for a file that is not there, or ends before the range. Any other trouble of its may pass."""


class FileChangedError(Exception):
    """The stored file is gone, or shorter than it was when the upload was planned."""


def read_blocks(storage: Storage, name: str, *, first: int, size: int) -> Iterator[bytes | memoryview]:
    """Yield bytes `first` … `first + size - 1` of the stored file `name`. Raises FileChangedError.

    A storage that is in trouble raises its own errors. A block is valid until the next one is asked for: its memory is
    used again.

    An object store is asked for just that range; its ordinary `open` would fetch the whole object first.
    """
    bucket = getattr(storage, "bucket", None)
    source = (
        _local_blocks(storage, name, first, size)
        if bucket is None
        else _object_blocks(storage, name, first, size)
    )
    left = size
    for block in source:
        left -= len(block)
        yield block
    if left:
        raise FileChangedError(f"the stored file {name} ended {left} bytes early")


def _local_blocks(storage: Storage, name: str, first: int, size: int) -> Iterator[memoryview]:
    try:
        file = storage.open(name, "rb")
    except FileNotFoundError:
        raise FileChangedError(f"the stored file {name} is gone") from None
    with file:
        file.seek(first)
        buffer = memoryview(bytearray(min(BLOCK_BYTES, size)))
        left = size
        while left and (count := file.readinto(buffer[:left])):
            left -= count
            yield buffer[:count]


def _object_blocks(storage: Any, name: str, first: int, size: int) -> Iterator[bytes]:
    from botocore.exceptions import ClientError

    key = storage._normalize_name(name)
    try:
        answer = storage.bucket.Object(key).get(Range=f"bytes={first}-{first + size - 1}")
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE:
            raise
        raise FileChangedError(f"the stored file {name} is gone or has been cut short") from None
    yield from answer["Body"].iter_chunks(BLOCK_BYTES)
