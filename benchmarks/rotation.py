"""Moving 100,000 connections to a new encryption key, killed in the middle: `python -m benchmarks.rotation`.

Meanwhile another's work goes on: rows are read, and their token pairs replaced as a refresh does it. Its longest waits,
with and without the rotation, tell what the rotation costs others.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from benchmarks.running import ROOT, Demo, machine, running_demo

WORKSPACES = 100
BASELINE_SECONDS = 10


@dataclass
class Neighbour:
    """A thread that reads connections and replaces their tokens, one after the other, and notes how long each took."""

    keys: list[Any]
    reads: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)
    stored: dict[Any, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Neighbour:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _work(self) -> None:
        from django.db import connection

        from accounts.scopes import System, system_scope

        try:
            with system_scope(System.UPKEEP):
                while not self._stop.is_set():
                    self._refresh_one(random.choice(self.keys))
        except Exception as error:
            self.errors.append(repr(error))
        finally:
            connection.close()

    def _refresh_one(self, pk: Any) -> None:
        from django.db.models import F

        from connections.crypto import open_sealed, seal
        from connections.models import SocialConnection

        started = time.perf_counter()
        row = SocialConnection.objects.get(pk=pk)
        self.reads.append(time.perf_counter() - started)
        open_sealed(row, "access_token")
        new = f"act.refreshed-{random.getrandbits(200):050x}"
        started = time.perf_counter()
        same = SocialConnection.objects.filter(pk=pk, token_generation=row.token_generation)
        same.update(
            token_generation=F("token_generation") + 1,
            access_token=seal(row, "access_token", new),
            refresh_token=seal(row, "refresh_token", f"rft.{new}"),
        )
        self.writes.append(time.perf_counter() - started)
        self.stored[pk] = new

    def words(self) -> str:
        """Its longest waits in milliseconds."""
        if self.errors:
            raise RuntimeError(self.errors[0])
        return (
            f"{len(self.writes)} refreshes beside it, longest read {max(self.reads) * 1000:.1f} ms, "
            f"longest write {max(self.writes) * 1000:.1f} ms"
        )


def main() -> None:
    """Print seconds, rows a second, and the neighbour's waits. Raises RuntimeError if a value does not open."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=100_000)
    count = parser.parse_args().connections
    with running_demo() as demo:
        rows = _fill(count)
        with Neighbour(rows) as before:
            time.sleep(BASELINE_SECONDS)
        print(f"without a rotation, {BASELINE_SECONDS} s: {before.words()}")
        new = _add_key()
        with Neighbour(rows) as during:
            seconds = _rotate_twice(demo, new, count)
        print(f"rotation: {during.words()}")
        _verify(new, before.stored | during.stored)
        print(
            f"{count} connections, {2 * count} values: {seconds:.1f} s in all, killed once and started again; "
            f"{count / seconds:.0f} connections a second"
        )
    print(machine())


def _fill(count: int) -> list[Any]:
    """Insert connections with sealed token pairs, of no use at the local TikTok; return their keys."""
    from django.db import connection
    from django.utils import timezone

    from accounts.models import Workspace
    from connections.crypto import seal
    from connections.models import SocialConnection

    now = timezone.now()
    workspaces = [Workspace.objects.create(name=f"w{n}", slug=f"bench-{n}") for n in range(WORKSPACES)]
    keys = []
    for begin in range(0, count, 5000):
        batch = []
        for number in range(begin, min(begin + 5000, count)):
            row = SocialConnection(
                workspace=workspaces[number % WORKSPACES],
                provider="tiktok",
                provider_account_id=f"bench-{number}",
                access_expires_at=now + timedelta(hours=20),
                refresh_expires_at=now + timedelta(days=300),
                profile_fetched_at=now,
            )
            row.access_token = seal(row, "access_token", f"act.{number:060d}")
            row.refresh_token = seal(row, "refresh_token", f"rft.{number:060d}")
            batch.append(row)
        SocialConnection.objects.bulk_create(batch)
        keys += [row.pk for row in batch]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE social_connections")
    return keys


def _add_key() -> str:
    """Put a new key first, as an operator does before the rotation; return it."""
    from cryptography.fernet import Fernet
    from django.conf import settings

    new = Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, *settings.ENCRYPTION_KEYS]
    return new


def _rotate_twice(demo: Demo, new: str, count: int) -> float:
    """Kill the command when half of the access tokens are done, start it again; return the seconds of both."""
    from django.conf import settings

    env = os.environ | demo.environment | {"ENCRYPTION_KEYS": ",".join(settings.ENCRYPTION_KEYS)}
    command = [sys.executable, "manage.py", "rotate_encryption_keys"]
    started = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            if "access_token: " in line and _done(line) >= count // 2:
                print(f"killed at  {line.strip()}")
                process.kill()
                break
    again = subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True)
    seconds = time.monotonic() - started
    print("resumed at", next(line for line in again.stdout.splitlines() if "access_token: " in line))
    return seconds


def _done(line: str) -> int:
    return int(line.partition(": ")[2].split()[0])


def _verify(new: str, stored: dict[Any, str]) -> None:
    """Open every token with the new key alone, and compare those that were replaced meanwhile."""
    from django.conf import settings

    from connections.crypto import open_sealed
    from connections.models import SocialConnection

    settings.ENCRYPTION_KEYS = [new]
    for row in SocialConnection.objects.exclude(access_token="").iterator(chunk_size=2000):
        token = open_sealed(row, "access_token")
        open_sealed(row, "refresh_token")
        if row.pk in stored and token != stored[row.pk]:
            raise RuntimeError(f"connection {row.pk} lost a refreshed token")


if __name__ == "__main__":
    main()
