"""Real workers and beats on the test's own database, for tests that kill them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from stack.leash import end, spawn

ROOT = Path(__file__).resolve().parents[2]
WORKER = ["worker", "-P", "threads", "-Q", "default,uploads,polls", "--without-gossip", "--without-mingle"]


def _celery(env: Mapping[str, str]) -> list[str]:
    """Celery, or one whose clock is wrong by BROADSIDE_CLOCK_SHIFT seconds."""
    seconds = env.get("BROADSIDE_CLOCK_SHIFT")
    return ["chaos.shifted", seconds] if seconds else ["celery"]


class Process:
    """A Celery process of ours; its whole session ends with it."""

    def __init__(self, *words: str, env: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process: subprocess.Popen[bytes] = spawn(
                [sys.executable, "-m", *_celery(env), "-A", "config", *words],
                env=env,
                cwd=ROOT,
                output=output,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it still lives."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it as a power cut would."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=10)

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def wait(self, seconds: float) -> int:
        """Wait for its end and return its exit status. TimeoutExpired: it still lives."""
        return self._process.wait(timeout=seconds)

    def stop(self) -> None:
        """End it, whatever its state."""
        if self.is_running:
            end(self._process, signal.SIGTERM)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def worker(env: Mapping[str, str], folder: Path, *, name: str = "w1", threads: int = 8) -> Process:
    """Start a worker that takes every queue."""
    words = [*WORKER, "-c", str(threads), "-n", f"{name}@test", "-l", "INFO"]
    return Process(*words, env=env, log=folder / f"{name}.log")


def beat(env: Mapping[str, str], folder: Path, *, name: str = "beat") -> Process:
    """Start a beat, and with it a dispatcher each second."""
    words = ["beat", "-s", str(folder / f"{name}-schedule"), "--pidfile="]
    return Process(*words, env=env, log=folder / f"{name}.log")


def eventually(check: Callable[[], bool], *, seconds: float = 60.0, what: str = "it") -> None:
    """Return as soon as `check` holds. AssertionError if it does not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come about in {seconds} s")
