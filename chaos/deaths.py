"""Deaths at every line between two commits: one worker dies there, another one finishes."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from chaos.cast import (
    LARGE_BYTES,
    SMALL_BYTES,
    make_connection,
    make_delivery,
    make_photo_delivery,
    make_video,
    make_workspace,
)
from chaos.stack import Stack
from chaos.verdict import Result, Verdict, await_rest, judge_all
from config.faultpoints import FAULT_POINTS
from connections.models import SocialConnection
from publishing.models import Delivery
from tests.publishing.processes import eventually

PATIENCE_S = 60.0
OF_A_REQUEST = frozenset({"confirming", "confirmed"})
"""Where the web dies, not a worker: the scene `web_killed`."""
OF_A_CANCEL = frozenset({"cancel answered"})
"""Reached where somebody cancels only: the scene `pull_canceled`."""
OF_A_REFRESH = frozenset({"refresh answered"})
OF_A_PULL = frozenset(point for point in FAULT_POINTS if point.startswith("pull "))
OF_ANY_WAY = frozenset(
    {
        "claimed",
        "begun",
        "before creator_info",
        "after creator_info",
        "status answered",
        "before published",
        "published",
    }
)

WAYS: Mapping[str, frozenset[str]] = {
    "upload": frozenset(FAULT_POINTS) - OF_A_PULL - OF_A_CANCEL - OF_A_REQUEST,
    "pull": OF_ANY_WAY | OF_A_PULL,
    "photos": OF_ANY_WAY | OF_A_PULL,
}
"""The points at which a worker can die, for each way in which files get to the platform."""


@dataclass(frozen=True)
class Death:
    """A worker's death at a point."""

    point: str
    way: str = "upload"

    @property
    def label(self) -> str:
        """For the table."""
        return f"death at: {self.point}" + ("" if self.way == "upload" else f" ({self.way})")

    @property
    def expected(self) -> Verdict:
        """The best that the protocol allows.

        A rotated token that nobody stored is lost: a person has to reconnect. A request to fetch whose answer nobody
        noted may have been heard or not, and a person has to look. All else is published.
        """
        is_unknown = self.point in OF_A_REFRESH | {"pull announced", "pull answered"}
        return Verdict.HELD if is_unknown else Verdict.ONCE


DEATHS = [Death(point, way) for way, points in WAYS.items() for point in FAULT_POINTS if point in points]


def die(stack: Stack, death: Death) -> Result:
    """Let a worker die, let another one finish, and judge. Needs a beat, and a media door where files are fetched."""
    expires_in = timedelta(seconds=-1) if death.point in OF_A_REFRESH else timedelta(hours=1)
    connection = make_connection(
        make_workspace(), stack.tiktok, access_expires_at=timezone.now() + expires_in
    )
    with stack.worker(threads=4, BROADSIDE_DIE_AT=death.point) as first:
        delivery = _confirm(connection, death.way)
        eventually(lambda: not first.is_running, seconds=PATIENCE_S, what=death.label)
        if first.wait(1) != -signal.SIGKILL:
            raise AssertionError(f"the worker ended before {death}: {first.log.read_text()[-2000:]}")
    died_at = time.monotonic()
    with stack.worker(threads=4):
        up_after = time.monotonic() - died_at
        rested = await_rest([delivery.pk], seconds=PATIENCE_S)
    rested = {pk: seconds + up_after for pk, seconds in rested.items()}
    [result] = judge_all(
        {delivery.pk: death.label}, stack.tiktok, rested=rested, expected={delivery.pk: death.expected}
    )
    return result


def _confirm(connection: SocialConnection, way: str) -> Delivery:
    if way == "photos":
        return make_photo_delivery(connection)
    size = LARGE_BYTES if way == "upload" else SMALL_BYTES
    return make_delivery(connection, make_video(connection.workspace, size))


def run_deaths(stack: Stack, *, seed: int, short: bool = False) -> list[Result]:
    """Die at each point in turn, in an order that `seed` decides; with `short` at one point of each way."""
    dice = random.Random(seed)
    results = []
    for way in WAYS:
        mine = [death for death in DEATHS if death.way == way]
        stack.fresh()
        with nullcontext() if way == "upload" else stack.media_door(), stack.beat():
            results += [_try(stack, death) for death in dice.sample(mine, 1 if short else len(mine))]
    return results


def _try(stack: Stack, death: Death) -> Result:
    try:
        return die(stack, death)
    except AssertionError as error:
        return Result(death.label, Verdict.UNTRUE, float("inf"), death.expected, str(error))
