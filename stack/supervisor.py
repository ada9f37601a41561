"""Runs programs side by side: starts them, shows what matters of their output, brings back those that die, stops all.

Everything happens in the main thread, in one loop over their pipes and our signals: programs are tied to the thread
that starts them (`stack.leash`), and a loop has no races to think about.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from stack import StackError
from stack.console import Console, Log
from stack.leash import Account, spawn

FIRST_DELAY = 0.5
LONGEST_DELAY = 15.0
SETTLED_SECONDS = 30.0  # a program that ran this long starts again with the first delay
TRIES_BEFORE_READY = 3
PROBE_SECONDS = 0.2


class StopRequested(Exception):
    """A signal asked us to stop."""


@dataclass(frozen=True)
class Program:
    """What to run, and how to tell that it works and how to stop it."""

    name: str
    argv: Sequence[str | Path]
    env: Mapping[str, str]
    is_ready: Callable[[], bool]
    cwd: Path = Path("/")
    account: Account | None = None
    stop_signals: Sequence[int] = (signal.SIGTERM,)
    stop_seconds: float = 4.0
    death_signal: int = signal.SIGKILL
    pass_fds: Sequence[int] = ()


@dataclass
class Running:
    """A program and its present process."""

    program: Program
    log: Log
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float | None = None  # when to start it again
    delay: float = FIRST_DELAY
    deaths: int = 0
    was_ready: bool = False
    pipe: socket.socket | None = field(default=None, repr=False)


class Supervisor:
    """Owns the programs. Use it in a `with` block: leaving the block, in whatever way, stops everything."""

    def __init__(self, console: Console, logs: Path) -> None:
        self.console = console
        self.logs = logs
        self._running: list[Running] = []
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._asked_to_stop = False
        self._former: dict[int, Any] = {}
        self._wake_reader, self._wake_writer = socket.socketpair()

    def __enter__(self) -> Supervisor:
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._former[number] = signal.signal(number, self._on_stop_signal)
        self._former[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)  # only wakes the loop
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        signal.set_wakeup_fd(-1)
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._selector.close()
        self._wake_reader.close()
        self._wake_writer.close()

    def start(self, program: Program) -> None:
        """Start `program` and look after it from now on."""
        running = Running(program, Log(self.logs / f"{program.name}.log"))
        self._running.append(running)
        self._launch(running)

    def wait_ready(self, *names: str, seconds: float = 120) -> None:
        """Look after everything until the programs `names` are ready. Raises StackError, StopRequested."""
        waiting = [running for running in self._running if running.program.name in names]
        deadline = time.monotonic() + seconds
        while waiting:
            self._turn_for(PROBE_SECONDS)
            for running in waiting:
                running.was_ready = running.process is not None and running.program.is_ready()
            waiting = [running for running in waiting if not running.was_ready]
            if waiting and time.monotonic() > deadline:
                raise StackError(_not_ready(waiting[0], f"was not ready within {seconds:.0f} s"))

    def run(
        self, commands: Mapping[str, Sequence[str | Path]], *, env: Mapping[str, str], cwd: Path
    ) -> dict[str, str]:
        """Run named commands side by side to their end while looking after the rest; return what each printed.

        Raises StackError if one fails, StopRequested; then none of them is left running.
        """
        processes: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for name, argv in commands.items():
                with self._command_log(name).open("wb") as output:
                    processes[name] = spawn(argv, env=env, cwd=cwd, output=output)
            while any(process.poll() is None for process in processes.values()):
                self._turn(0.2)
        finally:
            for process in processes.values():
                if process.poll() is None:
                    process.kill()
                    process.wait()
        return {name: self._outcome(name, process.returncode) for name, process in processes.items()}

    def _command_log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _outcome(self, name: str, status: int) -> str:
        text = self._command_log(name).read_text(errors="replace")
        if status != 0:
            raise StackError(
                f"{name} failed (all of it is in {self._command_log(name)}):\n{text[-3000:].strip()}"
            )
        return text

    def run_until_stopped(self) -> None:
        """Look after everything until a signal asks to stop."""
        with suppress(StopRequested):
            while True:
                self._turn(1.0)

    def stop(self) -> None:
        """Stop all programs, and after them the servers that they use. Nothing is left when it returns."""
        self._stopping = True
        groups: dict[bool, list[Running]] = {False: [], True: []}
        for running in self._running:
            groups[running.program.name in {"postgres", "redis"}].append(running)
        for group in (groups[False], groups[True]):
            self._stop_group([running for running in group if running.process is not None])
        for running in self._running:
            self._drain(running)
            running.log.close()
        self._running.clear()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _on_stop_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked_to_stop = True

    def _turn(self, seconds: float) -> None:
        """Wait at most `seconds` for something to happen and deal with it."""
        for key, _ in self._selector.select(self._until_next_start(seconds)):
            if key.data is None:
                with suppress(BlockingIOError):
                    self._wake_reader.recv(4096)
            else:
                self._read(key.data)
        if self._asked_to_stop and not self._stopping:
            raise StopRequested
        if not self._stopping:
            self._look_after()

    def _turn_for(self, seconds: float) -> None:
        """Deal with what happens during the next `seconds`."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._turn(left)

    def _until_next_start(self, seconds: float) -> float:
        now = time.monotonic()
        return min([seconds, *(max(0.0, r.start_at - now) for r in self._running if r.start_at is not None)])

    def _launch(self, running: Running) -> None:
        program = running.program
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            running.process = spawn(
                program.argv,
                env=program.env,
                cwd=program.cwd,
                account=program.account,
                death_signal=program.death_signal,
                output=theirs.fileno(),
                pass_fds=program.pass_fds,
            )
        except OSError as error:
            ours.close()
            raise StackError(f"{program.name} could not be started: {error}") from error
        finally:
            theirs.close()
        running.pipe = ours
        running.started_at = time.monotonic()
        running.start_at = None
        self._selector.register(ours, selectors.EVENT_READ, running)

    def _read(self, running: Running) -> None:
        block = _receive(running)
        if block is None:
            return
        if not block:
            self._close_pipe(running)
            return
        for line in running.log.feed(block):
            if running.was_ready and not self._stopping:
                self.console.relay(running.program.name, line)

    def _drain(self, running: Running) -> None:
        while block := _receive(running):
            running.log.feed(block)
        self._close_pipe(running)

    def _close_pipe(self, running: Running) -> None:
        if running.pipe is not None:
            self._selector.unregister(running.pipe)
            running.pipe.close()
            running.pipe = None

    def _look_after(self) -> None:
        now = time.monotonic()
        for running in self._running:
            if running.process is not None and running.process.poll() is not None:
                self._note_death(running, running.process, now)
            elif running.process is None and running.start_at is not None and running.start_at <= now:
                self._launch(running)

    def _note_death(self, running: Running, process: subprocess.Popen[bytes], now: float) -> None:
        how = _how_it_ended(process.returncode)
        _kill_group(process)
        self._drain(running)
        running.process = None
        running.deaths += 1
        if not running.was_ready and running.deaths >= TRIES_BEFORE_READY:
            raise StackError(_not_ready(running, f"{how} {running.deaths} times while starting"))
        if now - running.started_at > SETTLED_SECONDS:
            running.delay = FIRST_DELAY
        running.start_at = now + running.delay
        self.console.relay(running.program.name, f"{how}; starting it again in {running.delay:g} s")
        running.delay = min(running.delay * 2, LONGEST_DELAY)

    def _stop_group(self, group: list[Running]) -> None:
        steps = max((len(running.program.stop_signals) for running in group), default=0)
        for step in range(steps):
            for running in group:
                signals = running.program.stop_signals
                if running.process and step < len(signals):
                    with suppress(ProcessLookupError):
                        running.process.send_signal(signals[step])
            self._wait_gone(group, max(running.program.stop_seconds for running in group))
        for running in group:
            if running.process is not None:
                _kill_group(running.process)
                running.process.wait()

    def _wait_gone(self, group: list[Running], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(r.process and r.process.poll() is None for r in group):
            self._turn(0.2)  # keeps reading: a program that cannot write cannot end


def _receive(running: Running) -> bytes | None:
    """A block of output, b"" at its end, None while there is nothing to read."""
    if running.pipe is None:
        return b""
    try:
        return running.pipe.recv(65_536)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End what a program may have left in its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit status {code}"


def _not_ready(running: Running, what: str) -> str:
    return f"{running.program.name} {what}. The end of {running.log.path}:\n{running.log.tail()}"
