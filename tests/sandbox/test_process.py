"""The process: what it keeps, what it needs, how it starts and ends."""

from __future__ import annotations

import hashlib
import socket
import sqlite3
import subprocess
import sys
import time

import psutil
import pytest
import requests

from sandbox.seed import seed_creators
from sandbox.store import Store
from tests.sandbox.client import MIN_CHUNK, ApiClient, chunked, code_of, connect, refresh
from tests.sandbox.process import ROOT, free_port, start_sandbox
from tests.sandbox.receivers import eventually

CHUNK = 25_000_000


def test_state_outlives_a_restart(tmp_path):
    file = b"r" * (2 * MIN_CHUNK)
    with start_sandbox(tmp_path, settings={"audited": True}) as first:
        first.settings(moderation_seconds=60)
        token = connect(first)
        client = ApiClient(first)
        published = client.publish(privacy_level="PUBLIC_TO_EVERYONE", title="kept")
        half = client.init(source=chunked(len(file), MIN_CHUNK, 2)).json()["data"]
        client.put(half["upload_url"], file[:MIN_CHUNK], 0, len(file))
        client.close()
        port = int(first.url.rsplit(":", 1)[1])

    with start_sandbox(tmp_path, port=port, settings={"audited": True}) as second:
        client.sandbox = second
        before = client.status(published)
        second.settings(clock_offset=61)
        after = client.status(published)
        refreshed = refresh(second, token["refresh_token"])
        end = client.put(half["upload_url"], file[MIN_CHUNK:], MIN_CHUNK, len(file))
        posts = second.posts()
        client.close()

    assert before["status"] == "PUBLISH_COMPLETE"
    assert "publicaly_available_post_id" not in before
    assert len(after["publicaly_available_post_id"]) == 1
    assert "access_token" in refreshed.json()
    assert end.status_code == 201
    assert [post["sha256"] for post in posts] == [
        hashlib.sha256(b"v" * 1000).hexdigest(),
        hashlib.sha256(file).hexdigest(),
    ]


def test_state_outlives_a_kill(tmp_path):
    with start_sandbox(tmp_path) as first:
        client = ApiClient(first, "demo.private")
        publish_id = client.publish()
        deadline = time.monotonic() + 5
        while not _is_on_disk(tmp_path, publish_id) and time.monotonic() < deadline:
            time.sleep(0.02)
        first.stop(kill=True)
        client.close()

    with start_sandbox(tmp_path) as second:
        assert [post["publish_id"] for post in second.posts()] == [publish_id]


def test_events_that_were_due_while_it_was_down_are_sent_after_the_start(tmp_path, receiver):
    hook_url = f"{receiver.url}/hooks/"
    with start_sandbox(
        tmp_path, webhook_url=hook_url, settings={"audited": True, "moderation_seconds": 60}
    ) as first:
        client = ApiClient(first)
        client.publish(privacy_level="PUBLIC_TO_EVERYONE")
        before = receiver.next()
        client.close()

    with start_sandbox(tmp_path, webhook_url=hook_url, settings={"audited": True, "clock_offset": 61}):
        after = receiver.next()

    assert b"post.publish.complete" in before.body
    assert b"post.publish.publicly_available" in after.body


def test_last_change_is_written_when_the_store_closes(tmp_path):
    store = Store(tmp_path / "sandbox.sqlite3")
    store.save(seed_creators()[0])
    store.close()

    again = Store(tmp_path / "sandbox.sqlite3")
    rows = [(kind, key) for kind, key, _ in again.load()]
    again.close()

    assert rows == [("creator", "demo.public")]


def _is_on_disk(data_dir, publish_id):
    with sqlite3.connect(data_dir / "sandbox.sqlite3") as db:
        rows = db.execute("SELECT body FROM records WHERE kind = 'post'").fetchall()
    db.close()
    return any(publish_id in body for (body,) in rows)


def test_tokens_are_not_kept_in_the_clear(tmp_path):
    with start_sandbox(tmp_path) as sandbox:
        token = connect(sandbox)
        log = sandbox.control("GET", "/requests")
        page = requests.get(f"{sandbox.url}/control/", timeout=10).text

    stored = (tmp_path / "sandbox.sqlite3").read_bytes()
    for secret in (token["access_token"], token["refresh_token"]):
        assert secret.encode() not in stored
        assert secret not in str(log)
        assert secret not in page


def test_body_of_200_mb_is_not_held_in_memory(tmp_path):
    with start_sandbox(tmp_path, discard_bodies=True, settings={"audited": True}) as sandbox:
        client = ApiClient(sandbox)
        client.publish()
        process = psutil.Process(sandbox.process.pid)
        before = process.memory_info().rss
        data = client.init(source=chunked(8 * CHUNK, CHUNK, 8)).json()["data"]
        body = bytes(CHUNK)
        peak = before
        for index in range(8):
            client.put(data["upload_url"], body, index * CHUNK, 8 * CHUNK)
            peak = max(peak, process.memory_info().rss)
        post = sandbox.posts()[-1]
        client.close()

    assert post["sha256"] == hashlib.sha256(bytes(8 * CHUNK)).hexdigest()
    assert peak - before < 20_000_000


