"""TikTok's rate windows in real time: none is ever hit."""

from __future__ import annotations

from chaos.cast import SMALL_BYTES, make_connection, make_delivery, make_video, make_workspace
from chaos.stack import Stack
from chaos.verdict import Result, Verdict, await_rest, judge_all
from connections.models import SocialConnection
from publishing.models import Delivery
from publishing.states import DeliveryState
from tests.publishing.processes import eventually

ACCOUNTS = 5
INITS_PER_MINUTE = 6
SPARE_S = 180.0


def run_limits(stack: Stack, *, short: bool = False) -> list[Result]:
    """Send 200 posts over five accounts to the strict local TikTok. A refusal counts as a bad end.

    With `short` the first window alone: as many as it allows are published, and the rest waits.
    """
    stack.fresh(rate_limits_on=True)
    workspace = make_workspace()
    connections = [make_connection(workspace, stack.tiktok) for _ in range(ACCOUNTS)]
    results = _first_window(stack, connections) if short else _all(stack, connections, posts=200)
    refused = stack.tiktok.control("GET", "/requests")["rate_limited"]
    if refused:
        results.append(Result("rate limits", Verdict.UNTRUE, 0.0, Verdict.ONCE, f"{refused} refusals"))
    return results


def _all(stack: Stack, connections: list[SocialConnection], *, posts: int) -> list[Result]:
    video = make_video(connections[0].workspace, SMALL_BYTES)
    labels = {
        make_delivery(connections[number % ACCOUNTS], video).pk: f"limits {number}" for number in range(posts)
    }
    patience = 60.0 * posts / (ACCOUNTS * INITS_PER_MINUTE) + SPARE_S
    with stack.worker(), stack.worker(), stack.beat():
        rested = await_rest(labels, seconds=patience)
    return judge_all(labels, stack.tiktok, rested=rested, expected=dict.fromkeys(labels, Verdict.ONCE))


def _first_window(stack: Stack, connections: list[SocialConnection]) -> list[Result]:
    video = make_video(connections[0].workspace, SMALL_BYTES)
    mine = [
        make_delivery(connection, video).pk for connection in connections for _ in range(INITS_PER_MINUTE + 2)
    ]
    rows = Delivery.objects.filter(pk__in=mine)
    waiting = rows.filter(state=DeliveryState.PREPARING, lease_token=None, tries=0)
    with stack.worker(), stack.worker(), stack.beat():
        eventually(lambda: waiting.count() == 2 * ACCOUNTS, what="those over the window waiting")
        labels = {row.pk: "within the window" for row in rows.exclude(pk__in=waiting.values("pk"))}
        rested = await_rest(labels, seconds=SPARE_S)
    rows.update(wake_at=None)
    return judge_all(labels, stack.tiktok, rested=rested, expected=dict.fromkeys(labels, Verdict.ONCE))
