"""The small parts of the runner."""

import errno
import io
import os
import shutil
import stat
import subprocess
import sys

import pytest
import redis

from config import heartbeat
from stack import StackError, data_dir, demo, keys, options, places
from stack.console import Console, Log
from stack.data_dir import DataDir
from stack.leash import Account, as_account, end
from stack.options import Options
from stack.ports import hidden_port, is_free, listen
from stack.redis_server import RedisServer

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another account")


# --- ports and options


def test_default_port_that_is_taken_is_stepped_over(monkeypatch):
    with listen(0) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(options, "WEB_PORT", port)
        with Options({}).web_socket() as found:
            assert port < found.getsockname()[1] < port + options.PORTS_TRIED


def test_default_sandbox_port_that_is_taken_is_stepped_over(monkeypatch):
    with listen(0) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(options, "SANDBOX_PORT", port)
        with Options({}).sandbox_socket() as found:
            assert port < found.getsockname()[1] < port + options.PORTS_TRIED


@pytest.mark.parametrize("choose", [Options.web_socket, Options.sandbox_socket])
def test_two_demos_that_choose_before_either_starts_get_different_ports(choose):
    with choose(Options({})) as one, choose(Options({})) as other:
        assert one.getsockname() != other.getsockname()


def test_hidden_port_is_kept_from_other_processes_and_left_to_its_server():
    port = hidden_port()
    look = (
        "import random, sys; random.randint = lambda *_: next(ports); ports = iter(map(int, sys.argv[1:]))\n"
    )
    look += "from stack.ports import hidden_port; print(hidden_port())"
    other = hidden_port()
    free = other + 1 if is_free(other + 1) else other + 2

    found = subprocess.run(
        [sys.executable, "-c", look, *map(str, (port, other, free))],
        cwd=options.BASE_DIR,
        check=True,
        capture_output=True,
        text=True,
    )

    assert int(found.stdout) == free
    listen(port).close()
    listen(port).close()  # a server that is started again


def test_port_asked_for_is_used():
    with listen(0) as free:
        port = free.getsockname()[1]

    with Options({"PORT": str(port)}).web_socket() as found:
        assert found.getsockname() == ("127.0.0.1", port)
        assert not is_free(port)


@pytest.mark.parametrize("text", ["abc", "0", "65536", "-1", "80.5", "²"])
def test_port_that_is_none_is_refused(text):
    with pytest.raises(StackError, match="must be a number from 1 to 65535"):
        Options({"PORT": text}).port("PORT")


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, True),
        ({"TIKTOK_CLIENT_KEY": "", "TIKTOK_API_URL": " "}, True),
        ({"TIKTOK_PKCE": "on"}, True),
        ({"TIKTOK_API_URL": "http://127.0.0.1:9"}, False),
        ({"TIKTOK_CLIENT_KEY": "aw0000"}, False),
    ],
)
def test_sandbox_stands_in_unless_another_tiktok_is_given(env, expected):
    assert Options(env).needs_sandbox is expected


@pytest.mark.parametrize("url", ["https://posts.example.com", "http://192.168.1.4:8000", "posts.example.com"])
def test_demo_is_refused_where_others_could_log_in_and_touches_nothing(tmp_path, monkeypatch, capsys, url):
    env_file = tmp_path / "env"
    env_file.write_text(f"BASE_URL={url}\n")
    monkeypatch.delenv("BASE_URL", raising=False)
    monkeypatch.setenv("ENV_FILE", str(env_file))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))

    assert demo.run_demo() == 1

    assert f"BASE_URL is {url}: make demo is for this machine alone" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9000", "http://localhost", "http://[::1]:8000"])
def test_demo_runs_under_any_name_of_this_machine(url):
    Options({"BASE_URL": url}).refuse_public_site()


# --- the data folder


def test_secrets_are_made_once_and_for_us_alone(tmp_path):
    made, is_new = keys.load_or_make(tmp_path)
    again, is_new_again = keys.load_or_make(tmp_path)

    assert (is_new, is_new_again) == (True, False)
    assert made == again
    assert stat.S_IMODE((tmp_path / keys.FILE).stat().st_mode) == 0o600


def test_damaged_secrets_are_named_not_replaced(tmp_path):
    (tmp_path / keys.FILE).write_text("{half")

    with pytest.raises(StackError, match="is damaged"):
        keys.load_or_make(tmp_path)
    assert (tmp_path / keys.FILE).read_text() == "{half"


def test_reset_leaves_what_is_not_ours(tmp_path):
    (tmp_path / "holiday.mp4").touch()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "web.log").touch()

    DataDir(tmp_path).remove()

    assert [path.name for path in tmp_path.iterdir()] == ["holiday.mp4"]


def test_existing_data_folder_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o750)

    DataDir(tmp_path).release()

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


def test_data_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "data").touch()

    with pytest.raises(StackError, match="not a folder"):
        DataDir(tmp_path / "data")


