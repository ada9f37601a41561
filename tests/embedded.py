"""One Postgres and one Redis for a test session: places and passwords are chosen early, servers start when needed."""

from __future__ import annotations

import atexit
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet

from stack import places
from stack.leash import end
from stack.ports import hidden_port
from stack.postgres import STOP_SIGNALS, Cluster
from stack.redis_server import RedisServer

PREFIX = "broadside-test-"
MARK = "BROADSIDE_TEST_DIR"  # set for us and for the processes that a test starts


class Services:
    """The session's servers: `reserve` names them in the environment, `start` runs them, `stop` leaves nothing."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.gettempdir(), PREFIX + secrets.token_hex(8))
        self._lock: int | None = None
        self._processes: list[tuple[subprocess.Popen[bytes], tuple[int, ...]]] = []
        self._cluster: Cluster
        self.is_careless = True
        """Whether Postgres may forget what it committed when it is killed: quicker, and no test minds but chaos."""
        self.password = secrets.token_hex(16)
        self.port = hidden_port()
        self.redis = RedisServer(self.folder / "redis", hidden_port(), secrets.token_hex(16))

    @property
    def are_running(self) -> bool:
        """Whether `start` was called."""
        return bool(self._processes)

    def environment(self) -> dict[str, str]:
        """The settings that every test runs with."""
        return {
            MARK: str(self.folder),
            "ENV_FILE": os.devnull,
            "DEBUG": "0",
            "SECRET_KEY": secrets.token_hex(32),
            "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "BASE_URL": "http://testserver",
            "DATABASE_URL": f"postgres://broadside:{self.password}@127.0.0.1:{self.port}/broadside",
            "DB_CONN_MAX_AGE": "0",
            "REDIS_URL": self.redis.url,
            "MEDIA_ROOT": str(self.folder / "media"),
            "STATIC_ROOT": str(self.folder / "static"),
            "EMAIL_URL": "memorymail://",
            "TIKTOK_CLIENT_KEY": "sbtest0000000000",
            "TIKTOK_CLIENT_SECRET": "test-client-secret",
            "TIKTOK_REDIRECT_URI": "http://127.0.0.1:8000/connections/tiktok/callback/",
            "TIKTOK_AUTHORIZE_URL": "https://www.tiktok.com/v2/auth/authorize/",
            "TIKTOK_API_URL": "https://open.tiktokapis.com",
            "TIKTOK_PKCE": "auto",
        }

    def start(self) -> None:
        """Start both servers, once."""
        if self.are_running:
            return
        self.folder.mkdir()
        self.folder.chmod(0o711)  # Postgres may run as another account and has to pass through
        (self.folder / "static").mkdir()
        self._lock = _hold(self.folder)
        self._cluster = Cluster.at(
            self.folder, port=self.port, superuser_password=secrets.token_hex(16), careless=self.is_careless
        )
        self._start_postgres()
        self._cluster.ensure_role(self.password, may_create_databases=True)
        self._start_redis()

    def crash_postgres(self) -> None:
        """Stop it in its immediate mode, which loses what was not committed, and start it again."""
        process, _ = self._processes.pop(0)
        end(process, signal.SIGQUIT)
        self._start_postgres()

    def crash_redis(self) -> None:
        """Kill it, and start an empty one."""
        process, _ = self._processes.pop(1)
        end(process, signal.SIGKILL)
        self._start_redis()

    def _start_postgres(self) -> None:
        self._processes.insert(0, (self._cluster.start(self.folder / "postgres.log"), STOP_SIGNALS))

    def _start_redis(self) -> None:
        self._processes.insert(1, (self.redis.start(self.folder / "redis.log"), (signal.SIGTERM,)))

    def stop(self) -> None:
        """Stop what was started and remove every file. Safe to repeat."""
        while self._processes:
            process, signals = self._processes.pop()
            end(process, *signals)
        if self._lock is not None:
            places.remove_home(self.folder)
            shutil.rmtree(self.folder, ignore_errors=True)
            os.close(self._lock)
            self._lock = None


def _hold(folder: Path) -> int:
    """Lock `folder` for as long as we live, so that no other session takes it for left behind."""
    descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def sweep() -> None:
    """Remove the folders of sessions that were killed: those that nobody holds a lock on."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if folder.lstat().st_uid != os.geteuid():
                continue
            descriptor = os.open(folder / "lock", os.O_RDWR)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            places.remove_home(folder)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass
        finally:
            os.close(descriptor)


services: Services | None = None
OURS = ("S3_", "TIKTOK_", "SENTRY_", "CLAMAV_", "CELERY_", "ACCOUNT_", "SECURE_", "EMAIL_", "ENCRYPTION_")


def prepare_environment() -> None:
    """Put the test session's settings into the environment, and keep the developer's own out of it.

    A process that a test starts inherits them and finds nothing to do here.
    """
    global services  # one per process, made before Django reads its settings
    if MARK in os.environ:
        return
    sweep()
    services = Services()
    atexit.register(services.stop)
    for name in [
        name for name in os.environ if name.startswith(OURS) or name in {"ALLOWED_HOSTS", "DATA_DIR"}
    ]:
        del os.environ[name]
    os.environ.update(services.environment())
