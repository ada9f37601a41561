"""Two tenants at once over few connections: no row of one is ever in an answer to the other."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from django.db import connection, connections
from django.test import Client

from publishing.models import Post
from stack.leash import end, spawn
from stack.ports import hidden_port

REQUESTS = 1_000
AT_ONCE = 16
SERVER_CONNECTIONS = 4
SECRETS = {"acme": "the caption of acme", "rival": "the caption of rival"}


@pytest.fixture
def pooled(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lead the connections of new threads through a real pgbouncer that gives a server away after each transaction."""
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("pgbouncer is missing; .ci/run installs it")
        pytest.skip("needs the Debian package pgbouncer")
    database, port = connection.settings_dict, hidden_port()
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as home:
        os.chmod(home, 0o755)  # noqa: S103 - started as root it runs as another account
        Path(home, "users").write_text(f'"{database["USER"]}" "{database["PASSWORD"]}"\n')
        Path(home, "ini").write_text(
            f"[databases]\n* = host={database['HOST']} port={database['PORT']}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {home}/users\n"
            f"pool_mode = transaction\ndefault_pool_size = {SERVER_CONNECTIONS}\nmax_client_conn = 100\n"
        )
        account = ["-u", "nobody"] if os.geteuid() == 0 else []
        with Path(home, "log").open("ab") as log:
            process = spawn(
                [program, *account, f"{home}/ini"], env=dict(os.environ), cwd=Path(home), output=log
            )
        try:
            _await(port, process)
            monkeypatch.setitem(connections.settings["default"], "PORT", port)
            yield
        finally:
            end(process)


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    ends_at = time.monotonic() + 10
    while time.monotonic() < ends_at and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail("pgbouncer does not listen")


@pytest.fixture
def cookies(transactional_db, make_delivery, acme, rival, alice, mallory):
    """A session of each workspace's owner; each workspace has a post with a caption of its own."""
    for workspace, person in ((acme, alice), (rival, mallory)):
        delivery = make_delivery(workspace, wake_at=None)
        Post.objects.filter(pk=delivery.post_id).update(caption=SECRETS[workspace.slug], created_by=person)
    found = {}
    for slug, person in (("acme", alice), ("rival", mallory)):
        client = Client()
        client.force_login(person)
        found[slug] = client.cookies
    return found


def ask(cookies: dict, number: int) -> str:
    """One request of one of the two, mostly for the own page, sometimes for the other's; say what is wrong with it."""
    mine, other = ("acme", "rival") if number % 2 else ("rival", "acme")
    client = Client()
    client.cookies = cookies[mine]
    if number % 5 == 0:
        answer = client.get(f"/w/{other}/posts/")
        expected = (404, False)
    else:
        answer = client.get(f"/w/{mine}/posts/")
        expected = (200, True)
    words = answer.content.decode()
    if SECRETS[other] in words:
        return f"{mine} read what is of {other}"
    return (
        "" if (answer.status_code, SECRETS[mine] in words) == expected else f"{mine} got {answer.status_code}"
    )


def in_a_thread(cookies: dict, number: int) -> str:
    """The same; the thread's connection to the database stays open for the next request, whoever's it is."""
    try:
        return ask(cookies, number)
    except psycopg.Error as error:
        return type(error).__name__


def ask_all(cookies: dict) -> Counter[str]:
    """Send all requests and count what was wrong, by its words."""
    together = threading.Barrier(AT_ONCE)

    def close(_: int) -> None:
        together.wait(30)  # so that each thread gets one
        connections.close_all()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = Counter(pool.map(lambda number: in_a_thread(cookies, number), range(REQUESTS)))
        list(pool.map(close, range(AT_ONCE)))
    return found


@pytest.mark.timeout(240)
def test_no_row_crosses_over_connections_that_are_kept(cookies):
    assert ask_all(cookies) == {"": REQUESTS}


@pytest.mark.timeout(240)
def test_no_row_crosses_behind_a_proxy_that_pools_transactions(cookies, pooled):
    assert ask_all(cookies) == {"": REQUESTS}
    with psycopg.connect(**_through_the_proxy(), autocommit=True) as one:
        assert one.execute("SELECT coalesce(current_setting('app.scope', true), '')").fetchone() == ("",)


def _through_the_proxy() -> dict[str, object]:
    database = connections.settings["default"]
    return {
        "host": database["HOST"],
        "port": database["PORT"],
        "user": database["USER"],
        "password": database["PASSWORD"],
        "dbname": connection.settings_dict["NAME"],
        "prepare_threshold": None,
    }
