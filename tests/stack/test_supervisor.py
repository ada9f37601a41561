"""Programs side by side: brought back, given up on, and stopped even when they do not want to."""

import io
import os
import signal
import sys
import threading

import psutil
import pytest

from stack import StackError
from stack.console import Console
from stack.supervisor import Program, StopRequested, Supervisor

HERE = dict(os.environ)
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
STUBBORN += "print('up', flush=True); time.sleep(600)"


@pytest.fixture
def screen():
    """What the person sees."""
    return io.StringIO()


@pytest.fixture
def supervisor(tmp_path, screen):
    """A supervisor with nothing to look after yet."""
    with Supervisor(Console(screen), tmp_path) as supervisor:
        yield supervisor


def _program(code, name="web", **options):
    return Program(name, [sys.executable, "-c", code], HERE, options.pop("is_ready", lambda: True), **options)


def _says(path, words):
    return lambda: path.exists() and words in path.read_text()


def test_program_that_dies_is_started_again(supervisor, tmp_path, screen):
    mark = tmp_path / "been-here"
    code = f"import pathlib, sys, time\nmark = pathlib.Path({str(mark)!r})\n"
    code += "if not mark.exists(): mark.touch(); sys.exit(3)\n"
    code += "print('second time', flush=True); time.sleep(600)"
    supervisor.start(_program(code, is_ready=_says(tmp_path / "web.log", "second time")))

    supervisor.wait_ready("web", seconds=30)

    assert "web      ended with exit status 3; starting it again in 0.5 s" in screen.getvalue()


def test_program_that_cannot_start_is_given_up_with_its_last_words(supervisor):
    supervisor.start(_program("import sys; sys.exit('no such table')", is_ready=lambda: False))

    with pytest.raises(
        StackError, match=r"(?s)web ended with exit status 1 3 times while starting.*no such table"
    ):
        supervisor.wait_ready("web", seconds=30)


def test_program_that_never_gets_ready_is_named(supervisor):
    supervisor.start(_program("import time; time.sleep(600)", is_ready=lambda: False))

    with pytest.raises(StackError, match="web was not ready within 1 s"):
        supervisor.wait_ready("web", seconds=1)


def test_missing_program_is_named(supervisor):
    with pytest.raises(StackError, match="web could not be started"):
        supervisor.start(Program("web", ["/nonexistent/program"], HERE, lambda: True))


def test_program_that_ignores_the_signal_is_killed_with_its_children(tmp_path, screen):
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); {STUBBORN}"
    with Supervisor(Console(screen), tmp_path) as supervisor:
        supervisor.start(_program(code, is_ready=_says(tmp_path / "web.log", "up\nup"), stop_seconds=0.2))
        supervisor.wait_ready("web", seconds=30)
        family = psutil.Process().children(recursive=True)
        ours = [process for process in family if STUBBORN in " ".join(process.cmdline())]

    psutil.wait_procs(ours, timeout=5)
    assert len(ours) == 2
    assert not [p for p in ours if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_command_that_fails_shows_its_words(supervisor, tmp_path):
    with pytest.raises(StackError, match=r"(?s)migrate failed.*relation is missing"):
        supervisor.run(
            {"migrate": [sys.executable, "-c", "import sys; sys.exit('relation is missing')"]},
            env=HERE,
            cwd=tmp_path,
        )


def test_commands_run_side_by_side_and_give_their_output(supervisor, tmp_path):
    meet = "import pathlib, sys, time\nme, other = sys.argv[1:]\npathlib.Path(me).touch()\n"
    meet += (
        "for _ in range(600):\n    if pathlib.Path(other).exists(): print(me); break\n    time.sleep(0.05)"
    )
    commands = {a: [sys.executable, "-c", meet, a, b] for a, b in (("one", "two"), ("two", "one"))}

    assert supervisor.run(commands, env=HERE, cwd=tmp_path) == {"one": "one\n", "two": "two\n"}


def test_signal_ends_the_waiting_and_the_handlers_are_put_back(tmp_path, screen):
    before = signal.getsignal(signal.SIGTERM)
    with Supervisor(Console(screen), tmp_path) as supervisor:
        supervisor.start(_program("import time; time.sleep(600)", is_ready=lambda: False))
        threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGTERM]).start()
        with pytest.raises(StopRequested):
            supervisor.wait_ready("web", seconds=30)

    assert signal.getsignal(signal.SIGTERM) is before
