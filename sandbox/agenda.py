"""What happens by itself and when: a heap of (time, what, which) and the event that says it changed."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class Agenda:
    """Times at which records want to be looked at again. Entries may be stale: whoever pops one checks its record."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str, str]] = []
        self._serial = itertools.count()
        self._changed = asyncio.Event()

    def put(self, due_at: float, kind: str, key: str) -> None:
        """Look at the record `key` of `kind` at `due_at`, by the stand-in's clock."""
        heapq.heappush(self._heap, (due_at, next(self._serial), kind, key))
        if self._heap[0][0] >= due_at:
            self._changed.set()

    def pop(self, now: float) -> tuple[str, str] | None:
        """The next (kind, key) that is due, or None."""
        if not self._heap or self._heap[0][0] > now:
            return None
        _, _, kind, key = heapq.heappop(self._heap)
        return kind, key

    async def wait(self, now: float) -> None:
        """Sleep until the next entry is due or something changed."""
        timeout = max(0.0, self._heap[0][0] - now) if self._heap else None
        try:
            await asyncio.wait_for(self._changed.wait(), timeout)
        except TimeoutError:
            return
        self._changed.clear()

    def nudge(self) -> None:
        """The clock moved: look again."""
        self._changed.set()

    def clear(self) -> None:
        self._heap.clear()
        self._changed.set()
