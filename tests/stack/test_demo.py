"""`make demo`: up with one command, down without a trace, whatever ends it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import environ
import psycopg
import pytest
import requests

from stack import places
from stack.options import BASE_DIR
from stack.ports import listen
from tests.stack.conftest import RunningDemo, run_stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


def _database(demo: RunningDemo) -> psycopg.Connection:
    values = environ.Env()
    values.ENVIRON = dict(
        line.split("=", 1) for line in (demo.data_dir / "demo.env").read_text().splitlines()
    )
    return psycopg.connect(values.ENVIRON["DATABASE_URL"], autocommit=True)


def _cluster(demo: RunningDemo) -> Path:
    inside = demo.data_dir / "postgres"
    return (inside if inside.exists() else places.outside_home(demo.data_dir)) / "cluster"


def _modes(path: Path) -> dict[Path, int]:
    return {folder: stat.S_IMODE(folder.stat().st_mode) for folder in [path, *path.parents]}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A demo that the tests below look at and leave running, in a folder that only we can enter."""
    folder = tmp_path_factory.mktemp("running")
    modes = _modes(folder)
    demo = RunningDemo(folder / "data").wait_ready()
    yield demo
    left = demo.end(signal.SIGTERM)
    assert left == []
    assert demo.process.returncode == 0
    assert _modes(folder) == modes
    run_stack("reset", DATA_DIR=str(demo.data_dir))


def test_demo_comes_up_healthy_and_says_where(running):
    assert requests.get(f"{running.url}/readyz", timeout=10).json()["status"] == "ok"
    assert "@broadside.local" in running.output
    assert running.output.count("\nready ") == 1


def test_secrets_are_for_us_alone(running):
    for name in ("secrets.json", "demo.env", "redis/redis.conf"):
        assert stat.S_IMODE((running.data_dir / name).stat().st_mode) == 0o600
    for name in ("logs", "media", "sandbox", "redis"):
        assert stat.S_IMODE((running.data_dir / name).stat().st_mode) == 0o700


def test_database_asks_for_its_password(running):
    with _database(running) as database:
        port = database.info.port

    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host="127.0.0.1", port=port, user="broadside", password="wrong")


def test_nothing_listens_beyond_this_machine(running):
    addresses = {
        c.laddr.ip for p in running.family() for c in p.net_connections("inet") if c.status == "LISTEN"
    }

    assert addresses == {"127.0.0.1"}


def test_manage_py_in_another_terminal_works_on_the_running_demo(running):
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=BASE_DIR,
        env={name: value for name, value in running.env.items() if name != "ENV_FILE"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "Everything essential works" in done.stdout
    assert f"{running.url}/connections/tiktok/callback/" in done.stdout


def test_killed_worker_comes_back(running):
    running.child(" worker ").kill()

    assert "was ended by SIGKILL; starting it again" in running.wait_line("worker ")
    assert running.process.poll() is None


def test_data_folder_in_use_is_refused(running):
    for command in ("demo", "reset"):
        refused = run_stack(command, DATA_DIR=str(running.data_dir))

        assert refused.returncode == 1
        assert f"Another demo is using {running.data_dir}" in refused.stderr
        assert running.url in refused.stderr


def test_demo_in_another_folder_runs_beside_it(running, start_demo, tmp_path):
    other = start_demo().wait_ready()

    assert other.url != running.url
    assert requests.get(f"{running.url}/healthz", timeout=10).status_code == 200
    assert requests.get(f"{other.url}/readyz", timeout=10).status_code == 200


def test_second_start_reuses_the_data_and_reset_clears_it(start_demo):
    demo = start_demo(argv=["make", "demo"], PORT="", SANDBOX_PORT="").wait_ready()
    with _database(demo) as database:
        database.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    secrets = (demo.data_dir / "secrets.json").read_text()

    assert demo.end(signal.SIGTERM) == []
    assert "\nstopped\n" in demo.output
    assert not (demo.data_dir / "demo.env").exists()

    again = start_demo().wait_ready()
    with _database(again) as database:
        assert database.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert (demo.data_dir / "secrets.json").read_text() == secrets
    assert again.end(signal.SIGINT) == []
    assert again.output.endswith("\nstopped\n")
    assert again.process.returncode == 0

    assert run_stack("reset", DATA_DIR=str(demo.data_dir)).returncode == 0
    assert not demo.data_dir.exists()
    assert not places.outside_home(demo.data_dir).exists()


def test_killed_runner_leaves_no_process_and_the_next_start_recovers(start_demo):
    demo = start_demo().wait_ready()
    with _database(demo) as database:
        database.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    assert demo.end(signal.SIGKILL) == []

    cluster = _cluster(demo)
    (cluster / "postmaster.pid").write_text(
        f"{os.getpid()}\n{cluster}\n"
    )  # as after a crash: another's number now
    again = start_demo().wait_ready()
    with _database(again) as database:
        assert database.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_demo_ends_cleanly_when_told_so_while_starting(start_demo):
    demo = start_demo()
    demo.wait_line("Preparing the database")

    assert demo.end(signal.SIGTERM) == []
    assert demo.process.returncode == 0


@pytest.mark.parametrize("name", ["PORT", "SANDBOX_PORT"])
def test_taken_port_that_was_asked_for_is_named(tmp_path, name):
    with listen(0) as taken:
        port = taken.getsockname()[1]

        done = run_stack("demo", DATA_DIR=str(tmp_path / "data"), **{name: str(port)})

    assert done.returncode == 1
    assert f"Port {port}, asked for by {name}" in done.stderr
    run_stack("reset", DATA_DIR=str(tmp_path / "data"))


def test_parts_of_ones_own_replace_the_embedded_ones(start_demo, servers):
    demo = start_demo(
        DATABASE_URL=os.environ["DATABASE_URL"],
        REDIS_URL=servers.redis.url,
        TIKTOK_API_URL="http://127.0.0.1:9",
        TIKTOK_AUTHORIZE_URL="http://127.0.0.1:9/v2/auth/authorize/",
        TIKTOK_CLIENT_KEY="aw0000",
        TIKTOK_CLIENT_SECRET="hush",
    ).wait_ready()

    logs = {path.stem for path in (demo.data_dir / "logs").iterdir()}

    assert {"web", "worker", "beat"} <= logs
    assert not {"postgres", "redis", "sandbox"} & logs
    assert "http://127.0.0.1:9" in demo.output


def test_sandbox_is_given_addresses_that_the_product_has(running):
    words = running.child("-m sandbox").cmdline()
    given = [
        words[index + 1] for index, word in enumerate(words) if word in {"--redirect-uri", "--webhook-url"}
    ]

    statuses = {address: requests.post(address, timeout=10).status_code for address in given}

    assert len(given) == 5  # both callbacks by both of the machine's names, and the webhook
    assert 404 not in statuses.values()
    assert not [status for status in statuses.values() if status >= 500]
