"""The embedded Postgres: real server programs from a wheel, a cluster of our own, loopback only.

The application's role is neither superuser nor exempt from row-level security, as on a server.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from stack import StackError, places
from stack.leash import Account, as_account, end, spawn
from stack.ports import LOOPBACK

SMALL = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "80",
    "shared_buffers": "32MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "16MB",
    "wal_buffers": "1MB",
    "max_wal_size": "128MB",
    "min_wal_size": "32MB",
    "max_worker_processes": "2",
    "max_parallel_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "huge_pages": "off",
    "io_method": "sync",  # the default starts three extra processes
    "autovacuum_max_workers": "1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_error_statement": "panic",  # a statement may hold what no log should
    "password_encryption": "scram-sha-256",
}
CARELESS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}  # for tests, which lose nothing
STOP_SIGNALS = (
    signal.SIGINT,
    signal.SIGQUIT,
)  # fast, then immediate: postgresql.org/docs/18/server-shutdown.html
ROLE = "broadside"


@dataclass(frozen=True)
class Cluster:
    """One Postgres data folder and the way to run it."""

    folder: Path
    programs: Path
    account: Account | None
    port: int
    superuser_password: str
    careless: bool = False

    @classmethod
    def at(cls, data_dir: Path, *, port: int, superuser_password: str, careless: bool = False) -> Cluster:
        """The cluster that belongs to `data_dir`; its surroundings are made if missing, nothing is started."""
        account = places.service_account()
        home = places.cluster_home(data_dir, account)
        programs = places.postgres_programs(home, account)
        return cls(home / "cluster", programs, account, port, superuser_password, careless)

    @property
    def exists(self) -> bool:
        """Whether the cluster was made before."""
        return self.folder.exists()

    @property
    def argv(self) -> list[str]:
        """The command line of the server. It holds no secret."""
        settings = SMALL | {"port": str(self.port)} | (CARELESS if self.careless else {})
        words = [f"--{name}={value}" for name, value in settings.items()]
        return [str(self.programs / "postgres"), "-D", str(self.folder), *words]

    def environment(self) -> dict[str, str]:
        """What the server's processes get to see: nothing of ours."""
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}

    def initialize(self) -> None:
        """Make the cluster, whole or not at all. Raises StackError with initdb's words if it cannot."""
        unfinished = self.folder.with_name("cluster.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        places.own_folder(unfinished, self.account)
        try:
            done = self._run_initdb(unfinished)
        except OSError as error:
            raise StackError(f"Postgres cannot be run: {error}. `make reset` may help.") from error
        if done.returncode != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise StackError(
                f"Postgres could not make its data folder {self.folder}:\n{done.stdout.decode().strip()}"
            )
        unfinished.rename(self.folder)

    def _run_initdb(self, folder: Path) -> subprocess.CompletedProcess[bytes]:
        argv = [self.programs / "initdb", "-D", folder, "-U", "postgres", "--encoding=UTF8", "--locale=C"]
        argv += [
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--auth=scram-sha-256",
            "--no-instructions",
        ]
        with places.note_for(self.account, folder.with_name("password"), self.superuser_password) as note:
            argv += [f"--pwfile={note}"] + (["--no-sync"] if self.careless else [])
            return subprocess.run(
                [str(word) for word in argv],
                env=self.environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
                **as_account(self.account),
            )

    def remove(self) -> None:
        """Delete the cluster and all that is in it."""
        shutil.rmtree(self.folder)

    def clear_leftovers(self) -> None:
        """End a server that outlived its runner, and remove the pid file of one that did not.

        To be called only by the holder of the data folder's lock.
        """
        pid_file = self.folder / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().splitlines()[0])
        except (FileNotFoundError, ValueError, IndexError):
            pid = 0
        with suppress(psutil.Error):
            process = psutil.Process(pid) if pid else None
            if process and process.name() == "postgres" and Path(process.cwd()) == self.folder.resolve():
                self._end_orphan(process)
        pid_file.unlink(missing_ok=True)

    def _end_orphan(self, process: psutil.Process) -> None:
        family = [process, *process.children(recursive=True)]
        for number in (*STOP_SIGNALS, signal.SIGKILL):
            process.send_signal(number)
            _, family = psutil.wait_procs(family, timeout=5)
            if not family:
                return

    def connect(self, dbname: str = "postgres") -> psycopg.Connection:
        """A connection as superuser, for set-up only."""
        return psycopg.connect(
            host=LOOPBACK,
            port=self.port,
            user="postgres",
            password=self.superuser_password,
            dbname=dbname,
            connect_timeout=5,
            autocommit=True,
        )

    def is_ready(self) -> bool:
        """Whether the server answers."""
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def ensure_role(self, password: str, *, may_create_databases: bool = False) -> None:
        """Make the application's role and its database, or set the role back to what it must be. Safe to repeat."""
        powers = "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOREPLICATION "
        powers += "CREATEDB" if may_create_databases else "NOCREATEDB"
        role = sql.Identifier(ROLE)
        with self.connect() as connection:
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone()
            verb = sql.SQL("ALTER ROLE {} " if known else "CREATE ROLE {} ").format(role)
            connection.execute(verb + sql.SQL(powers + " PASSWORD {}").format(sql.Literal(password)))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [ROLE]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))

    def url(self, password: str) -> str:
        """The DATABASE_URL of the application's role."""
        return f"postgres://{ROLE}:{password}@{LOOPBACK}:{self.port}/{ROLE}"

    def start(self, log: Path, *, seconds: float = 60) -> subprocess.Popen[bytes]:
        """Make the cluster if missing, start the server and wait until it answers (the demo has its supervisor)."""
        if self.exists:
            self.clear_leftovers()
        else:
            self.initialize()
        with log.open("ab") as output:
            process = spawn(
                self.argv,
                env=self.environment(),
                account=self.account,
                death_signal=signal.SIGINT,
                output=output,
            )
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                end(process, *STOP_SIGNALS)
                raise StackError(f"Postgres did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        return process
