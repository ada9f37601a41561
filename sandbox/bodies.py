"""Writing media to disk while it comes in, hashing on the way, a few blocks in memory at a time."""

from __future__ import annotations

import asyncio
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

BATCH_BYTES = 1024 * 1024
INLINE_BYTES = 64 * 1024
"""Bodies up to this size are written from the event loop: a thread would cost more than the write."""

_disk = ThreadPoolExecutor(max_workers=4, thread_name_prefix="sandbox-disk")


class Sink:
    """One file growing by chunks. A chunk counts once it is kept; one that breaks off leaves no trace."""

    def __init__(self, path: Path | None, *, hashing: bool) -> None:
        """`path` None keeps no bytes."""
        self._path = path
        self._digest = hashlib.sha256() if hashing else None
        self.size = 0

    async def catch_up(self, size: int) -> None:
        """Count the `size` bytes that an earlier process kept; without the bytes there is no digest any more."""
        if self._path is not None and self._path.exists():
            await asyncio.get_running_loop().run_in_executor(_disk, self._read_back, self._path, size)
        if self.size < size:
            self.size, self._digest = size, None

    def open_chunk(self) -> Chunk:
        """Start writing after the last kept byte."""
        file: IO[bytes] | None = None
        if self._path is not None:
            file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0)
            file.seek(self.size)
        return Chunk(self, file, self._digest.copy() if self._digest else None)

    def sha256(self) -> str:
        """Hex digest of all kept bytes, "" where nothing is hashed."""
        return self._digest.hexdigest() if self._digest else ""

    def _keep(self, chunk: Chunk) -> None:
        self.size += chunk.size
        self._digest = chunk.digest

    def _read_back(self, path: Path, size: int) -> None:
        with path.open("rb") as file:
            while block := file.read(min(BATCH_BYTES, size - self.size)):
                self.size += len(block)
                if self._digest:
                    self._digest.update(block)


class Chunk:
    """A run of bytes on its way into a Sink; writes overlap with receiving, one batch deep."""

    def __init__(self, sink: Sink, file: IO[bytes] | None, digest: Any) -> None:
        self._sink = sink
        self._file = file
        self.digest = digest
        self.size = 0
        self._batch: list[bytes] = []
        self._batched = 0
        self._writing: asyncio.Future[None] | None = None

    async def write(self, block: bytes) -> None:
        """Take a block. OSError: the disk refused an earlier one."""
        self._batch.append(block)
        self._batched += len(block)
        self.size += len(block)
        if self._batched >= BATCH_BYTES:
            await self._settle()
            self._writing = asyncio.get_running_loop().run_in_executor(_disk, self._store, self._take())

    async def keep(self) -> None:
        """The chunk is whole: count it. OSError: the disk refused it."""
        await self._settle()
        if self._batched > INLINE_BYTES:
            self._writing = asyncio.get_running_loop().run_in_executor(_disk, self._store, self._take())
            await self._settle()
        elif self._batched:
            self._store(self._take())
        self._sink._keep(self)
        self._close()

    async def drop(self) -> None:
        """The chunk broke off: forget it."""
        self._batch = []
        if self._writing is not None:
            await asyncio.wait([self._writing])
        if self._file is not None:
            self._file.truncate(self._sink.size)
        self._close()

    async def _settle(self) -> None:
        if self._writing is not None:
            # Shielded: the thread goes on when we are canceled, and drop() has to wait for it.
            await asyncio.shield(self._writing)
            self._writing = None

    def _take(self) -> list[bytes]:
        batch, self._batch, self._batched = self._batch, [], 0
        return batch

    def _store(self, batch: list[bytes]) -> None:
        for block in batch:
            if self.digest is not None:
                self.digest.update(block)
            if self._file is not None:
                view = memoryview(block)
                while view:
                    view = view[self._file.write(view) :]

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
