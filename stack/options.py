"""What the environment and `.env` ask of the demo: ports, the data folder, and parts of one's own instead of ours."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import environ

from stack import StackError
from stack.ports import LOOPBACK, listen

BASE_DIR = Path(__file__).resolve().parent.parent
OWN_MACHINE = frozenset({LOOPBACK, "localhost", "::1"})
WEB_PORT = 8000
SANDBOX_PORT = 8787
PORTS_TRIED = 100
PLACES = {"PORT", "SANDBOX_PORT", "DATA_DIR"}


@dataclass(frozen=True)
class Options:
    """The caller's environment, `.env` included, and what it means for the demo."""

    env: dict[str, str]

    @classmethod
    def read(cls) -> Options:
        """From this process's environment and `.env`; the environment wins. An empty choice of a place is none."""
        environ.Env.read_env(os.environ.get("ENV_FILE", str(BASE_DIR / ".env")))
        return cls({name: value for name, value in os.environ.items() if value.strip() or name not in PLACES})

    def refuse_public_site(self) -> None:
        """Raise StackError where BASE_URL names more than this machine.

        The demo would bring its database up to date and then add log-ins that everybody knows.
        """
        url = self.env.get("BASE_URL", "").strip()
        if url and urlsplit(url).hostname not in OWN_MACHINE:
            raise StackError(
                f"BASE_URL is {url}: make demo is for this machine alone, with log-ins that everybody knows. "
                "docs/operations.md tells how to start a site; to try the demo anyway: ENV_FILE=/dev/null make demo"
            )

    @property
    def data_dir(self) -> Path:
        """Where the demo keeps everything."""
        return (BASE_DIR / Path(self.env.get("DATA_DIR") or ".data").expanduser()).resolve()

    def has(self, name: str) -> bool:
        """Whether `name` is set to something."""
        return bool(self.env.get(name, "").strip())

    @property
    def needs_sandbox(self) -> bool:
        """Whether our local TikTok stands in: neither another server nor credentials for the real one are given."""
        return not (self.has("TIKTOK_API_URL") or self.has("TIKTOK_CLIENT_KEY"))

    def port(self, name: str) -> int | None:
        """The port asked for by the variable `name`, or None. Raises StackError when it is no port."""
        if not self.has(name):
            return None
        text = self.env[name].strip()
        if not text.isdecimal() or not 1 <= int(text) <= 65535:
            raise StackError(f"{name} is {text!r}; it must be a number from 1 to 65535.")
        return int(text)

    def web_socket(self) -> socket.socket:
        """The listening socket of the pages: on PORT, or on the first free port from 8000. Raises StackError."""
        return self._socket("PORT", WEB_PORT)

    def sandbox_socket(self) -> socket.socket:
        """The local TikTok's: on SANDBOX_PORT, or on the first free port from 8787. Raises StackError."""
        return self._socket("SANDBOX_PORT", SANDBOX_PORT)

    def _socket(self, name: str, first: int) -> socket.socket:
        """Choosing and taking are one step, so that two demos that start at once never choose the same port."""
        asked = self.port(name)
        for port in [asked] if asked else range(first, first + PORTS_TRIED):
            try:
                return listen(port)
            except OSError as error:
                reason = error.strerror
        if asked:
            raise StackError(f"Port {asked}, asked for by {name}, cannot be used: {reason}. Choose another.")
        raise StackError(f"No free port from {first} on. Choose one: make demo {name}=…")
