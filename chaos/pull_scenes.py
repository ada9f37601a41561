"""Scenes of posts whose files TikTok fetches by itself: the request alone may become a post."""

from __future__ import annotations

from chaos.cast import SMALL_BYTES, handle_of, make_connection, make_delivery, make_video, make_workspace
from chaos.stack import Door, Stack
from chaos.verdict import Result, Verdict, await_rest, judge_all
from connections.models import SocialConnection
from publishing.models import Delivery
from publishing.services import CancelOutcome, cancel_delivery, mark_as_posted, retry_delivery
from publishing.states import DeliveryState, HoldReason
from tests.publishing.processes import eventually

PATIENCE_S = 60.0


def pull_answer_lost(stack: Stack) -> list[Result]:
    """TikTok took the request and its answer never came: TikTok is asked once, and then a person is."""
    with stack.media_door(), stack.worker(threads=4), stack.beat():
        delivery = _with_lost_answer(stack)
        eventually(lambda: len(stack.tiktok.posts()) == 1, what="the post of the unknown job")
        [held] = _judge(stack, delivery, "answer of a pull's init lost", Verdict.HELD)
        requests = stack.tiktok.control("GET", "/requests")["counts"]["video_init"]
        if requests != 1:
            raise AssertionError(f"TikTok was asked {requests} times")
        mark_as_posted(delivery=delivery, user=None)
        return [held, *_judge(stack, delivery, "then marked as posted", Verdict.ONCE)]


def pull_sent_again(stack: Stack) -> list[Result]:
    """A person sends it again while the unknown job still waits for the file, which that job then no longer gets."""
    with stack.media_door() as door, stack.worker(threads=4), stack.beat():
        with door.closed():
            delivery = _with_lost_answer(stack)
            retry_delivery(delivery=delivery, user=None)
            _await_state(delivery, DeliveryState.PROCESSING)
        results = _judge(stack, delivery, "a pull sent again", Verdict.ONCE)
        eventually(lambda: "PROCESSING_DOWNLOAD" not in _task_states(stack), what="the first job's end")
        return results + _judge(stack, delivery, "when the first job has ended", Verdict.ONCE)


def pull_canceled(stack: Stack) -> list[Result]:
    """A cancel while TikTok fetches ends the job, also if the worker that was told so dies of it."""
    with stack.media_door() as door, stack.beat():
        with stack.worker(threads=4):
            results = _cancel(stack, door, "a pull canceled")
        with stack.worker(threads=4, BROADSIDE_DIE_AT="cancel answered") as first:
            delivery = _canceled(stack, door)
            eventually(lambda: not first.is_running, seconds=PATIENCE_S, what="death at: cancel answered")
        with stack.worker(threads=4):
            return results + _judge(stack, delivery, "death at: cancel answered", Verdict.CANCELED)


def pull_canceled_too_late(stack: Stack) -> list[Result]:
    """A cancel after TikTok has the file is told to be too late, and the post goes out."""
    with stack.media_door(processing_seconds=4.0), stack.worker(threads=4), stack.beat():
        delivery = _confirm(stack)
        eventually(lambda: _stored(stack) == SMALL_BYTES, what="the file at the platform")
        _await_state(delivery, DeliveryState.PROCESSING)
        cancel_delivery(delivery=delivery, user=None)
        return _judge(stack, delivery, "a pull canceled too late", Verdict.ONCE)


def _cancel(stack: Stack, door: Door, label: str) -> list[Result]:
    return _judge(stack, _canceled(stack, door), label, Verdict.CANCELED)


def _canceled(stack: Stack, door: Door) -> Delivery:
    """A delivery that was canceled while TikTok waited for its file."""
    with door.closed():
        delivery = _confirm(stack)
        _await_state(delivery, DeliveryState.PROCESSING)
        outcome = cancel_delivery(delivery=delivery, user=None)
        if outcome is not CancelOutcome.ASKED:
            raise AssertionError(f"the cancel was answered by {outcome}")
        eventually(lambda: "PROCESSING_DOWNLOAD" not in _task_states(stack), what="the job's end")
    return delivery


def _with_lost_answer(stack: Stack) -> Delivery:
    """A delivery held because the answer to its request was lost after TikTok acted."""
    connection = _account(stack)
    rule = {"endpoint": "video_init", "creator": handle_of(connection)}
    stack.tiktok.fault(rule, {"drop": "after"})
    delivery = _confirm(stack, connection)
    _await_state(delivery, DeliveryState.HELD)
    if delivery.hold_reason != HoldReason.UNCONFIRMED:
        raise AssertionError(f"held for {delivery.hold_reason}: {delivery.reason_message}")
    return delivery


def _account(stack: Stack) -> SocialConnection:
    return make_connection(make_workspace(), stack.tiktok)


def _confirm(stack: Stack, connection: SocialConnection | None = None) -> Delivery:
    connection = connection or _account(stack)
    return make_delivery(connection, make_video(connection.workspace, SMALL_BYTES))


def _await_state(delivery: Delivery, state: DeliveryState) -> None:
    def is_there() -> bool:
        delivery.refresh_from_db()
        return delivery.state == state

    eventually(is_there, seconds=PATIENCE_S, what=state)


def _task_states(stack: Stack) -> list[str]:
    return [task["status"] for task in stack.tiktok.control("GET", "/tasks")]


def _stored(stack: Stack) -> int:
    return sum(task["stored_bytes"] for task in stack.tiktok.control("GET", "/tasks"))


def _judge(stack: Stack, delivery: Delivery, label: str, expected: Verdict) -> list[Result]:
    rested = await_rest([delivery.pk], seconds=PATIENCE_S)
    delivery.refresh_from_db()
    return judge_all({delivery.pk: label}, stack.tiktok, rested=rested, expected={delivery.pk: expected})
