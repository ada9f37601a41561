"""What an export is made of. Each app hands in its own parts; none of them ever holds a secret.

An app connects a handler to `accounts.signals.data_exporting` that returns an iterable of parts. A handler names the
columns that it exports one by one, so that a new column is private until somebody decides otherwise.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


class MissingMediaError(Exception):
    """The storage no longer has a file that a row names. The export goes on without it, and says so."""


@dataclass(frozen=True)
class Record:
    """One JSON object in a file of its own. `name` is the file's, without the suffix."""

    name: str
    row: Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A JSON array of objects in a file of its own. `rows` are read one after another, never all at once."""

    name: str
    rows: Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class Media:
    """A file as it came in: its place in the archive, its bytes, and how to read them, block by block.

    `blocks` raises MissingMediaError where the storage has no such file, or less of it.
    """

    path: str
    total_bytes: int
    blocks: Callable[[], Iterator[bytes | memoryview]]


Part = Record | Table | Media


def plain(value: object) -> object:
    """Say a value that JSON does not know: times in UTC with a Z, ids as text. Raises TypeError for any other."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in an export")
