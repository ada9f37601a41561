"""Where records rest: one SQLite table, written behind the event loop's back in small batches.

The process serves from memory. A change is on disk within FLUSH_SECONDS and at every orderly end; a batch is one
transaction, so that what is read back is a state that really was.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sandbox.models import Record

FLUSH_SECONDS = 0.05


class Store:
    """A journal of records by kind and key."""

    def __init__(self, path: Path) -> None:
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox-store")
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS records (kind TEXT, key TEXT, body TEXT, PRIMARY KEY (kind, key)) WITHOUT ROWID"
        )
        self._dirty: dict[tuple[str, str], Record | dict[str, Any] | None] = {}
        self._wake = asyncio.Event()

    def load(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Every record as (kind, key, fields)."""
        for kind, key, body in self._db.execute("SELECT kind, key, body FROM records"):
            yield kind, key, json.loads(body)

    def save(self, record: Record) -> None:
        """Note that `record` changed; what it holds at the next flush is what is written."""
        self._mark((record.kind, record.key()), record)

    def save_document(self, kind: str, key: str, document: dict[str, Any]) -> None:
        """The same for something that is no Record."""
        self._mark((kind, key), document)

    def delete(self, record: Record) -> None:
        """Forget `record` at the next flush."""
        self._mark((record.kind, record.key()), None)

    def clear(self) -> None:
        """Forget everything at once."""
        self._dirty.clear()
        self._writer.submit(self._db.execute, "DELETE FROM records").result()

    async def run(self) -> None:
        """Write changes until canceled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(FLUSH_SECONDS)
            await asyncio.wrap_future(self._writer.submit(self._write, self._batch()))

    def close(self) -> None:
        """Write what is left and let go of the file."""
        self._writer.submit(self._write, self._batch()).result()
        self._writer.shutdown()
        self._db.close()

    def _mark(self, key: tuple[str, str], value: Record | dict[str, Any] | None) -> None:
        self._dirty[key] = value
        self._wake.set()

    def _batch(self) -> list[tuple[str, str, str | None]]:
        dirty, self._dirty = self._dirty, {}
        return [(kind, key, _body(value)) for (kind, key), value in dirty.items()]

    def _write(self, batch: list[tuple[str, str, str | None]]) -> None:
        if not batch:
            return
        self._db.execute("BEGIN")
        self._db.executemany(
            "REPLACE INTO records VALUES (?, ?, ?)", [row for row in batch if row[2] is not None]
        )
        self._db.executemany(
            "DELETE FROM records WHERE kind = ? AND key = ?", [row[:2] for row in batch if row[2] is None]
        )
        self._db.execute("COMMIT")


def _body(value: Record | dict[str, Any] | None) -> str | None:
    if value is None:
        return None
    return json.dumps(value if isinstance(value, dict) else vars(value), separators=(",", ":"))
