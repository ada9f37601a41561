"""Writing an export: a ZIP that is sent to its storage while it is made, so that memory does not grow with it.

JSON is deflated, media are stored as they are: films and pictures are compressed already. Files above 4 GiB and
archives above that take the ZIP64 form. Source: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from django.core.files.storage import Storage

from accounts.export_parts import Media, MissingMediaError, Part, Record, Table, plain

SCHEMA = 1
"""Version of the JSON's shape, told in manifest.json. It goes up when a file or a field is renamed or goes away."""

Beat = Callable[[int], None]


class ArchiveFile:
    """A new file in a storage: written from its beginning to its end, kept only if the block ends well."""

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage = storage
        self._name = name
        self._file: Any = None

    def __enter__(self) -> IO[bytes]:
        self._local = local_path(self._storage, self._name)
        if self._local is None:
            self._file = self._storage.open(self._name, "wb")
            return cast("IO[bytes]", _Appending(self._file))
        self._local.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._local.open("xb")
        return cast("IO[bytes]", self._file)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            try:
                if self._local is not None:
                    self._file.flush()
                    os.fsync(self._file.fileno())  # some file systems tell only now that they are full
                self._file.close()
            except Exception:
                self._discard()
                raise
        else:
            self._discard()

    def _discard(self) -> None:
        with suppress(Exception):  # a full disk refuses the last buffered bytes again
            self._file.close()
        with suppress(Exception):  # what stays is a stray, and the next sweep finds it
            self._storage.delete(self._name)


class _Appending:
    """An object store's file as zipfile may see it: it can only be written to, and has no place to go back to."""

    def __init__(self, file: Any) -> None:
        self.write = file.write

    def flush(self) -> None:
        """Parts go out as they fill up."""


def local_path(storage: Storage, name: str) -> Path | None:
    """Where a stored file is on this machine's disk; None for another kind of storage."""
    try:
        return Path(storage.path(name))
    except NotImplementedError:
        return None


class Archive:
    """A ZIP that is being written. `beat` hears, with each piece, of how many media bytes it had."""

    def __init__(self, file: IO[bytes], *, at: datetime, beat: Beat) -> None:
        self._zip = zipfile.ZipFile(file, "w", allowZip64=True)
        self._when = at.timetuple()[:6]
        self._beat = beat
        self.missing: list[str] = []
        self.counts: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._zip.close()
        else:
            self._zip.fp = None  # else its finalizer would write an end into a file that is closed and gone

    def add(self, parts: Iterable[Part], *, folder: str = "") -> None:
        """Write `parts`, in a folder of their own if one is named ("workspaces/acme/")."""
        for part in parts:
            if isinstance(part, Media):
                self._add_media(part, folder + part.path)
            elif isinstance(part, Record):
                self.add_text(f"{folder}{part.name}.json", _dumps(part.row) + "\n")
            else:
                self._add_table(part, f"{folder}{part.name}.json")

    def add_text(self, path: str, text: str) -> None:
        """Write a small file."""
        self._zip.writestr(self._entry(path, zipfile.ZIP_DEFLATED), text)

    def _add_table(self, table: Table, path: str) -> None:
        count = 0
        # How long it gets is not known before, so it takes the form that has no limit.
        with self._zip.open(self._entry(path, zipfile.ZIP_DEFLATED), "w", force_zip64=True) as entry:
            for row in table.rows:
                entry.write((",\n" if count else "[\n").encode() + _dumps(row).encode())
                count += 1
                self._beat(0)
            entry.write(b"\n]\n" if count else b"[]\n")
        self.counts[path] = count

    def _add_media(self, media: Media, path: str) -> None:
        try:
            blocks = media.blocks()
            first = next(blocks, b"")
        except MissingMediaError:
            self.missing.append(path)
            return
        info = self._entry(path, zipfile.ZIP_STORED)
        info.file_size = media.total_bytes  # tells zipfile whether it needs the long form
        with self._zip.open(info, "w") as entry:
            try:
                self._copy(first, entry)
                for block in blocks:
                    self._copy(block, entry)
            except MissingMediaError:
                self.missing.append(path)

    def _copy(self, block: bytes | memoryview, entry: IO[bytes]) -> None:
        entry.write(block)
        self._beat(len(block))

    def _entry(self, path: str, method: int) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(path, date_time=cast("Any", self._when))
        info.compress_type = method
        info.external_attr = 0o600 << 16
        return info


def _dumps(row: Mapping[str, Any]) -> str:
    return json.dumps(row, default=plain, ensure_ascii=False)