@pytest.mark.parametrize("kept_alive", [0, 3])
def test_sigterm_ends_it_cleanly_with_connections_open(tmp_path, kept_alive):
    sandbox = start_sandbox(tmp_path)
    host, port = sandbox.url.removeprefix("http://").split(":")
    open_sockets = [socket.create_connection((host, int(port))) for _ in range(kept_alive)]
    for sock in open_sockets[:2]:
        sock.sendall(b"PUT /upload/?upload_id=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")

    began = time.monotonic()
    status = sandbox.stop()
    took = time.monotonic() - began

    for sock in open_sockets:
        sock.close()
    assert status == 0
    assert took < 2
    assert "Traceback" not in sandbox.log_path.read_text()


def test_sigterm_in_the_middle_of_a_chunk_keeps_the_progress(tmp_path):
    sandbox = start_sandbox(tmp_path, settings={"audited": True})
    client = ApiClient(sandbox)
    data = client.init(source=chunked(2 * MIN_CHUNK, MIN_CHUNK, 2)).json()["data"]
    client.put(data["upload_url"], bytes(MIN_CHUNK), 0, 2 * MIN_CHUNK)
    host, port = sandbox.url.removeprefix("http://").split(":")
    head = (
        f"PUT {data['upload_url'].split(port, 1)[1]} HTTP/1.1\r\nHost: x\r\nContent-Type: video/mp4\r\n"
        f"Content-Length: {MIN_CHUNK}\r\n"
        f"Content-Range: bytes {MIN_CHUNK}-{2 * MIN_CHUNK - 1}/{2 * MIN_CHUNK}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall(head.encode() + bytes(1_000_000))
        eventually(
            lambda: sandbox.control("GET", f"/tasks/{data['publish_id']}")["incoming_bytes"],
            lambda count: count > 0,
        )
        status = sandbox.stop()
    client.close()

    with start_sandbox(tmp_path, settings={"audited": True}) as again:
        task = again.control("GET", f"/tasks/{data['publish_id']}")

    assert status == 0
    assert task["stored_bytes"] == MIN_CHUNK
    assert "Traceback" not in sandbox.log_path.read_text()


def test_it_listens_on_loopback_only_and_names_its_address(tmp_path):
    with start_sandbox(tmp_path) as sandbox:
        listening = [
            c.laddr.ip
            for c in psutil.Process(sandbox.process.pid).net_connections()
            if c.status == psutil.CONN_LISTEN
        ]
        log = sandbox.log_path.read_text()

    assert listening == ["127.0.0.1"]
    assert f"sandbox on {sandbox.url}" in log


def test_taken_port_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "sandbox", "--port", str(port), "--data-dir", str(tmp_path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=20,
        )

    assert done.returncode != 0
    assert str(port) in done.stderr


def test_it_serves_on_a_socket_that_its_starter_opened(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        argv = [sys.executable, "-m", "sandbox", "--fd", str(listening.fileno()), "--data-dir", str(tmp_path)]
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with subprocess.Popen(
            argv, cwd=ROOT, pass_fds=[listening.fileno()], stdout=subprocess.PIPE
        ) as process:
            said = process.stdout.readline().decode()
            answer = requests.get(f"{url}/healthz", timeout=20)
            process.terminate()

    assert url in said
    assert answer.status_code == 200
    assert process.returncode == 0


def test_number_that_is_no_socket_is_named(tmp_path):
    argv = [sys.executable, "-m", "sandbox", "--fd", "99", "--data-dir", str(tmp_path)]

    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=20)

    assert (done.returncode, done.stderr) == (2, "sandbox: --fd 99 is not an open socket\n")


def test_unknown_setting_on_the_command_line_is_named(tmp_path):
    command = [sys.executable, "-m", "sandbox", "--port", str(free_port()), "--data-dir", str(tmp_path)]
    done = subprocess.run(
        [*command, "--set", "shoe_size=7"], cwd=ROOT, capture_output=True, text=True, timeout=20
    )

    assert done.returncode == 2
    assert "no setting called shoe_size" in done.stderr
    assert "Traceback" not in done.stderr


def test_options_shape_the_app(tmp_path):
    with start_sandbox(
        tmp_path,
        profile="demo",
        client_key="sbother",
        client_secret="other",
        redirect_uri=["http://127.0.0.1:*/a/", "http://localhost:8000/b/"],
        webhook_url="http://127.0.0.1:9/hooks/",
        base_url="http://tiktok.test:8787",
    ) as sandbox:
        app = sandbox.control("GET", "/apps")[0]
        settings = sandbox.control("GET", "/settings")
        client = ApiClient(sandbox)
        info = client.creator_info()
        client.close()

    assert app["redirect_uris"] == ["http://127.0.0.1:*/a/", "http://localhost:8000/b/"]
    assert (app["client_key"], app["webhook_url"]) == ("sbother", "http://127.0.0.1:9/hooks/")
    assert "client_secret" not in app
    assert (settings["audited"], settings["rate_limits_on"]) == (True, True)
    assert code_of(info) == (200, "ok")
    assert info.json()["data"]["creator_avatar_url"].startswith("http://tiktok.test:8787/avatar/")


def test_sandbox_and_product_import_nothing_of_each_other():
    ours = {"accounts", "config", "connections", "publishing", "stack"}
    sandbox_files = list((ROOT / "sandbox").rglob("*.py"))
    product_files = [path for app in ours for path in (ROOT / app).rglob("*.py")]

    assert sandbox_files
    for path in sandbox_files:
        assert not _imported(path) & (ours | {"django", "tests"}), path
    for path in product_files:
        assert "sandbox" not in _imported(path), path


def _imported(path):
    import ast

    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names
