"""Sliding one-minute windows. https://developers.tiktok.com/doc/tiktok-api-v2-rate-limit"""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 60.0
SWEEP_AT = 10_000


class SlidingWindows:
    """Counts requests by key over the last minute. A refused request is not counted."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], deque[float]] = {}

    def admit(self, key: tuple[str, str], limit: int, now: float) -> bool:
        """Count one request at `now` and say whether it is within `limit` a minute."""
        if len(self._windows) > SWEEP_AT:
            self._sweep(now)
        window = self._windows.setdefault(key, deque())
        while window and window[0] <= now - WINDOW_SECONDS:
            window.popleft()
        if len(window) >= limit:
            return False
        window.append(now)
        return True

    def clear(self) -> None:
        """Forget all windows."""
        self._windows.clear()

    def _sweep(self, now: float) -> None:
        self._windows = {key: w for key, w in self._windows.items() if w and w[-1] > now - WINDOW_SECONDS}
