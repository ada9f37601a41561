"""The whole demo, started for a measurement in a folder of its own and gone afterwards; and figures of processes."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

ROOT = Path(__file__).resolve().parents[1]
READY_SECONDS = 90


@dataclass(frozen=True)
class Demo:
    """A running demo: the addresses, the settings of its processes, and the process that supervises them."""

    url: str
    environment: dict[str, str]
    pid: int

    @property
    def sandbox_url(self) -> str:
        """Where the local TikTok listens."""
        return self.environment["TIKTOK_API_URL"]

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the local TikTok's control API and return its JSON. Raises requests.HTTPError."""
        answer = requests.request(method, f"{self.sandbox_url}/control/api{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def processes(self) -> list[psutil.Process]:
        """Every process of the demo, the supervisor first."""
        supervisor = psutil.Process(self.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def process(self, *words: str) -> psutil.Process:
        """Return the one process whose command line holds all `words`. Raises LookupError."""
        for candidate in self.processes():
            if all(word in candidate.cmdline() for word in words):
                return candidate
        raise LookupError(f"no process with {words}")


@contextmanager
def running_demo(**settings: str) -> Iterator[Demo]:
    """Start `python -m stack demo` with fresh data and `settings`, set up Django on them, stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="broadside-benchmark-") as folder:
        os.chmod(folder, 0o711)  # noqa: S103  # Postgres may run as another account and has to pass through
        own = {"DATA_DIR": f"{folder}/data", "ENV_FILE": os.devnull, "PATH": os.environ["PATH"]} | settings
        demo = subprocess.Popen(
            [sys.executable, "-m", "stack", "demo"], cwd=ROOT, env=own, stdout=subprocess.PIPE, text=True
        )
        try:
            url = _wait_ready(demo)
            environment = settings | _read_environment(Path(folder, "data", "demo.env"))
            _set_up_django(environment)
            yield Demo(url=url, environment=environment, pid=demo.pid)
        finally:
            demo.terminate()
            demo.wait(timeout=30)


def _wait_ready(demo: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + READY_SECONDS
    for line in demo.stdout or ():
        if line.startswith("ready "):
            return line.split()[1]
        if time.monotonic() > deadline:
            break
    raise RuntimeError("the demo did not become ready")


def _read_environment(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if line)


def _set_up_django(environment: dict[str, str]) -> None:
    os.environ.update(environment | {"DJANGO_SETTINGS_MODULE": "config.settings", "ENV_FILE": os.devnull})
    import django

    django.setup()
    from accounts.scopes import Scope, stand_in

    stand_in(Scope(system="benchmark"))


def resident_mb(process: psutil.Process) -> float:
    """Resident memory in MB (10^6 bytes)."""
    return float(process.memory_info().rss) / 1e6


def peak_mb(process: psutil.Process) -> float:
    """The highest resident memory since `reset_peak`, in MB. Linux: VmHWM of proc(5)."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise LookupError("the kernel tells no VmHWM")


def reset_peak(process: psutil.Process) -> None:
    """Let `peak_mb` start anew. Linux: /proc/pid/clear_refs of proc(5)."""
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def machine() -> str:
    """One line on the machine, to stand beside each figure."""
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {system}"
