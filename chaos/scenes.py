"""Single accidents, each told as a short scene: what is killed, frozen, wiped or wrong, and what must come of it."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta

import requests
from django.conf import settings as configured
from django.test import Client
from django.utils import timezone

from accounts.models import Membership, Role, User
from chaos import long_scenes, pull_scenes
from chaos.cast import (
    LARGE_BYTES,
    SMALL_BYTES,
    handle_of,
    make_connection,
    make_delivery,
    make_video,
    make_workspace,
)
from chaos.stack import Stack
from chaos.verdict import Result, Verdict, await_rest, judge_all
from publishing.models import Delivery
from publishing.states import DeliveryState
from tests.publishing.films import film
from tests.publishing.processes import eventually

PATIENCE_S = 60.0
TERM_SECONDS = 10.0
"""What a service manager may count on after SIGTERM."""

Scene = Callable[[Stack], list[Result]]


class Post:
    """One delivery of an account of its own."""

    def __init__(self, stack: Stack, total_bytes: int = SMALL_BYTES) -> None:
        self.stack = stack
        workspace = make_workspace()
        self.connection = make_connection(workspace, stack.tiktok)
        self.video = make_video(workspace, total_bytes)
        self.handle = handle_of(self.connection)

    def confirm(self) -> uuid.UUID:
        """Make it due now."""
        return make_delivery(self.connection, self.video).pk

    def slow_at(self, endpoint: str, seconds: float, **match: object) -> str:
        """Let the platform dawdle once at `endpoint`; return the rule's id."""
        rule = self.stack.tiktok.fault(
            {"endpoint": endpoint, "creator": self.handle, **match}, {"delay": seconds}
        )
        return str(rule["rule_id"])


def await_hit(stack: Stack, rule_id: str) -> None:
    """Wait until a request met the rule."""

    def hit() -> bool:
        return any(
            rule["used"] for rule in stack.tiktok.control("GET", "/faults") if rule["rule_id"] == rule_id
        )

    eventually(hit, seconds=PATIENCE_S, what=f"{rule_id} hit")


def judge_one(stack: Stack, label: str, pk: uuid.UUID, *, seconds: float = PATIENCE_S) -> list[Result]:
    """Wait for the end of one delivery and judge it."""
    return judge_many(stack, {pk: label}, seconds=seconds)


def judge_many(stack: Stack, labels: Mapping[uuid.UUID, str], *, seconds: float = PATIENCE_S) -> list[Result]:
    """Wait for all to end and judge them; each has to be published."""
    rested = await_rest(labels, seconds=seconds)
    return judge_all(dict(labels), stack.tiktok, rested=rested, expected=dict.fromkeys(labels, Verdict.ONCE))


def dispatcher_killed(stack: Stack) -> list[Result]:
    """What falls due while no dispatcher runs goes out when one is back."""
    stack.fresh()
    post = Post(stack)
    with stack.worker(threads=4):
        with stack.beat() as first:
            first.kill()
        pk = post.confirm()
        Delivery.objects.filter(pk=pk, state=DeliveryState.SCHEDULED).update(wake_at=timezone.now())
        with stack.beat():
            return judge_one(stack, "dispatcher killed", pk)


def redis_wiped(stack: Stack) -> list[Result]:
    """Messages, windows and cache vanish under running processes."""
    stack.fresh()
    posts = [Post(stack) for _ in range(8)]
    with stack.worker(threads=4), stack.beat():
        labels = {post.confirm(): "Redis wiped" for post in posts}
        stack.flush_redis()
        return judge_many(stack, labels)


def redis_restarted(stack: Stack) -> list[Result]:
    """Redis is killed and comes back empty; nobody restarts the worker or the beat."""
    stack.fresh()
    posts = [Post(stack, LARGE_BYTES) for _ in range(4)]
    rule = posts[0].slow_at("upload", 1.5, chunk_index=1)
    with stack.worker(threads=4), stack.beat():
        labels = {post.confirm(): "Redis restarted" for post in posts}
        await_hit(stack, rule)
        stack.crash_redis()
        return judge_many(stack, labels)


def postgres_restarted(stack: Stack) -> list[Result]:
    """Postgres stops in its immediate mode in the middle of uploads."""
    stack.fresh()
    posts = [Post(stack, LARGE_BYTES) for _ in range(4)]
    rule = posts[0].slow_at("upload", 1.5, chunk_index=1)
    with stack.worker(threads=4), stack.beat():
        labels = {post.confirm(): "Postgres restarted" for post in posts}
        await_hit(stack, rule)
        stack.crash_postgres()
        return judge_many(stack, labels)


