"""Accidents at random, from a seed: processes killed and frozen, servers wiped and restarted, TikTok wrong and gone.

They befall videos that are sent, videos that TikTok fetches, and photos, which it fetches always.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError, close_old_connections

from chaos.cast import (
    LARGE_BYTES,
    SMALL_BYTES,
    make_connection,
    make_delivery,
    make_photo_delivery,
    make_video,
    make_workspace,
)
from chaos.stack import LEASE_S, Door, Stack
from chaos.verdict import Result, await_rest, judge_all
from connections.models import SocialConnection
from publishing.models import Delivery, PostKind, Video
from tests.publishing.processes import Process

POSTS_PER_ACCOUNT = 3
"""Few, so that nobody waits for a window of the rate limit when recovery is measured."""

WORKERS = 2
HEALED_PATIENCE_S = 150.0
ENDPOINTS = ("token", "creator_info", "video_init", "content_init", "upload", "status")
ACTIONS: tuple[dict[str, object], ...] = (
    {"drop": "before"},
    {"drop": "after"},
    {"drop": "mid_body", "after_bytes": 1_000_000},
    {"drop": "mid_answer"},
    {"status": 502, "html": True, "process": True},
    {"status": 503},
    {"malformed": True, "process": True},
    {"empty": True},
    {"hold": 3.0},
    {"slow_bytes_per_second": 400},
    {"status": 429, "code": "rate_limit_exceeded", "retry_after": 1},
)


class Accidents:
    """The processes under fire, and what befalls them. Each choice comes from `dice`."""

    def __init__(self, stack: Stack, dice: random.Random, door: Door) -> None:
        self.stack = stack
        self.dice = dice
        self.door = door
        self.pulls_videos = True
        self.retired: list[Process] = []
        self.workers: list[Process] = []
        self.beat: Process | None = None
        self.frozen: list[tuple[float, Process]] = []
        self.log: list[str] = []

    def one(self) -> None:
        """Let one thing happen."""
        choices: list[tuple[Callable[[], None], int]] = [
            (self.kill_worker, 5),
            (self.freeze_worker, 4),
            (self.end_worker, 4),
            (self.kill_beat, 2),
            (self.stack.flush_redis, 2),
            (self.stack.crash_redis, 1),
            (self.stack.crash_postgres, 2),
            (self.tiktok_wrong, 10),
            (self.tiktok_gone, 2),
            (self.door_shut, 2),
        ]
        what = self.dice.choices([c for c, _ in choices], weights=[w for _, w in choices])[0]
        self.log.append(what.__name__)
        what()
        self.tend()

    def kill_worker(self) -> None:
        """SIGKILL."""
        self._some_worker().kill()

    def end_worker(self) -> None:
        """SIGTERM."""
        self._some_worker().terminate()

    def freeze_worker(self) -> None:
        """SIGSTOP, for longer than a lease."""
        victim = self._some_worker()
        os.kill(victim.pid, signal.SIGSTOP)
        self.frozen.append((time.monotonic() + LEASE_S * self.dice.uniform(0.3, 1.6), victim))

    def kill_beat(self) -> None:
        """SIGKILL of the dispatcher's clock."""
        if self.beat is not None:
            self.beat.kill()

    def tiktok_wrong(self) -> None:
        """One to five wrong answers at some endpoint."""
        endpoint = self.dice.choice(ENDPOINTS)
        action = dict(self.dice.choice(ACTIONS))
        self.stack.tiktok.fault({"endpoint": endpoint}, action, times=self.dice.randint(1, 5))

    def tiktok_gone(self) -> None:
        """Nobody listens for a moment."""
        if self.stack.proxy is not None:
            self.stack.proxy.close()
            time.sleep(self.dice.uniform(0.2, 1.5))
            self.stack.proxy.open()

    def door_shut(self) -> None:
        """Whoever fetches a file waits for a moment."""
        with self.door.closed():
            time.sleep(self.dice.uniform(0.2, 1.5))

    def tend(self) -> None:
        """What a supervisor does: start again what ended; and thaw what was frozen long enough."""
        for when, process in list(self.frozen):
            if time.monotonic() >= when:
                self.frozen.remove((when, process))
                _thaw(process)
        self.workers = [process for process in self.workers if process.is_running]
        while len(self.workers) < WORKERS:
            self.workers.append(self._worker())
        if self.beat is None or not self.beat.is_running:
            self.beat = self.stack.beat()

    def turn_around(self) -> None:
        """The operator decides that videos go the other way from now on, and replaces the workers.

        The worker that prepares a video decides its way; any worker may have to finish it.
        """
        self.pulls_videos = not self.pulls_videos
        for process in self.workers:
            process.terminate()
        self.retired += self.workers
        self.workers = []
        self.tend()

    def heal(self) -> None:
        """Everything is there again, and TikTok is right."""
        self.stack.tiktok.control("DELETE", "/faults")
        for _, process in self.frozen:
            _thaw(process)
        self.frozen.clear()
        self.tend()

    def stop(self) -> None:
        """End all processes."""
        for process in [*self.workers, *self.retired, *([self.beat] if self.beat else [])]:
            _thaw(process)
            process.stop()

    def _worker(self) -> Process:
        return self.stack.worker(threads=12, UPLOAD_SLOTS="8", TIKTOK_PULL_VIDEOS=str(int(self.pulls_videos)))

    def _some_worker(self) -> Process:
        return self.dice.choice(self.workers)


