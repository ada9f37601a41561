"""The fault matrix: each step of a delivery × each way in which a call can fail, one post and one account for each."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import Workspace
from chaos.cast import (
    LARGE_BYTES,
    SMALL_BYTES,
    handle_of,
    make_connection,
    make_delivery,
    make_photo_delivery,
    make_video,
    make_workspace,
)
from chaos.stack import READ_TIMEOUT_S, Stack
from chaos.verdict import Result, Verdict, await_rest, judge_all
from connections.models import SocialConnection
from publishing.models import Delivery, Video

PATIENCE_S = 60.0
OUTAGE_S = 3.0
HELD, FAILED, ONCE = Verdict.HELD, Verdict.FAILED, Verdict.ONCE

STEPS: dict[str, Mapping[str, Any]] = {
    "token refresh": {"endpoint": "token", "grant_type": "refresh_token"},
    "creator_info": {"endpoint": "creator_info"},
    "init": {"endpoint": "video_init"},
    "first chunk": {"endpoint": "upload", "chunk_index": 0},
    "middle chunk": {"endpoint": "upload", "chunk_index": 1},
    "last chunk": {"endpoint": "upload", "chunk_index": 2},
    "status": {"endpoint": "status"},
}
"""What a rule of the local TikTok matches for each step."""

PULLS: dict[str, Mapping[str, Any]] = {
    "pull init": {"endpoint": "video_init"},
    "photo init": {"endpoint": "content_init"},
}
"""The steps of posts whose files the platform fetches by itself that differ from those of an upload."""

CHUNKS = frozenset({"first chunk", "middle chunk", "last chunk"})

FAULTS: Mapping[str, Mapping[str, Any]] = {
    "reset before the request": {"drop": "before"},
    "reset after it acted": {"drop": "after"},
    "reset in the answer": {"drop": "mid_answer"},
    "time-out": {"delay": READ_TIMEOUT_S + 1},
    "time-out after it acted": {"hold": READ_TIMEOUT_S + 1},
    "500": {"status": 500},
    "500 after it acted": {"status": 500, "process": True},
    "502 with HTML": {"status": 502, "html": True},
    "502 after it acted": {"status": 502, "html": True, "process": True},
    "503": {"status": 503},
    "504": {"status": 504, "html": True},
    "429": {"status": 429, "code": "rate_limit_exceeded"},
    "429 with Retry-After": {"status": 429, "code": "rate_limit_exceeded", "retry_after": 2},
    "401 expired": {"status": 401, "code": "access_token_invalid"},
    "401 revoked": {"status": 401, "code": "access_token_invalid"},
    "malformed JSON": {"malformed": True, "process": True},
    "empty answer": {"empty": True, "process": True},
    "truncated JSON": {"truncated": True, "process": True},
    "200 with an error inside": {"code": "internal_error"},
    "200 with a refusal inside": {"code": "spam_risk_user_banned_from_posting"},
    "slow drip": {"slow_bytes_per_second": 400},
}
"""What the local TikTok does wrong. Broken answers come after it acted: the worse case."""

REPEATED = 3
"""Also as several in a row: those of a platform that is down for a moment."""
SEVERAL = frozenset({"reset before the request", "reset after it acted", "502 after it acted", "503"})

_LOSES_THE_PAIR = frozenset(
    {
        "reset after it acted",
        "reset in the answer",
        "time-out after it acted",
        "500 after it acted",
        "502 after it acted",
        "malformed JSON",
        "empty answer",
        "truncated JSON",
        "401 expired",
        "401 revoked",
    }
)
"""Refresh tokens rotate: an answer that was lost took the only good one with it, and a person has to reconnect."""


_LEAVES_A_PULL_OPEN = frozenset(FAULTS) - {
    "429",
    "429 with Retry-After",
    "401 expired",
    "401 revoked",
    "200 with a refusal inside",
    "slow drip",
}
"""A request to fetch is a post by itself. Where the answer is unknown it is never repeated: a person has to look."""


@dataclass(frozen=True)
class Cell:
    """One step, one fault, how many times in a row."""

    step: str
    fault: str
    times: int | None = 1

    @property
    def label(self) -> str:
        """For the table."""
        return f"{self.step}: {self.fault}" + (f" × {self.times}" if (self.times or 1) > 1 else "")

    @property
    def expected(self) -> Verdict | None:
        """The best that the protocol allows; None where that is a matter of who is first."""
        if self.step == "token refresh":
            if (
                self.fault == "time-out"
            ):  # acted on late: the repeat is before it and gets the pair, or after it
                return None
            if self.fault in _LOSES_THE_PAIR:
                return HELD
            return FAILED if self.fault == "200 with a refusal inside" else ONCE
        if self.step in PULLS and self.fault in _LEAVES_A_PULL_OPEN:
            return HELD
        if self.fault == "401 revoked":
            return FAILED if self.step in CHUNKS else HELD
        if self.fault == "200 with a refusal inside" and self.step in {"creator_info", "init", *PULLS}:
            return FAILED
        return ONCE


def cells(steps: Iterable[str]) -> Iterator[Cell]:
    """Every cell of the matrix of `steps`."""
    for step in steps:
        for fault in FAULTS:
            yield Cell(step, fault, times=None if fault == "401 revoked" else 1)
            if fault in SEVERAL:
                yield Cell(step, fault, times=REPEATED)


def run_matrix(stack: Stack, *, short: bool = False) -> list[Result]:
    """Run all cells side by side (every seventh if `short`), then the moment in which nothing can be reached."""
    stack.fresh()
    with stack.worker(), stack.beat():
        results = _run_cells(stack, list(cells(STEPS))[:: 7 if short else 1])
        if stack.proxy is not None:
            results += _run_outage(stack)
    with stack.media_door(), stack.worker(), stack.beat():
        return results + _run_cells(stack, list(cells(PULLS))[:: 7 if short else 1])


def _run_cells(stack: Stack, chosen: list[Cell]) -> list[Result]:
    workspace = make_workspace_with_videos()
    by_cell = {cell: _connection_for(cell, workspace.workspace, stack) for cell in chosen}
    for cell, connection in by_cell.items():
        _arm(stack, cell, handle_of(connection))
    rows = {workspace.confirm(cell.step, connection).pk: cell for cell, connection in by_cell.items()}
    rested = await_rest(rows, seconds=PATIENCE_S)
    return judge_all(
        {pk: cell.label for pk, cell in rows.items()},
        stack.tiktok,
        rested=rested,
        expected={pk: best for pk, cell in rows.items() if (best := cell.expected)},
    )


@dataclass(frozen=True)
class Set:
    """A workspace with a small video and one of three chunks."""

    workspace: Workspace
    small: Video
    large: Video

    def confirm(self, step: str, connection: SocialConnection) -> Delivery:
        """A post for which `step` is taken: of three chunks where a chunk fails, of one elsewhere, or of photos."""
        if step == "photo init":
            return make_photo_delivery(connection)
        return make_delivery(connection, self.large if step in CHUNKS else self.small)


def make_workspace_with_videos() -> Set:
    """A fresh set."""
    workspace = make_workspace()
    return Set(workspace, make_video(workspace, SMALL_BYTES), make_video(workspace, LARGE_BYTES))


def _connection_for(cell: Cell, workspace: Workspace, stack: Stack) -> SocialConnection:
    if cell.step == "token refresh":
        return make_connection(
            workspace, stack.tiktok, access_expires_at=timezone.now() - timedelta(seconds=1)
        )
    return make_connection(workspace, stack.tiktok)


def _arm(stack: Stack, cell: Cell, handle: str) -> None:
    match, action = dict((STEPS | PULLS)[cell.step]), dict(FAULTS[cell.fault])
    if cell.step == "token refresh" and cell.fault in {"401 expired", "401 revoked"}:
        action = {"status": 400, "code": "invalid_grant"}
    stack.tiktok.fault({**match, "creator": handle}, action, times=cell.times)


def _run_outage(stack: Stack) -> list[Result]:
    """Stop one delivery at each step, cut all connections there, and refuse new ones for a while."""
    proxy = stack.proxy
    assert proxy is not None  # noqa: S101 - for the type checker
    kit = make_workspace_with_videos()
    labels, rules = dict[uuid.UUID, str](), list[str]()
    cells_here = [Cell(step, "connection refused") for step in STEPS]
    for step, cell in zip(STEPS, cells_here, strict=True):
        if step == "token refresh":
            continue  # cut off under way it would be the loss of the pair: this one meets the closed door
        connection = _connection_for(cell, kit.workspace, stack)
        match = {**STEPS[step], "creator": handle_of(connection)}
        rules.append(stack.tiktok.fault(match, {"delay": READ_TIMEOUT_S / 2})["rule_id"])
        labels[kit.confirm(step, connection).pk] = cell.label
    _await_used(stack, rules)
    proxy.close()
    refreshing = _connection_for(cells_here[0], kit.workspace, stack)
    labels[make_delivery(refreshing, kit.small).pk] = cells_here[0].label
    time.sleep(OUTAGE_S)
    proxy.open()
    rested = await_rest(labels, seconds=PATIENCE_S)
    return judge_all(labels, stack.tiktok, rested=rested, expected=dict.fromkeys(labels, ONCE))


def _await_used(stack: Stack, rules: list[str]) -> None:
    """Until most are under way: those that come late meet the closed door instead."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        used = [rule["used"] for rule in stack.tiktok.control("GET", "/faults") if rule["rule_id"] in rules]
        if sum(used) >= len(rules) - 2:
            return
        time.sleep(0.02)
