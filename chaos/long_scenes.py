"""Scenes of what lasts: tokens that end under way, accounts that are lost and found, processing over days."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

from django.db.models import F
from django.utils import timezone

from accounts.models import Membership, Notice, Role, User
from chaos.cast import (
    LARGE_BYTES,
    PUBLIC,
    SMALL_BYTES,
    handle_of,
    make_connection,
    make_delivery,
    make_video,
    make_workspace,
)
from chaos.stack import Stack
from chaos.verdict import Result, Verdict, await_rest, judge_all
from connections import oauth
from connections.models import ConnectionStatus, SocialConnection
from publishing.models import Delivery
from publishing.states import DeliveryState, HoldReason
from tests.publishing.processes import eventually

PATIENCE_S = 60.0
TOKEN_LIFE_S = 60
CHUNK_S = 36.0
"""Two chunks of this take longer than a token lives."""


def upload_outlives_its_token(stack: Stack) -> list[Result]:
    """Tokens live a minute, an upload lasts longer, and other posts of its account refresh the pair meanwhile."""
    stack.fresh(access_seconds=TOKEN_LIFE_S)
    workspace = make_workspace()
    connection = make_connection(workspace, stack.tiktok)
    for index in (1, 2):  # which the small ones do not have
        slow = {"endpoint": "upload", "creator": handle_of(connection), "chunk_index": index}
        stack.tiktok.fault(slow, {"delay": CHUNK_S})
    small, large = make_video(workspace, SMALL_BYTES), make_video(workspace, LARGE_BYTES)
    patient = {"TIKTOK_READ_TIMEOUT": "60", "DELIVERY_LEASE_SECONDS": "90"}
    with stack.worker(threads=4, **patient), stack.worker(threads=4, **patient), stack.beat():
        first = make_delivery(connection, large)
        labels = {first.pk: "upload longer than a token's life"}
        started = time.monotonic()
        while time.monotonic() - started < 2 * CHUNK_S:
            labels[make_delivery(connection, small).pk] = "beside it"
            time.sleep(CHUNK_S / 3)
        rested = await_rest(labels, seconds=PATIENCE_S)
    results = judge_all(labels, stack.tiktok, rested=rested, expected=dict.fromkeys(labels, Verdict.ONCE))
    connection.refresh_from_db()
    if connection.status != ConnectionStatus.ACTIVE or connection.token_generation < 1:
        raise AssertionError(f"{connection.status}, refreshed {connection.token_generation} times")
    return results


def reconnected(stack: Stack) -> list[Result]:
    """A refresh whose answer is lost costs the connection: people are told, and connecting again is all they do."""
    stack.fresh()
    workspace = make_workspace()
    user = User.objects.create_user(f"{workspace.slug}@example.com", "correct horse battery")
    Membership.objects.create(workspace=workspace, user=user, role=Role.OWNER)
    expired = timezone.now() - timedelta(seconds=1)
    connection = make_connection(workspace, stack.tiktok, access_expires_at=expired, connected_by=user)
    rule = {"endpoint": "token", "grant_type": "refresh_token", "creator": handle_of(connection)}
    stack.tiktok.fault(rule, {"drop": "after"})
    with stack.worker(threads=4), stack.beat():
        posts = [make_delivery(connection, make_video(workspace, SMALL_BYTES)) for _ in range(3)]
        labels = {post.pk: "reconnected" for post in posts}
        await_rest(labels, seconds=PATIENCE_S)
        _demand_held(connection, len(posts))
        if not Notice.objects.filter(user=user, kind="reconnect").exists():
            raise AssertionError("nobody was told that the account needs reconnecting")
        _reconnect(stack, connection, user)
        rested = await_rest(labels, seconds=PATIENCE_S)
    return judge_all(labels, stack.tiktok, rested=rested, expected=dict.fromkeys(labels, Verdict.ONCE))


def _demand_held(connection: SocialConnection, count: int) -> None:
    connection.refresh_from_db()
    held = Delivery.objects.filter(
        connection=connection, state=DeliveryState.HELD, hold_reason=HoldReason.RECONNECT
    ).count()
    if (connection.status, held) != (ConnectionStatus.NEEDS_REAUTH, count):
        raise AssertionError(f"the connection is {connection.status}, and {held} of {count} posts wait")


def _reconnect(stack: Stack, connection: SocialConnection, user: User) -> None:
    address = oauth.start(
        workspace=connection.workspace, user=user, session_key="browser", provider_name="tiktok"
    )
    answer = stack.tiktok.consent(dict(parse_qsl(urlsplit(address).query)), handle_of(connection))
    oauth.finish(provider_name="tiktok", params=answer, user=user, session_key="browser", now=timezone.now())


def processed_for_days(stack: Stack) -> list[Result]:
    """TikTok needs five days for a video, and no deadline of ours ends the wait; its tokens have long ended by then."""
    days = timedelta(days=5)
    stack.fresh(processing_seconds=days.total_seconds())
    with stack.worker(threads=4), stack.beat():
        delivery = _confirmed(stack)
        _await_polled(delivery)
        _let_pass(stack, delivery, days - timedelta(hours=1))
        _await_polled(delivery)
        waits_for = Delivery.objects.get(pk=delivery.pk).wake_at or timezone.now()
        if waits_for - timezone.now() < timedelta(minutes=50):
            raise AssertionError("after days it is still asked about every few minutes")
        _let_pass(stack, delivery, days)
        rested = await_rest([delivery.pk], seconds=PATIENCE_S)
    return _judge(stack, delivery, "processed for five days", rested)


def post_id_comes_late(stack: Stack) -> list[Result]:
    """A public post stands for hours before TikTok says its id; it is fetched then, and nobody waits for it."""
    hours = timedelta(hours=6)
    stack.fresh(moderation_seconds=hours.total_seconds())
    with stack.worker(threads=4), stack.beat():
        delivery = _confirmed(stack)
        rested = await_rest([delivery.pk], seconds=PATIENCE_S)
        if Delivery.objects.get(pk=delivery.pk).platform_post_ids:
            raise AssertionError("the id was there at once")
        _let_pass(stack, delivery, hours)
        eventually(
            lambda: bool(Delivery.objects.get(pk=delivery.pk).platform_post_ids),
            seconds=PATIENCE_S,
            what="the post's id",
        )
    return _judge(stack, delivery, "id hours after the post", rested)


def daily_cap(stack: Stack) -> list[Result]:
    """The day's posts are used up: the next one waits, says so, and goes out when the day is over."""
    stack.fresh(posts_per_day=1)
    workspace = make_workspace()
    connection = make_connection(workspace, stack.tiktok)
    video = make_video(workspace, SMALL_BYTES)
    with stack.worker(threads=4), stack.beat():
        first = make_delivery(connection, video)
        await_rest([first.pk], seconds=PATIENCE_S)
        second = make_delivery(connection, video)
        eventually(
            lambda: bool(Delivery.objects.get(pk=second.pk).reason_message),
            seconds=PATIENCE_S,
            what="the cap's words",
        )
        waiting = Delivery.objects.get(pk=second.pk)
        if waiting.wake_at is None or waiting.wake_at < timezone.now() + timedelta(minutes=30):
            raise AssertionError(f"it waits until {waiting.wake_at}")
        _let_pass(stack, second, timedelta(hours=25))
        rested = await_rest([first.pk, second.pk], seconds=PATIENCE_S)
    labels = {first.pk: "the day's last post", second.pk: "the next day's first"}
    return judge_all(labels, stack.tiktok, rested=rested, expected=dict.fromkeys(labels, Verdict.ONCE))