def clock_ahead(stack: Stack) -> list[Result]:
    """The worker's clock is an hour ahead of the database's and the dispatcher's."""
    return _clock_shifted(stack, 3600)


def clock_behind(stack: Stack) -> list[Result]:
    """An hour behind."""
    return _clock_shifted(stack, -3600)


def _clock_shifted(stack: Stack, seconds: int) -> list[Result]:
    stack.fresh(processing_seconds=2.0)
    post = Post(stack, LARGE_BYTES)
    with stack.worker(threads=4, BROADSIDE_CLOCK_SHIFT=str(seconds)), stack.beat():
        pk = post.confirm()
        # Not yet due: only the database's clock may say when.
        Delivery.objects.filter(pk=pk, state=DeliveryState.SCHEDULED).update(
            wake_at=timezone.now() + timedelta(seconds=2)
        )
        return judge_one(stack, f"worker's clock off by {seconds} s", pk, seconds=30)


def frozen_and_thawed(stack: Stack) -> list[Result]:
    """A worker stands still for longer than its lease, another one finishes, and the thawed one changes nothing."""
    stack.fresh()
    post = Post(stack, LARGE_BYTES)
    rule = post.slow_at("upload", 1.0, chunk_index=1)
    with stack.beat(), stack.worker(threads=4) as first:
        pk = post.confirm()
        await_hit(stack, rule)
        os.kill(first.pid, signal.SIGSTOP)
        try:
            with stack.worker(threads=4):
                await_rest([pk], seconds=PATIENCE_S)
                before = Delivery.objects.filter(pk=pk).values().get()
                os.kill(first.pid, signal.SIGCONT)
                eventually(lambda: "lost the lease" in first.log.read_text(), what="the thawed one giving up")
                after = Delivery.objects.filter(pk=pk).values().get()
        finally:
            os.kill(first.pid, signal.SIGCONT)
    if before != after:
        raise AssertionError(f"the thawed worker changed the row: {before} -> {after}")
    return judge_one(stack, "worker frozen past its lease", pk)


def asked_to_end(stack: Stack) -> list[Result]:
    """SIGTERM while TikTok lets an upload hang: gone within ten seconds, and nobody waits for the lease."""
    stack.fresh()
    post = Post(stack, LARGE_BYTES)
    rule = post.slow_at("upload", 60.0, chunk_index=1)
    patient = {"DELIVERY_LEASE_SECONDS": "600", "TIKTOK_READ_TIMEOUT": "60"}
    with stack.beat():
        with stack.worker(threads=4, **patient) as first:
            pk = post.confirm()
            await_hit(stack, rule)
            started = time.monotonic()
            first.terminate()
            first.wait(TERM_SECONDS + 5)
            took = time.monotonic() - started
        if took > TERM_SECONDS:
            raise AssertionError(f"the worker needed {took:.1f} s to end")
        with stack.worker(threads=4, **patient):
            return judge_one(stack, "worker asked to end in a slow chunk", pk)


def polls_beside_uploads(stack: Stack) -> list[Result]:
    """Every slot sends a video that hangs; a poll still gets through at once."""
    stack.fresh()
    stuck = [Post(stack) for _ in range(4)]
    rules = [post.slow_at("upload", 20.0) for post in stuck]
    polled = Post(stack)
    with stack.beat(), stack.worker(threads=6, UPLOAD_SLOTS="4", TIKTOK_READ_TIMEOUT="60"):
        stack.tiktok.settings(processing_seconds=3.0)
        pk = polled.confirm()
        eventually(
            lambda: Delivery.objects.filter(pk=pk, state=DeliveryState.PROCESSING).exists(), what="processing"
        )
        labels = {post.confirm(): "upload that hangs" for post in stuck}
        for rule in rules:
            await_hit(stack, rule)
        [result] = judge_one(stack, "poll beside full slots", pk, seconds=15)
        return [result, *judge_many(stack, labels)]


