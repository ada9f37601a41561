"""TikTok's rate windows in real time: none is ever hit."""

from __future__ import annotations

from chaos.cast import SMALL_BYTES, make_connection, make_delivery, make_video, make_workspace
from chaos.stack import Stack
from chaos.verdict import Result, Verdict, await_rest, judge_all

ACCOUNTS = 5
INITS_PER_MINUTE = 6
SPARE_S = 180.0


def run_limits(stack: Stack, *, posts: int = 200) -> list[Result]:
    """Send `posts` over five accounts to the strict local TikTok. A refusal counts as a bad end."""
    stack.fresh(rate_limits_on=True)
    workspace = make_workspace()
    connections = [make_connection(workspace, stack.tiktok) for _ in range(ACCOUNTS)]
    video = make_video(workspace, SMALL_BYTES)
    labels = {
        make_delivery(connections[number % ACCOUNTS], video).pk: f"limits {number}" for number in range(posts)
    }
    patience = 60.0 * posts / (ACCOUNTS * INITS_PER_MINUTE) + SPARE_S
    with stack.worker(), stack.worker(), stack.beat():
        rested = await_rest(labels, seconds=patience)
    results = judge_all(labels, stack.tiktok, rested=rested, expected=dict.fromkeys(labels, Verdict.ONCE))
    refused = stack.tiktok.control("GET", "/requests")["rate_limited"]
    if refused:
        results.append(Result("rate limits", Verdict.UNTRUE, 0.0, Verdict.ONCE, f"{refused} refusals"))
    return results
