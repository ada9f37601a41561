"""A worker is alive while its process is, however busy; the beat while its tasks run."""

import signal
import subprocess
import sys
import threading

import pytest
from django.core.management import call_command

from config import heartbeat
from config.heartbeat import Heartbeat, own_name
from config.tasks import record_beat
from stack.options import BASE_DIR
from stack.ports import hidden_port

pytestmark = pytest.mark.django_db


def test_heartbeat_is_recorded_and_says_goodbye():
    thread = Heartbeat()
    thread.start()
    _wait(lambda: heartbeat.read_workers())

    signs = heartbeat.read_workers()
    thread.stop()

    assert [sign.name for sign in signs] == [own_name()]
    assert signs[0].is_fresh
    assert heartbeat.read_workers() == []


def test_silent_worker_is_forgotten_after_an_hour():
    with heartbeat.open_redis() as client:
        client.zadd(heartbeat.WORKERS, {"gone:1": client.time()[0] - 3700, "late:2": client.time()[0] - 60})

    heartbeat.record_worker("here:3")

    signs = heartbeat.read_workers()
    assert [sign.name for sign in signs] == ["here:3", "late:2"]
    assert [sign.is_fresh for sign in signs] == [True, False]


def test_heartbeat_outlives_a_redis_that_is_away(settings, servers, caplog):
    settings.REDIS_URL = f"redis://127.0.0.1:{hidden_port()}/0"
    thread = Heartbeat()

    thread._record()
    thread._record()
    settings.REDIS_URL = servers.redis.url
    thread._record()

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert [sign.name for sign in heartbeat.read_workers()] == [own_name()]


def test_beat_is_unknown_until_its_task_runs():
    assert heartbeat.read_beat() is None

    record_beat()

    sign = heartbeat.read_beat()
    assert sign
    assert sign.is_fresh


@pytest.mark.stack
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_worker_process_beats_until_it_ends(process_env, number):
    argv = [sys.executable, "-m", "celery", "-A", "config", "worker", "-P", "threads", "-c", "2"]
    worker = subprocess.Popen(
        argv, env=process_env, cwd=BASE_DIR, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(lambda: heartbeat.read_workers() or worker.poll() is not None)
        names = [sign.name for sign in heartbeat.read_workers()]
    finally:
        worker.send_signal(number)
        worker.wait(30)

    assert [name.rpartition(":")[2] for name in names] == [str(worker.pid)]
    left = [sign.name for sign in heartbeat.read_workers()]
    assert left == ([] if number == signal.SIGTERM else names)


def _wait(is_done, seconds=30):
    """Ask until `is_done`, for at most `seconds`."""
    pause = threading.Event()
    for _ in range(seconds * 20):
        if is_done():
            return
        pause.wait(0.05)
    raise AssertionError("it did not happen in time")


def test_worker_alive_hears_the_worker_of_this_machine(capsys):
    heartbeat.record_worker(own_name())

    call_command("worker_alive")

    assert own_name() in capsys.readouterr().out


def test_worker_alive_fails_when_only_another_machine_works(capsys):
    heartbeat.record_worker("elsewhere:1")

    with pytest.raises(SystemExit) as stop:
        call_command("worker_alive")

    assert stop.value.code == 1
    assert "No worker on this machine" in capsys.readouterr().err


def test_worker_alive_fails_without_redis(settings, capsys):
    settings.REDIS_URL = f"redis://:hunter22@127.0.0.1:{hidden_port()}/0"

    with pytest.raises(SystemExit):
        call_command("worker_alive")

    assert capsys.readouterr().err == "Redis does not answer (ConnectionError)\n"
