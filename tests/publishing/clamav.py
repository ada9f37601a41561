"""A real clamd for tests, with a tiny signature base of its own; and servers that behave as none should."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stack.leash import Account, end, spawn
from stack.ports import hidden_port

MARK = b"BROADSIDE-TEST-MALWARE-7c1f"
"""What the test base knows as Broadside.Test.Pattern, wherever it stands in a file."""

STREAM_LIMIT = 3_000_000
MISSING = "clamd is not installed: apt install clamav-daemon"

_CONFIG = """\
LogFile {home}/clamd.log
DatabaseDirectory {home}/base
TemporaryDirectory {home}/tmp
TCPSocket {port}
TCPAddr 127.0.0.1
LocalSocket {home}/clamd.ctl
Foreground yes
StreamMaxLength {limit}
MaxFileSize 2000M
MaxScanSize 2000M
AlertExceedsMax yes
ReadTimeout 20
SelfCheck 0
"""


class Clamd:
    """One daemon: `start`, `stop`, `kill`, and where it listens."""

    def __init__(self, home: Path, *, limit: int = STREAM_LIMIT) -> None:
        self.home, self.port, self.limit = home, hidden_port(), limit
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("base", "tmp"):
            (home / name).mkdir(parents=True, exist_ok=True)
        (home / "base" / "test.ndb").write_text(f"Broadside.Test.Pattern:0:*:{MARK.hex()}\n")

    @property
    def url(self) -> str:
        """Where it listens, as CLAMAV_URL takes it."""
        return f"clamd://127.0.0.1:{self.port}"

    @property
    def unix_url(self) -> str:
        """The same over its Unix socket."""
        return f"clamd+unix://{self.home}/clamd.ctl"

    def know(self, content: bytes, name: str) -> None:
        """Add a signature of exactly this file (.hdb). Before `start`."""
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        (self.home / "base" / "test.hdb").write_text(f"{digest}:{len(content)}:{name}\n")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program = find_clamd()
        config = self.home / "clamd.conf"
        config.write_text(_CONFIG.format(home=self.home, port=self.port, limit=self.limit))
        self._process = spawn(
            [program, f"--config-file={config}"], env={"PATH": os.defpath}, account=_give_away(self.home)
        )
        for _ in range(600):
            if self._process.poll() is not None:
                break
            with socket.socket() as link:
                if link.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        self.stop()
        pytest.fail(f"clamd did not start: {(self.home / 'clamd.log').read_text()[-2000:]}")

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def stop(self) -> None:
        """End it. Safe to repeat."""
        if self._process is not None:
            end(self._process, signal.SIGTERM)
            self._process = None


def find_clamd() -> str:
    """Return the program; without it skip on a developer's machine, and fail where CI is set."""
    found = shutil.which("clamd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None and os.environ.get("CI"):
        pytest.fail(MISSING)
    if found is None:
        pytest.skip(MISSING)
    return found


def _give_away(home: Path) -> Account | None:
    """As root, let clamd run as nobody, who must be able to get at `home`."""
    account = Account.named("nobody") if os.geteuid() == 0 else None
    if account is not None:
        for path in (home, *home.rglob("*")):
            os.chown(path, account.uid, account.gid)
    return account


@contextmanager
def pretender(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that treats each connection as `behave` says; gives its address as CLAMAV_URL takes it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stopping = threading.Event()

        def serve() -> None:
            while not stopping.is_set():
                try:
                    link, _ = server.accept()
                except OSError:
                    return
                with link:
                    link.settimeout(20)
                    try:
                        behave(link)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"clamd://127.0.0.1:{server.getsockname()[1]}"
        finally:
            stopping.set()
            server.shutdown(socket.SHUT_RDWR)
    thread.join(25)


def drain(link: socket.socket) -> bytes:
    """Read a whole INSTREAM, and return it."""
    taken = b""
    while not taken.endswith(b"\0\0\0\0"):
        part = link.recv(65536)
        if not part:
            break
        taken += part
    return taken
