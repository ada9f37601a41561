"""Accidents at random, from a seed: processes killed and frozen, servers wiped and restarted, TikTok wrong and gone."""

from __future__ import annotations

import argparse
import os
import random
import signal
import time
import uuid
from collections.abc import Callable
from contextlib import suppress

from django.db import InterfaceError, OperationalError, close_old_connections

from chaos.cast import LARGE_BYTES, SMALL_BYTES, make_connection, make_delivery, make_video, make_workspace
from chaos.stack import LEASE_S, Stack
from chaos.verdict import Result, await_rest, judge_all
from connections.models import SocialConnection
from publishing.models import Delivery, Video
from tests.publishing.processes import Process

POSTS_PER_ACCOUNT = 3
"""Few, so that nobody waits for a window of the rate limit when recovery is measured."""

WORKERS = 2
HEALED_PATIENCE_S = 150.0
ENDPOINTS = ("token", "creator_info", "video_init", "upload", "status")
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

    def __init__(self, stack: Stack, dice: random.Random) -> None:
        self.stack = stack
        self.dice = dice
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

    def tend(self) -> None:
        """What a supervisor does: start again what ended; and thaw what was frozen long enough."""
        for when, process in list(self.frozen):
            if time.monotonic() >= when:
                self.frozen.remove((when, process))
                _thaw(process)
        self.workers = [process for process in self.workers if process.is_running]
        while len(self.workers) < WORKERS:
            self.workers.append(self.stack.worker(threads=12, UPLOAD_SLOTS="8"))
        if self.beat is None or not self.beat.is_running:
            self.beat = self.stack.beat()

    def heal(self) -> None:
        """Everything is there again, and TikTok is right."""
        self.stack.tiktok.control("DELETE", "/faults")
        for _, process in self.frozen:
            _thaw(process)
        self.frozen.clear()
        self.tend()

    def stop(self) -> None:
        """End all processes."""
        for process in [*self.workers, *([self.beat] if self.beat else [])]:
            _thaw(process)
            process.stop()

    def _some_worker(self) -> Process:
        return self.dice.choice(self.workers)


def _thaw(process: Process) -> None:
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGCONT)


def run_kills(stack: Stack, given: argparse.Namespace) -> list[Result]:
    """Confirm `given.n` posts while accidents happen, heal, wait until all rest, and judge."""
    dice = random.Random(given.seed)
    stack.fresh(access_seconds=60)  # tokens are refreshed under fire, too
    kits = [_kit(stack) for _ in range(max(2, given.n // (POSTS_PER_ACCOUNT * 5)))]
    accidents = Accidents(stack, dice)
    labels = dict[uuid.UUID, str]()
    wait_s = 1.0 if given.short else 2.0
    accidents.tend()
    try:
        for number in range(given.n):
            connections, videos = kits[number % len(kits)]
            connection = connections[(number // len(kits)) % len(connections)]
            delivery = _confirm(connection, dice.choice(videos))
            labels[delivery.pk] = f"post {number} of seed {given.seed}"
            if number % 5 == 4:
                accidents.one()
                time.sleep(wait_s * dice.random())
        accidents.heal()
        rested = await_rest(labels, seconds=HEALED_PATIENCE_S, meanwhile=accidents.tend)
        return judge_all(labels, stack.tiktok, rested=rested)
    finally:
        accidents.stop()


def _kit(stack: Stack) -> tuple[list[SocialConnection], list[Video]]:
    workspace = make_workspace()
    connections = [make_connection(workspace, stack.tiktok) for _ in range(5)]
    return connections, [make_video(workspace, SMALL_BYTES), make_video(workspace, LARGE_BYTES)]


def _confirm(connection: SocialConnection, video: Video) -> Delivery:
    """Confirm one form; a person who meets an error page in the middle of a restart sends it again."""
    key = uuid.uuid4()
    for _ in range(40):
        try:
            return make_delivery(connection, video, key=key)
        except (OperationalError, InterfaceError):
            close_old_connections()
            time.sleep(0.25)
    return make_delivery(connection, video, key=key)
