"""Deaths at every line between two commits: one worker dies there, another one finishes."""

from __future__ import annotations

import signal
import time
from datetime import timedelta

from django.utils import timezone

from chaos.cast import LARGE_BYTES, make_connection, make_delivery, make_video, make_workspace
from chaos.stack import Stack
from chaos.verdict import Result, Verdict, await_rest, judge_all
from config.faultpoints import FAULT_POINTS
from tests.publishing.processes import eventually

PATIENCE_S = 60.0
OF_A_REQUEST = frozenset({"confirming", "confirmed"})
POINTS = tuple(point for point in FAULT_POINTS if point not in OF_A_REQUEST)
"""Where a worker can die."""


def expected_at(point: str) -> Verdict:
    """A rotated token that nobody stored is lost: a person has to reconnect. All else is published."""
    return Verdict.HELD if point == "refresh answered" else Verdict.ONCE


def die_at(stack: Stack, point: str, *, nth: int = 1) -> Result:
    """Let a worker die at `point`, let another one finish, and judge. Needs a beat that runs."""
    expires_in = timedelta(seconds=-1) if point == "refresh answered" else timedelta(hours=1)
    workspace = make_workspace()
    connection = make_connection(workspace, stack.tiktok, access_expires_at=timezone.now() + expires_in)
    with stack.worker(threads=4, BROADSIDE_DIE_AT=f"{point}#{nth}") as first:
        delivery = make_delivery(connection, make_video(workspace, LARGE_BYTES))
        eventually(lambda: not first.is_running, seconds=PATIENCE_S, what=f"death at {point}")
        if first.wait(1) != -signal.SIGKILL:
            raise AssertionError(f"the worker ended before {point}: {first.log.read_text()[-2000:]}")
    died_at = time.monotonic()
    with stack.worker(threads=4):
        up_after = time.monotonic() - died_at
        rested = await_rest([delivery.pk], seconds=PATIENCE_S)
    rested = {pk: seconds + up_after for pk, seconds in rested.items()}
    label = f"death at: {point}" + (f" #{nth}" if nth > 1 else "")
    [result] = judge_all(
        {delivery.pk: label}, stack.tiktok, rested=rested, expected={delivery.pk: expected_at(point)}
    )
    return result


def run_deaths(stack: Stack, *, short: bool = False) -> list[Result]:
    """Die at each point in turn; with `short` at every fifth."""
    stack.fresh()
    with stack.beat():
        return [die_at(stack, point) for point in POINTS[:: 5 if short else 1]]
