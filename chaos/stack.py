"""The real stack: Postgres, Redis, the local TikTok behind a proxy, and as many workers and beats as one wants."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from django.db import close_old_connections

from chaos.proxy import Proxy
from stack.leash import end, spawn
from stack.ports import is_free
from tests import embedded
from tests.publishing.processes import ROOT, Process, beat, eventually, worker
from tests.sandbox.process import CLIENT_KEY, CLIENT_SECRET, SandboxProcess, free_port, start_sandbox

LEASE_S = 5
TIME_SCALE = 0.05
READ_TIMEOUT_S = 2.0
THREADS = 48
SLOTS = 40

QUICK: dict[str, str] = {
    "DELIVERY_LEASE_SECONDS": str(LEASE_S),
    "ENGINE_TIME_SCALE": str(TIME_SCALE),
    "TIKTOK_READ_TIMEOUT": str(READ_TIMEOUT_S),
    "TIKTOK_CHUNK_BYTES": "5000000",
    "UPLOAD_SLOTS": str(SLOTS),
}
"""Settings that make waits short and chunks small, so that hours of trouble take a minute."""

FREE: dict[str, Any] = {
    "audited": True,
    "posts_per_day": None,
    "pending_drafts": None,
    "active_users_audited": None,
    "keep_bodies": False,
    "rate_limits_on": False,
}
"""The local TikTok without its caps: the suite's own loads are no creator's day."""


class Door:
    """The web server from which files are fetched. A closed one takes connections and says nothing."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._group = process.pid

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Keep whoever fetches waiting."""
        os.killpg(self._group, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._group, signal.SIGCONT)


class Stack:
    """What a scenario works with. `env` is the environment of our processes; `folder` takes their logs."""

    def __init__(self, env: Mapping[str, str], folder: Path, tiktok: SandboxProcess) -> None:
        self.env = dict(env)
        self.folder = folder
        self.tiktok = tiktok
        self.proxy: Proxy | None = None
        self._serial = 0

    def worker(self, *, threads: int = THREADS, **env: str) -> Process:
        """Start a worker; `env` is added to its environment."""
        self._serial += 1
        return worker(self.env | env, self.folder, name=f"w{self._serial}", threads=threads)

    def beat(self) -> Process:
        """Start a beat, which is the dispatcher's clock."""
        self._serial += 1
        return beat(self.env, self.folder, name=f"beat{self._serial}")

    @contextmanager
    def web(self, **env: str) -> Iterator[str]:
        """Run a web server with one process; give its address."""
        port = free_port()
        with self._serve(port, env):
            yield f"http://127.0.0.1:{port}"

    @contextmanager
    def media_door(self, **settings: Any) -> Iterator[Door]:
        """Let the local TikTok fetch files from a web server of ours, for all processes that are started meanwhile.

        Sets the local TikTok back first, as `fresh` does.
        """
        port = free_port()
        prefix = f"http://127.0.0.1:{port}/media/pull/"
        self.fresh(pull_insecure=True, **settings)
        self.tiktok.control("POST", "/apps", {"client_key": CLIENT_KEY, "verified_prefixes": [prefix]})
        self.env["TIKTOK_PULL_URL_PREFIX"] = prefix
        try:
            with self._serve(port, {}) as process:
                yield Door(process)
        finally:
            del self.env["TIKTOK_PULL_URL_PREFIX"]

    @contextmanager
    def _serve(self, port: int, env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
        argv = [sys.executable, "-m", "gunicorn", "-w", "1", "--bind", f"127.0.0.1:{port}", "config.wsgi"]
        with (self.folder / "web.log").open("ab") as log:
            process = spawn(argv, env=self.env | dict(env), cwd=ROOT, output=log)
        try:
            eventually(lambda: not is_free(port), what="web")
            yield process
        finally:
            end(process, signal.SIGTERM)

    def crash_postgres(self) -> None:
        """Stop Postgres in its immediate mode and start it again; ours reconnects."""
        self._services.crash_postgres()
        close_old_connections()

    def crash_redis(self) -> None:
        """Kill Redis and start an empty one."""
        self._services.crash_redis()

    def flush_redis(self) -> None:
        """Wipe Redis: messages, windows and cache."""
        with redis.Redis.from_url(self.env["REDIS_URL"]) as client:
            client.flushall()

    @property
    def _services(self) -> embedded.Services:
        if embedded.services is None:
            raise RuntimeError("the servers belong to another process")
        return embedded.services

    def fresh(self, **settings: Any) -> None:
        """Set the local TikTok back, without caps and with `settings`."""
        self.tiktok.control("POST", "/reset")
        self.tiktok.settings(**FREE | settings)


@contextmanager
def own_stack(logs: Path | None = None) -> Iterator[Stack]:
    """Start servers of our own with an empty database, set up Django on them, and leave nothing behind but `logs`."""
    embedded.prepare_environment()
    services = embedded.services
    if services is None:
        raise RuntimeError("this process already belongs to a test session")
    services.is_careless = False
    with tempfile.TemporaryDirectory(prefix="broadside-chaos-") as name:
        folder = Path(name)
        with (
            start_sandbox(folder / "sandbox", settings={"keep_bodies": False}) as tiktok,
            Proxy(urlsplit(tiktok.url).port or 0) as proxy,
        ):
            os.environ.update(environment(proxy.url))
            try:
                services.start()
                _set_up_django()
                if logs is not None:
                    logs.mkdir(parents=True, exist_ok=True)
                stack = Stack(os.environ, logs or folder, tiktok)
                stack.proxy = proxy
                yield stack
            finally:
                services.stop()


def environment(tiktok_url: str) -> dict[str, str]:
    """The settings that point the product at a local TikTok and make it quick."""
    return {
        **QUICK,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "TIKTOK_CLIENT_KEY": CLIENT_KEY,
        "TIKTOK_CLIENT_SECRET": CLIENT_SECRET,
        "TIKTOK_API_URL": tiktok_url,
        "TIKTOK_AUTHORIZE_URL": f"{tiktok_url}/v2/auth/authorize/",
        "BASE_URL": "http://127.0.0.1:8000",
        "PYTHONUNBUFFERED": "1",
    }


def _set_up_django() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    logging.getLogger().setLevel(logging.WARNING)  # what the parts write is theirs to keep: --logs
    call_command("migrate", "--no-input", "-v0")
    from accounts.scopes import Scope, stand_in

    stand_in(Scope(system="chaos"))