def draft_finished_twice(stack: Stack) -> list[Result]:
    """A creator posts one draft twice from the TikTok app: both posts are theirs, and both are shown."""
    stack.fresh()
    with stack.worker(threads=4), stack.beat():
        delivery = _confirmed(stack, mode="inbox")
        _await_state(delivery, DeliveryState.IN_INBOX)
        started = time.monotonic()
        for count in (1, 2):
            stack.tiktok.control(
                "POST", f"/tasks/{delivery.publish_id}/finish", {"privacy": PUBLIC["privacy_level"]}
            )
            Delivery.objects.filter(pk=delivery.pk).update(wake_at=timezone.now())  # as its webhook does
            _await_ids(delivery, count)
    shown, stand = set(delivery.platform_post_ids), {post["post_id"] for post in stack.tiktok.posts()}
    verdict = Verdict.ONCE if shown == stand else Verdict.UNTRUE
    seconds = time.monotonic() - started
    return [Result("draft finished twice", verdict, seconds, Verdict.ONCE, f"{shown} of {stand}")]


def _await_ids(delivery: Delivery, count: int) -> None:
    def are_there() -> bool:
        delivery.refresh_from_db()
        return len(delivery.platform_post_ids) == count

    eventually(are_there, seconds=PATIENCE_S, what=f"{count} ids")


def _confirmed(stack: Stack, *, mode: str = "direct") -> Delivery:
    connection = make_connection(make_workspace(), stack.tiktok)
    return make_delivery(connection, make_video(connection.workspace, SMALL_BYTES), mode=mode)


def _await_state(delivery: Delivery, state: DeliveryState) -> None:
    def is_there() -> bool:
        delivery.refresh_from_db()
        return delivery.state == state

    eventually(is_there, seconds=PATIENCE_S, what=state)


def _await_polled(delivery: Delivery) -> None:
    """Wait until it is being processed, was asked about after this moment, and sleeps."""
    count = Delivery.objects.get(pk=delivery.pk).poll_count

    def asked() -> bool:
        return Delivery.objects.filter(
            pk=delivery.pk,
            state=DeliveryState.PROCESSING,
            poll_count__gt=count,
            lease_token=None,
        ).exists()

    eventually(asked, seconds=PATIENCE_S, what="a question about it")


def _let_pass(stack: Stack, delivery: Delivery, since_start: timedelta) -> None:
    """Let it be `since_start` since the delivery began, at TikTok and in the row, and let the row be due."""
    passed = since_start - timedelta(seconds=stack.tiktok.control("GET", "/settings")["clock_offset"])
    stack.tiktok.settings(clock_offset=since_start.total_seconds())
    Delivery.objects.filter(pk=delivery.pk).update(
        state_changed_at=F("state_changed_at") - passed, wake_at=timezone.now()
    )


def _judge(stack: Stack, delivery: Delivery, label: str, rested: dict[uuid.UUID, float]) -> list[Result]:
    return judge_all({delivery.pk: label}, stack.tiktok, rested=rested, expected={delivery.pk: Verdict.ONCE})
