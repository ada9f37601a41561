"""What became of each post: counted where it counts, in live copies at the platform, against what our rows say."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from publishing.models import Delivery
from publishing.states import STOPPED, DeliveryState, HoldReason
from tests.sandbox.process import SandboxProcess


class Verdict(StrEnum):
    """One post's end."""

    ONCE = "published once"
    HELD = "held with the truth"
    FAILED = "failed with the truth"
    CANCELED = "canceled, nothing posted"
    LOST = "lost"
    DOUBLED = "doubled"
    UNTRUE = "told untruly"


BAD = frozenset({Verdict.LOST, Verdict.DOUBLED, Verdict.UNTRUE})


@dataclass(frozen=True)
class Result:
    """One post of a scenario. `expected` is None where any true end will do."""

    label: str
    verdict: Verdict
    seconds: float
    expected: Verdict | None = None
    said: str = ""

    @property
    def is_bad(self) -> bool:
        """Lost, doubled, untrue, or not what the protocol allows at best."""
        return self.verdict in BAD or self.expected not in {None, self.verdict}


def live_copies(tiktok: SandboxProcess) -> Counter[str]:
    """How many posts stand at the platform, by caption."""
    return Counter(str(post["caption"]) for post in tiktok.posts())


def judge(delivery: Delivery, copies: int) -> Verdict:
    """Compare what stands at the platform with what our row tells a person."""
    explained = bool(delivery.reason_message and delivery.reason_next_step)
    if copies > 1:
        return Verdict.DOUBLED
    match delivery.state:
        case DeliveryState.PUBLISHED:
            return Verdict.ONCE if copies == 1 else Verdict.UNTRUE
        case DeliveryState.HELD if explained:
            admits = delivery.hold_reason == HoldReason.UNCONFIRMED or delivery.may_be_posted
            goes_on = delivery.hold_reason == HoldReason.RECONNECT and delivery.held_from in {
                DeliveryState.UPLOADING,
                DeliveryState.PROCESSING,
            }
            return Verdict.HELD if copies == 0 or admits or goes_on else Verdict.UNTRUE
        case DeliveryState.FAILED if explained:
            return Verdict.FAILED if copies == 0 else Verdict.UNTRUE
        case DeliveryState.CANCELED:
            return Verdict.CANCELED if copies == 0 else Verdict.UNTRUE
        case _:
            return Verdict.LOST


def is_at_rest(delivery: Delivery) -> bool:
    """Whether nobody is at it any more, or only a post's late id is asked for."""
    return delivery.state in STOPPED | {DeliveryState.PUBLISHED}


def await_rest(
    ids: Iterable[uuid.UUID], *, seconds: float, meanwhile: Callable[[], None] = lambda: None
) -> dict[uuid.UUID, float]:
    """Wait until all deliveries rest or the time is up; return after how many seconds each was seen resting."""
    started, rested = time.monotonic(), dict[uuid.UUID, float]()
    wanted = set(ids)
    while len(rested) < len(wanted) and time.monotonic() - started < seconds:
        for delivery in Delivery.objects.filter(pk__in=wanted - set(rested)):
            if is_at_rest(delivery):
                rested[delivery.pk] = time.monotonic() - started
        meanwhile()
        time.sleep(0.1)
    return rested


def judge_all(
    labels: dict[uuid.UUID, str],
    tiktok: SandboxProcess,
    *,
    rested: dict[uuid.UUID, float],
    expected: dict[uuid.UUID, Verdict] | None = None,
) -> list[Result]:
    """Judge each delivery of `labels`."""
    copies = live_copies(tiktok)
    rows = Delivery.objects.filter(pk__in=labels).select_related("post", "connection")
    forgotten = set(labels) - {row.pk for row in rows}
    if forgotten:
        raise RuntimeError(f"the database forgot {len(forgotten)} confirmed posts")
    return [
        Result(
            label=labels[row.pk],
            verdict=judge(row, copies[row.post.caption]),
            seconds=rested.get(row.pk, float("inf")),
            expected=(expected or {}).get(row.pk),
            said=f"{row.state} {row.reason_code} {row.reason_message}".strip(),
        )
        for row in rows
    ]
