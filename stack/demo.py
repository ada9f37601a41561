"""`make demo`: everything on one machine, started in order, watched, and stopped together."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from stack import StackError, keys
from stack.console import Console
from stack.data_dir import DataDir
from stack.options import BASE_DIR, Options
from stack.ports import LOOPBACK, hidden_port
from stack.postgres import STOP_SIGNALS, Cluster
from stack.redis_server import RedisServer
from stack.supervisor import Program, StopRequested, Supervisor

SANDBOX_KEY = "sbdemo0000000000"
SANDBOX_SECRET = "sandbox-demo-secret"  # noqa: S105 - of our own local TikTok, the same everywhere
CALLBACK = "/connections/tiktok/callback/"
SIGN_IN_CALLBACK = "/accounts/tiktok/callback/"  # with TIKTOK_SIGN_IN=1
WEBHOOK = "/webhooks/tiktok/"
PULL = "/media/pull/"
QUEUES = "default,uploads,polls"
UPLOAD_THREADS = 24
# As in config/heartbeat.py, which brings Django and Celery along: 20 MB for as long as the demo runs.
WORKERS_KEY = "broadside:heartbeat:workers"
BEAT_KEY = "broadside:heartbeat:beat"
STALE_SECONDS = 30


def run_demo(console: Console | None = None) -> int:
    """Bring everything up, stay until told to stop, leave nothing running. Returns the exit status."""
    console = console or Console()
    options = Options.read()
    try:
        options.refuse_public_site()
        web_socket = options.web_socket()
        sandbox_socket = options.sandbox_socket() if options.needs_sandbox else None
        data = DataDir(options.data_dir)
    except StackError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    data.describe(f"process {os.getpid()}, {_url(web_socket)}")
    try:
        with Supervisor(console, data.folder("logs")) as supervisor:
            Demo(options, data, supervisor, web_socket, sandbox_socket).bring_up()
            supervisor.run_until_stopped()
    except StopRequested:
        pass
    except StackError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    finally:
        (data.path / "demo.env").unlink(missing_ok=True)
        data.release()
    console.say("stopped")
    return 0


class Demo:
    """The order in which things start, and the environment that each gets."""

    def __init__(
        self,
        options: Options,
        data: DataDir,
        supervisor: Supervisor,
        web_socket: socket.socket,
        sandbox_socket: socket.socket | None,
    ) -> None:
        self.options = options
        self.data = data
        self.supervisor = supervisor
        self.console = supervisor.console
        self.web_socket = web_socket
        self.sandbox_socket = sandbox_socket
        self.url = _url(web_socket)
        self.secrets, self.is_new = keys.load_or_make(data.path)
        self.env = options.env | self._base_environment()
        self.sandbox_url = ""

    def bring_up(self) -> None:
        """Start everything and print the addresses. Raises StackError with the cause, StopRequested."""
        self.console.say("Starting Postgres and Redis …")
        self._start_servers()
        if self.sandbox_socket is not None:
            self._start_sandbox(self.sandbox_socket)
        self._publish_environment()
        self.console.say("Preparing the database …")
        self._manage(migrate=["--no-input", "-v0"], collectstatic=["--no-input", "-v0"])
        logins = self._manage(load_demo=[])["load_demo"]
        self.console.say("Starting web, worker and beat …")
        self._start_product()
        self._announce(logins)

    # --- servers ------------------------------------------------------------------------------------------------------

    def _start_servers(self) -> None:
        starting = []
        if not self.options.has("REDIS_URL"):
            starting.append(self._start_redis())
        cluster = None
        if not self.options.has("DATABASE_URL"):
            cluster = self._start_postgres()
            starting.append("postgres")
        self.supervisor.wait_ready(*starting)
        if cluster is not None:
            cluster.ensure_role(self.secrets["POSTGRES_PASSWORD"])
            self.env["DATABASE_URL"] = cluster.url(self.secrets["POSTGRES_PASSWORD"])

    def _start_redis(self) -> str:
        server = RedisServer(self.data.path / "redis", hidden_port(), self.secrets["REDIS_PASSWORD"])
        server.configure()
        self.env["REDIS_URL"] = server.url
        self.supervisor.start(
            Program("redis", server.argv, {"PATH": "/usr/bin:/bin"}, server.is_ready, cwd=server.folder)
        )
        return "redis"

    def _start_postgres(self) -> Cluster:
        cluster = Cluster.at(
            self.data.path,
            port=hidden_port(),
            superuser_password=self.secrets["POSTGRES_SUPERUSER_PASSWORD"],
        )
        self._settle_cluster(cluster)
        self.supervisor.start(
            Program(
                "postgres",
                cluster.argv,
                cluster.environment(),
                cluster.is_ready,
                account=cluster.account,
                stop_signals=STOP_SIGNALS,
                death_signal=signal.SIGINT,
            )
        )
        return cluster

    def _settle_cluster(self, cluster: Cluster) -> None:
        if cluster.exists:
            cluster.clear_leftovers()
        if cluster.exists and self.is_new:
            # It lies outside the data folder, whose keys are gone: nothing could open what it holds.
            self.console.say(f"Clearing {cluster.folder}: its data folder was removed.")
            cluster.remove()
        if not cluster.exists:
            if not self.is_new:
                self.console.say("No database was found in this data folder; starting with an empty one.")
            cluster.initialize()

    def _start_sandbox(self, listening: socket.socket) -> None:
        self.sandbox_url = _url(listening)
        local = self.url.replace(LOOPBACK, "localhost")
        handle = listening.fileno()
        argv = [sys.executable, "-m", "sandbox", "--fd", str(handle), "--profile", "demo"]
        argv += ["--data-dir", str(self.data.folder("sandbox"))]
        argv += ["--client-key", SANDBOX_KEY, "--client-secret", SANDBOX_SECRET]
        for place in (self.url, local):
            argv += ["--redirect-uri", place + CALLBACK, "--redirect-uri", place + SIGN_IN_CALLBACK]
        argv += ["--webhook-url", self.url + WEBHOOK, "--verified-prefix", self.url + PULL]
        self.env |= {
            "TIKTOK_CLIENT_KEY": SANDBOX_KEY,
            "TIKTOK_CLIENT_SECRET": SANDBOX_SECRET,
            "TIKTOK_AUTHORIZE_URL": f"{self.sandbox_url}/v2/auth/authorize/",
            "TIKTOK_API_URL": self.sandbox_url,
            "TIKTOK_UPLOAD_HOSTS": "",
            "TIKTOK_PULL_URL_PREFIX": self.url + PULL,  # for photos, which cannot be sent
            "TIKTOK_PULL_VIDEOS": "0",
        }
        self._start("sandbox", argv, _answers(self.sandbox_url + "/"), pass_fds=[handle])

    # --- the product --------------------------------------------------------------------------------------------------

    def _base_environment(self) -> dict[str, str]:
        chosen = {
            "DEBUG": "0",
            "BASE_URL": self.url,
            "SECRET_KEY": self.secrets["SECRET_KEY"],
            "MEDIA_ROOT": str(self.data.folder("media")),
        }
        given = self.options
        ours = {name: value for name, value in chosen.items() if not given.has(name)}
        if not given.has("ENCRYPTION_KEYS") and not given.has("ENCRYPTION_KEY"):
            ours["ENCRYPTION_KEYS"] = self.secrets["ENCRYPTION_KEYS"]
        static = str(self.data.folder("static"))
        return ours | {"STATIC_ROOT": static, "ENV_FILE": os.devnull, "PYTHONUNBUFFERED": "1"}

    def _publish_environment(self) -> None:
        """Leave the settings for `manage.py` in another terminal. They hold secrets: for us alone."""
        ours = {name: value for name, value in self.env.items() if os.environ.get(name) != value}
        lines = [f"{name}={value}\n" for name, value in sorted(ours.items()) if name != "ENV_FILE"]
        keys.write_private(self.data.path / "demo.env", "".join(lines))

    def _manage(self, **commands: list[str]) -> dict[str, str]:
        argvs = {name: [sys.executable, "manage.py", name, *words] for name, words in commands.items()}
        quiet = self.env | {"LOG_LEVEL": "WARNING"}  # what they print is shown
        return self.supervisor.run(argvs, env=quiet, cwd=BASE_DIR)

    def _start_product(self) -> None:
        celery = [sys.executable, "-m", "celery", "-A", "config"]
        worker = ["worker", "-P", "threads", "-c", str(UPLOAD_THREADS), "-Q", QUEUES, "-n", "demo@%h"]
        worker += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        schedule = str(self.data.folder("beat") / "schedule")
        handle = self.web_socket.fileno()
        web = [
            sys.executable,
            "-m",
            "gunicorn",
            "-c",
            "python:stack.gunicorn",
            "--bind",
            f"fd://{handle}",
            "config.wsgi",
        ]
        self._start("web", web, _answers(self.url + "/readyz"), pass_fds=[handle])
        self._start("worker", celery + worker, self._worker_lives)
        self._start("beat", [*celery, "beat", "-s", schedule, "--pidfile="], self._beat_lives)
        self.supervisor.wait_ready("web", "worker", "beat", "sandbox")

    def _start(
        self, name: str, argv: list[str], is_ready: Callable[[], bool], pass_fds: list[int] | None = None
    ) -> None:
        self.supervisor.start(Program(name, argv, self.env, is_ready, cwd=BASE_DIR, pass_fds=pass_fds or []))

    def _worker_lives(self) -> bool:
        return self._has_fresh_sign(_last_sign_of_a_worker)

    def _beat_lives(self) -> bool:
        return self._has_fresh_sign(lambda client: client.get(BEAT_KEY))

    def _has_fresh_sign(self, read: Callable[[redis.Redis], Any]) -> bool:
        """Whether the time that `read` finds, if any, is fresh by the clock of Redis."""
        try:
            with redis.Redis.from_url(self.env["REDIS_URL"], socket_timeout=3) as client:
                seen, now = read(client), client.time()[0]
        except redis.RedisError:
            return False
        return seen is not None and now - float(seen) < STALE_SECONDS

    # --- words --------------------------------------------------------------------------------------------------------

    def _announce(self, logins: str) -> None:
        say = self.console.say
        say()
        say(f"Broadside      {self.url}")
        if self.sandbox_url:
            say(f"Local TikTok   {self.sandbox_url}")
        else:
            say(f"TikTok         {self.env.get('TIKTOK_API_URL') or 'https://open.tiktokapis.com'}")
        say(f"Data and logs  {_short(self.data.path)}")
        say()
        for line in logins.strip().splitlines():
            say(line)
        say()
        say("Ctrl-C stops everything. `make reset` clears the data.")
        say(f"ready {self.url}")


def _last_sign_of_a_worker(client: redis.Redis) -> float | None:
    rows: Any = client.zrevrange(WORKERS_KEY, 0, 0, withscores=True)
    return float(rows[0][1]) if rows else None


def _url(listening: socket.socket) -> str:
    return f"http://{LOOPBACK}:{listening.getsockname()[1]}"


def _answers(url: str) -> Callable[[], bool]:
    """A probe: does `url` answer with success?"""

    def probe() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own http address
                return bool(answer.status == 200)
        except (urllib.error.URLError, http.client.HTTPException, OSError):
            return False

    return probe


def _short(path: Path) -> str:
    try:
        return f"{path.relative_to(BASE_DIR)}/"
    except ValueError:
        return f"{path}/"


def reset(console: Console | None = None) -> int:
    """Delete the demo's data. Returns the exit status."""
    console = console or Console()
    path = Options.read().data_dir
    if not path.exists():
        console.say(f"Nothing to clear: there is no {_short(path)}")
        return 0
    try:
        data = DataDir(path)
        _end_leftovers(data)
        data.remove()
    except StackError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    console.say(f"Cleared {_short(path)}")
    return 0


def _end_leftovers(data: DataDir) -> None:
    cluster = Cluster.at(data.path, port=0, superuser_password="")
    if cluster.exists:
        cluster.clear_leftovers()
