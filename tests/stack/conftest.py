"""Running demos of the test's own, each in a data folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from stack.options import BASE_DIR

READY_SECONDS = 100
DEMO = (sys.executable, "-m", "stack", "demo")


class RunningDemo:
    """A `python -m stack demo` in the background."""

    def __init__(self, data_dir: Path, *, argv: Sequence[str] = DEMO, **env: str) -> None:
        self.data_dir = data_dir
        self.env = bare_env(DATA_DIR=str(data_dir), **env)
        self.output = ""
        self.url = ""
        self.process = subprocess.Popen(
            argv,
            cwd=BASE_DIR,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_ready(self) -> RunningDemo:
        """Read up to the ready line; the test fails if the demo ends or the time is up before it comes."""
        guard = threading.Timer(READY_SECONDS, self.process.kill)
        guard.start()
        for line in self.process.stdout or ():
            self.output += line
            if line.startswith("ready "):
                self.url = line.split()[1]
                break
        guard.cancel()
        assert self.url, f"not ready:\n{self.output}"
        return self

    def wait_line(self, words: str) -> str:
        """Read on up to a line that holds `words`."""
        guard = threading.Timer(60, self.process.kill)
        guard.start()
        found = next((line for line in self.process.stdout or () if words in line), "")
        guard.cancel()
        return found

    def family(self) -> list[psutil.Process]:
        """Every process that the runner has started, and theirs."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, words: str) -> psutil.Process:
        """The one direct child whose command line holds `words`."""
        children = psutil.Process(self.process.pid).children()
        (found,) = [child for child in children if words in " ".join(child.cmdline())]
        return found

    def end(self, number: int) -> list[psutil.Process]:
        """Send the runner signal `number`, wait for its end; give the processes that outlive it by ten seconds."""
        family = self.family()
        self.process.send_signal(number)
        self.output += self.process.communicate(timeout=20)[0]
        psutil.wait_procs(family, timeout=10)
        return [process for process in family if _is_alive(process)]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def bare_env(**more: str) -> dict[str, str]:
    """An environment with nothing of the test session's."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"ENV_FILE": os.devnull} | more


@pytest.fixture
def start_demo(tmp_path: Path) -> Iterator[Callable[..., RunningDemo]]:
    """Start demos in `tmp_path`, which only we can enter; what still runs afterwards is ended and cleared."""
    started: list[RunningDemo] = []

    def start(data_dir: Path = tmp_path / "data", **options: Any) -> RunningDemo:
        started.append(RunningDemo(data_dir, **options))
        return started[-1]

    yield start
    for demo in started:
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.process.communicate(timeout=20)
    for data_dir in {demo.data_dir for demo in started}:
        run_stack("reset", DATA_DIR=str(data_dir))


def run_stack(command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`python -m stack command`, to its end."""
    argv = [sys.executable, "-m", "stack", command]
    return subprocess.run(
        argv, cwd=BASE_DIR, env=bare_env(**env), capture_output=True, text=True, check=False, timeout=100
    )