@pytest.mark.parametrize(
    ("place", "name", "how"), [(data_dir.Path, "mkdir", "made"), (data_dir.os, "open", "written")]
)
def test_data_folder_that_cannot_be_used_is_named_with_the_way_out(tmp_path, monkeypatch, place, name, how):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(place, name, refuse)

    with pytest.raises(StackError, match=f"cannot be {how}: Read-only file system.*make demo DATA_DIR="):
        DataDir(tmp_path / "data")


def test_lock_ends_with_its_holder(tmp_path):
    first = DataDir(tmp_path)
    first.describe("process 1")
    with pytest.raises(StackError, match="Another demo is using"):
        DataDir(tmp_path)
    first.release()

    DataDir(tmp_path).release()


# --- Redis


def test_redis_runs_in_a_folder_with_a_space_in_its_name(tmp_path):
    server = RedisServer(tmp_path / "my demo", hidden_port(), "hush")

    process = server.start(tmp_path / "redis.log")

    try:
        with redis.Redis.from_url(server.url) as client:
            assert client.config_get("dir")["dir"] == str(server.folder)
    finally:
        end(process)


# --- signs of life


def test_runner_looks_for_signs_of_life_where_they_are_written():
    written = (heartbeat.WORKERS, heartbeat.BEAT, heartbeat.STALE_SECONDS)

    assert written == (demo.WORKERS_KEY, demo.BEAT_KEY, demo.STALE_SECONDS)


# --- places


@as_root
def test_cluster_goes_outside_a_folder_that_its_account_cannot_enter(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    data_dir = closed / "data"
    data_dir.mkdir(mode=0o711)

    home = places.cluster_home(data_dir, places.service_account())

    assert home == places.outside_home(data_dir)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    places.remove_home(data_dir)
    assert not home.exists()


@as_root
def test_place_of_another_account_is_refused_and_left_alone(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    home = places.outside_home(closed)
    home.mkdir()
    nobody = Account.named("nobody")
    os.chown(home, nobody.uid, nobody.gid)

    with pytest.raises(StackError, match="not a folder of yours"):
        places.cluster_home(closed, nobody)
    places.remove_home(closed)

    assert home.exists()
    home.rmdir()


@as_root
def test_programs_are_copied_where_the_account_cannot_reach_them(monkeypatch):
    account = places.service_account()
    home = places.OPEN_PLACE / f"broadside-test-{os.getpid()}"
    home.mkdir(mode=0o711)
    monkeypatch.setattr(places, "can_pass", lambda path, account: False)

    folder = places.postgres_programs(home, account)

    try:
        assert folder.is_relative_to(home)
        for program in ("postgres", "initdb"):
            done = subprocess.run(
                [folder / program, "--version"],
                capture_output=True,
                text=True,
                cwd="/",
                check=False,
                **as_account(account),
            )
            assert "(PostgreSQL) 18" in done.stdout, done.stderr
    finally:
        shutil.rmtree(home)


# --- what is shown


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("web", "2026-01-01 10:00:00,123 INFO app fine\n", []),
        (
            "web",
            "2026-01-01 10:00:00,123 WARNING app careful\n",
            ["2026-01-01 10:00:00,123 WARNING app careful"],
        ),
        (
            "web",
            "2026-01-01 10:00:00,1 ERROR app x\nTraceback (most recent call last):\n  File\nV: 1\n"
            "2026-01-01 10:00:00,1 INFO b\n",
            ["2026-01-01 10:00:00,1 ERROR app x", "Traceback (most recent call last):", "  File", "V: 1"],
        ),
        ("postgres", "2026-01-01 10:00:00.1 UTC [7] ERROR:  duplicate key\n", []),
        ("postgres", "2026-01-01 10:00:00.1 UTC [7] LOG:  started\n", []),
        (
            "postgres",
            "2026-01-01 10:00:00.1 UTC [7] PANIC:  disk\n",
            ["2026-01-01 10:00:00.1 UTC [7] PANIC:  disk"],
        ),
        ("web", f'Content-Type: text/plain; charset="utf-8"\nSubject: Hi\n\n{"-" * 79}\nquiet\n', 3),
        ("web", "2026-01-01 10:00:00,1 WARNING half a li", []),
    ],
)
def test_log_shows_warnings_and_mail_and_stores_all(tmp_path, name, text, shown):
    log = Log(tmp_path / f"{name}.log")

    found = log.feed(text.encode())
    log.close()

    assert (len(found) if isinstance(shown, int) else found) == shown
    assert log.path.read_text() == text


def test_line_that_comes_in_pieces_is_shown_whole(tmp_path):
    log = Log(tmp_path / "web.log")

    assert log.feed("2026-01-01 10:00:00,1 WARNING caf\u00e9".encode()[:-1]) == []
    assert log.feed(b"\xa9!\n") == ["2026-01-01 10:00:00,1 WARNING caf\u00e9!"]
    log.close()


def test_console_is_plain_in_a_pipe_and_coloured_on_a_terminal():
    plain, terminal = io.StringIO(), io.StringIO()
    terminal.isatty = lambda: True

    Console(plain).relay("web", "hello")
    Console(terminal).relay("web", "hello")

    assert plain.getvalue() == "web      hello\n"
    assert terminal.getvalue() == "\x1b[32mweb     \x1b[0m hello\n"
