"""Start a program whose life is tied to ours: when we die, however we die, the kernel ends it."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Account:
    """A user of this machine that a program is run as."""

    name: str
    uid: int
    gid: int

    @classmethod
    def named(cls, name: str) -> Account | None:
        """The account called `name`, or None where the machine has none."""
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid)


def as_account(account: Account | None) -> dict[str, Any]:
    """The arguments of `subprocess.Popen` that run a program as `account`, with no group of ours; None is ourselves."""
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def die_with_parent(death_signal: int = signal.SIGKILL, *, parent: int | None = None) -> None:
    """Ask the kernel to send us `death_signal` when the thread that forked us ends. Linux only, elsewhere no effect.

    `parent` is the parent's process id as it knew it: had it died before we asked, we end at once.
    Source: https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
    """
    if _libc is None:
        return
    _libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def spawn(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: str | Path = "/",
    account: Account | None = None,
    death_signal: int = signal.SIGKILL,
    output: int | IO[Any] = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own, on our leash. Call it from the main thread: the leash is the thread's life.

    The new session keeps the terminal's Ctrl-C from the child, so that we decide the order in which things stop.
    """
    parent = os.getpid()
    on_start: Callable[[], None] = lambda: die_with_parent(death_signal, parent=parent)  # noqa: E731
    return subprocess.Popen(
        [str(word) for word in argv],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=on_start,  # runs after the change of user, which would clear the request
        pass_fds=pass_fds,
        **as_account(account),
    )


def end(process: subprocess.Popen[bytes], *signals: int, seconds: float = 5.0) -> None:
    """Send `signals` in turn, each with `seconds` to obey, then kill the process group. Returns once it is gone."""
    for number in signals:
        with suppress(ProcessLookupError):
            process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            break
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