def _thaw(process: Process) -> None:
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGCONT)


@dataclass(frozen=True)
class Kit:
    """A workspace's accounts, and what its posts are made of: videos, or None for photos."""

    connections: list[SocialConnection]
    media: list[Video | None]


def run_kills(stack: Stack, given: argparse.Namespace) -> list[Result]:
    """Confirm `given.n` posts while accidents happen, heal, wait until all rest, and judge."""
    dice = random.Random(given.seed)
    with stack.media_door(access_seconds=60) as door:  # tokens are refreshed under fire, too
        kits = [_kit(stack) for _ in range(max(2, given.n // (POSTS_PER_ACCOUNT * 5)))]
        accidents = Accidents(stack, dice, door)
        labels = dict[uuid.UUID, str]()
        wait_s = 1.0 if given.short else 2.0
        accidents.tend()
        try:
            for number in range(given.n):
                kit = kits[number % len(kits)]
                connection = kit.connections[(number // len(kits)) % len(kit.connections)]
                delivery = _confirm(connection, dice.choice(kit.media))
                labels[delivery.pk] = f"post {number} of seed {given.seed}"
                if number == given.n // 2:
                    accidents.turn_around()
                if number % 5 == 4:
                    accidents.one()
                    time.sleep(wait_s * dice.random())
            accidents.heal()
            rested = await_rest(labels, seconds=HEALED_PATIENCE_S, meanwhile=accidents.tend)
            results = judge_all(labels, stack.tiktok, rested=rested)
        finally:
            accidents.stop()
    print(_ways(labels))
    return results


def _ways(labels: Iterable[uuid.UUID]) -> str:
    """In which ways the files went, as the rows tell at the end."""
    rows = Delivery.objects.filter(pk__in=labels)
    photos = rows.filter(post__kind=PostKind.PHOTO).count()
    fetched = rows.filter(post__kind=PostKind.VIDEO, pull_requested_at__isnull=False).count()
    sent = rows.filter(post__kind=PostKind.VIDEO, chunk_count__gt=0).count()
    return f"accidents: {sent} videos sent, {fetched} fetched, {photos} posts of photos"


def _kit(stack: Stack) -> Kit:
    workspace = make_workspace()
    return Kit(
        connections=[make_connection(workspace, stack.tiktok) for _ in range(5)],
        media=[make_video(workspace, SMALL_BYTES), make_video(workspace, LARGE_BYTES), None],
    )


def _confirm(connection: SocialConnection, video: Video | None) -> Delivery:
    """Confirm one form; a person who meets an error page in the middle of a restart sends it again."""
    key = uuid.uuid4()

    def confirm() -> Delivery:
        if video is None:
            return make_photo_delivery(connection, key=key)
        return make_delivery(connection, video, key=key)

    for _ in range(40):
        try:
            return confirm()
        except (OperationalError, InterfaceError):
            close_old_connections()
            time.sleep(0.25)
    return confirm()