def one_beside_a_thousand(stack: Stack) -> list[Result]:
    """A thousand due deliveries of one workspace, and one of another: that one is not delayed."""
    stack.fresh()
    crowd_workspace = make_workspace()
    connections = [make_connection(crowd_workspace, stack.tiktok) for _ in range(40)]
    video = make_video(crowd_workspace, SMALL_BYTES)
    handles = [handle_of(connection) for connection in connections]
    stack.tiktok.fault({"endpoint": "upload", "creator": handles}, {"delay": 0.5}, times=None)
    for number in range(1000):
        make_delivery(connections[number % len(connections)], video)
    single = Post(stack)
    with stack.beat(), stack.worker(threads=24, UPLOAD_SLOTS="16"):
        eventually(
            lambda: (
                Delivery.objects.filter(workspace=crowd_workspace, state=DeliveryState.PUBLISHED).count() > 20
            ),
            what="the thousand under way",
        )
        pk = single.confirm()
        [result] = judge_one(stack, "one beside a thousand", pk)
    Delivery.objects.filter(workspace=crowd_workspace).update(wake_at=None)
    if result.seconds > FAIR_SECONDS:
        raise AssertionError(f"the single one needed {result.seconds:.1f} s")
    return [result]


def web_killed(stack: Stack) -> list[Result]:
    """The web process dies in the middle of a confirm, before and after its commit; the person sends the form again."""
    stack.fresh()
    labels = dict[uuid.UUID, str]()
    with stack.worker(threads=4), stack.beat():
        for point in ("confirming", "confirmed"):
            form = Form(stack)
            with stack.web(BROADSIDE_DIE_AT=point) as url:
                if form.send(url):
                    raise AssertionError(f"the web process answered in spite of its death at {point}")
            with stack.web() as url:
                if not form.send(url):
                    raise AssertionError("the second confirm was not taken")
            [pk] = Delivery.objects.filter(post__workspace=form.workspace).values_list("pk", flat=True)
            labels[pk] = f"web killed at {point}"
        return judge_many(stack, labels)


class Form:
    """One composer form in a person's browser."""

    def __init__(self, stack: Stack) -> None:
        self.workspace = make_workspace()
        self.connection = make_connection(self.workspace, stack.tiktok)
        self.key = str(uuid.uuid4())
        self.film = film()
        user = User.objects.create_user(f"{self.key}@example.com", "correct horse battery")
        Membership.objects.create(workspace=self.workspace, user=user, role=Role.OWNER)
        self.http = requests.Session()
        self.http.trust_env = False
        browser = Client()
        browser.force_login(user)
        self.http.cookies.set(
            configured.SESSION_COOKIE_NAME, browser.cookies[configured.SESSION_COOKIE_NAME].value
        )

    def send(self, url: str) -> bool:
        """Confirm at the web process of `url`; return whether it said that it took the post."""
        page = f"{url}/w/{self.workspace.slug}/posts/new/"
        self.http.get(page, timeout=20).raise_for_status()
        data = {
            "csrfmiddlewaretoken": self.http.cookies["csrftoken"],
            "connection": str(self.connection.pk),
            "submission_key": self.key,
            "mode": "direct",
            "caption": f"chaos {self.key}",
            "privacy_level": "PUBLIC_TO_EVERYONE",
        }
        files = {"video": ("clip.mp4", self.film, "video/mp4")}
        try:
            answer = self.http.post(page, data=data, files=files, timeout=20, allow_redirects=False)
        except requests.ConnectionError:
            return False
        return answer.status_code == 302


FAIR_SECONDS = 8.0

SCENES: Mapping[str, Scene] = {
    scene.__name__: scene
    for scene in (
        dispatcher_killed,
        redis_wiped,
        redis_restarted,
        postgres_restarted,
        clock_ahead,
        clock_behind,
        frozen_and_thawed,
        asked_to_end,
        polls_beside_uploads,
        web_killed,
        one_beside_a_thousand,
        pull_scenes.pull_answer_lost,
        pull_scenes.pull_sent_again,
        pull_scenes.pull_canceled,
        pull_scenes.pull_canceled_too_late,
        long_scenes.reconnected,
        long_scenes.processed_for_days,
        long_scenes.post_id_comes_late,
        long_scenes.daily_cap,
        long_scenes.draft_finished_twice,
        long_scenes.upload_outlives_its_token,
    )
}


SHORT = ("redis_wiped", "frozen_and_thawed", "web_killed", "pull_answer_lost", "reconnected")


def run_scenes(stack: Stack, *, short: bool = False, scene: str | None = None) -> list[Result]:
    """Play all scenes, a quick selection, or the one called `scene`."""
    names = [scene] if scene else SHORT if short else SCENES
    chosen = [SCENES[name] for name in names]
    return [result for scene in chosen for result in _play(scene, stack)]


def _play(scene: Scene, stack: Stack) -> list[Result]:
    try:
        return scene(stack)
    except AssertionError as error:
        return [Result(scene.__name__, Verdict.UNTRUE, float("inf"), Verdict.ONCE, str(error))]
