"""A client for ClamAV's daemon: one file streamed to it, one verdict, everything bounded.

Source: https://manpages.debian.org/bookworm/clamav-daemon/clamd.8.en.html
"""

from __future__ import annotations

import re
import select
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

CONNECT_SECONDS = 5.0
STEP_SECONDS = 30.0
"""How long the scanner may take none of what it is sent. Its verdict may take until the scan's own end."""

MAX_ANSWER_BYTES = 4096
_VERDICT = re.compile(r"stream: (?:OK|(?P<signature>.{1,400}) FOUND)")
_LIMITS = "Heuristics.Limits.Exceeded"


class ScannerError(Exception):
    """No verdict. The text says why, for operators; `kind` in a word: down, slow, garbage or too_large."""

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Verdict:
    """What the scanner found: a signature's name, or "" for nothing."""

    signature: str

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not self.signature


@dataclass(frozen=True)
class Scanner:
    """Where the daemon listens: `host` and `port`, or `path` of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def at(cls, url: str) -> Scanner:
        """Read clamd://127.0.0.1:3310 (port 3310 if none is given) or clamd+unix:///run/clamav/clamd.ctl.

        Raises ValueError for anything else.
        """
        parts = urlsplit(url)
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("clamd knows neither log-in nor query")
        if parts.scheme == "clamd" and parts.hostname and parts.path in {"", "/"}:
            return cls(host=parts.hostname, port=parts.port or 3310)
        if parts.scheme == "clamd+unix" and not parts.netloc and len(parts.path) > 1:
            return cls(path=unquote(parts.path))
        raise ValueError("it must look like clamd://127.0.0.1:3310 or clamd+unix:///run/clamav/clamd.ctl")

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"

    def ping(self) -> None:
        """Ask whether it is there. Raises ScannerError."""
        if self._ask("PING") != "PONG":
            raise ScannerError("the scanner does not answer PING with PONG", kind="garbage")

    def version(self) -> str:
        """Return what it says of itself and its signatures. Raises ScannerError."""
        answer = self._ask("VERSION")
        if not answer.startswith("ClamAV"):
            raise ScannerError("the scanner's version cannot be read", kind="garbage")
        return answer

    def scan(self, blocks: Iterable[bytes | memoryview], *, seconds: float) -> Verdict:
        """Send all `blocks`, each before the next is read, and return the verdict within `seconds`.

        Raises ScannerError, whatever becomes of the scanner meanwhile. What reading a block raises comes through.
        """
        ends_at = time.monotonic() + seconds
        with self._connect() as link:
            is_cut_off = not _send_all(link, blocks, ends_at)
            return _judge(_read_answer(link, ends_at), is_cut_off=is_cut_off)

    def _ask(self, command: str) -> str:
        ends_at = time.monotonic() + CONNECT_SECONDS
        with self._connect() as link:
            _send(link, f"z{command}\0".encode(), ends_at)
            return _read_answer(link, ends_at)

    def _connect(self) -> socket.socket:
        try:
            if not self.path:
                return socket.create_connection((self.host, self.port), timeout=CONNECT_SECONDS)
            link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                link.settimeout(CONNECT_SECONDS)
                link.connect(self.path)
            except BaseException:
                link.close()
                raise
            return link
        except OSError as error:
            raise ScannerError(
                f"the scanner at {self} does not answer ({_name(error)})", kind="down"
            ) from None


def _send_all(link: socket.socket, blocks: Iterable[bytes | memoryview], ends_at: float) -> bool:
    """Send the file; False if the scanner answered or hung up before its end, as it does at its size limit."""
    _send(link, b"zINSTREAM\0", ends_at)
    for block in blocks:
        if _has_answered(link) or not _send_block(link, block, ends_at):
            return False
    return _send_block(link, b"", ends_at)


def _send_block(link: socket.socket, block: bytes | memoryview, ends_at: float) -> bool:
    try:
        _send(link, struct.pack("!L", len(block)), ends_at)
        if len(block):
            _send(link, block, ends_at)
    except ScannerError as error:
        if error.kind != "down":
            raise
        return False  # its reason may have arrived
    return True


def _has_answered(link: socket.socket) -> bool:
    poll = select.poll()
    poll.register(link, select.POLLIN)
    return bool(poll.poll(0))


def _send(link: socket.socket, data: bytes | memoryview, ends_at: float) -> None:
    link.settimeout(_patience(ends_at, STEP_SECONDS))
    try:
        link.sendall(data)
    except TimeoutError:
        raise ScannerError("the scanner takes no more of the file", kind="slow") from None
    except OSError as error:
        raise ScannerError(f"the connection to the scanner broke off ({_name(error)})", kind="down") from None


def _read_answer(link: socket.socket, ends_at: float) -> str:
    answer = b""
    while not answer.endswith(b"\0"):
        link.settimeout(_patience(ends_at))
        try:
            part = link.recv(MAX_ANSWER_BYTES)
        except TimeoutError:
            raise ScannerError("the scanner gave no verdict in time", kind="slow") from None
        except OSError as error:
            raise ScannerError(
                f"the connection to the scanner broke off ({_name(error)})", kind="down"
            ) from None
        if not part:
            raise ScannerError("the scanner hung up without a verdict", kind="down")
        answer += part
        if len(answer) > MAX_ANSWER_BYTES:
            raise ScannerError("the scanner's answer is far too long", kind="garbage")
    return answer[:-1].decode("utf-8", "replace").strip()


def _patience(ends_at: float, at_most: float | None = None) -> float:
    left = ends_at - time.monotonic()
    if left <= 0:
        raise ScannerError("the scan took too long", kind="slow")
    return left if at_most is None else min(left, at_most)


def _judge(answer: str, *, is_cut_off: bool) -> Verdict:
    """Turn the answer into a verdict. Only a whole file can be clean; a part of one can be infected."""
    if answer.startswith("INSTREAM size limit exceeded"):
        raise ScannerError("the file is larger than the scanner takes (StreamMaxLength)", kind="too_large")
    found = _VERDICT.fullmatch(answer)
    if found is None:
        raise ScannerError("the scanner's answer cannot be understood", kind="garbage")
    signature = found["signature"] or ""
    if signature.startswith(_LIMITS):
        raise ScannerError(
            "the file is larger than the scanner looks through (MaxFileSize)", kind="too_large"
        )
    if not signature and is_cut_off:
        raise ScannerError("the scanner answered before it had the whole file", kind="garbage")
    return Verdict("".join(one for one in signature if one.isprintable())[:120])


def _name(error: OSError) -> str:
    return type(error).__name__
