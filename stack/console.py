"""What the runner shows of its programs: each log whole in a file, and on the terminal what a person should see."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TextIO

COLOURS = {"postgres": 34, "redis": 31, "sandbox": 35, "web": 32, "worker": 36, "beat": 33}
_LEVEL = re.compile(
    r"^\d{4}-\d\d-\d\d[ T][\d:,.]+(?: \w+)?(?: \[\d+\])? (DEBUG|INFO|LOG|WARNING|ERROR|FATAL|PANIC|CRITICAL)\b"
)
_BARE_LEVEL = re.compile(r"^(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
_SHOWN = {"WARNING", "ERROR", "FATAL", "PANIC", "CRITICAL"}
_POSTGRES_SHOWN = {
    "FATAL",
    "PANIC",
}  # its ERROR is the answer to a statement, which the application tells about
_MAIL_BEGINS = re.compile(r"^Content-Type: (text/plain|multipart/)")
_MAIL_ENDS = re.compile(r"^-{70,}$")


class Console:
    """Writes to the terminal: names in colour there, plain text into a pipe or a file."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._is_terminal = self._stream.isatty()

    def say(self, text: str = "") -> None:
        """Print one line of our own. A reader that went away is no reason to stop."""
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            pass

    def relay(self, name: str, line: str) -> None:
        """Print one line of the program `name`."""
        label = f"{name:<8}"
        if self._is_terminal:
            label = f"\x1b[{COLOURS.get(name, 37)}m{label}\x1b[0m"
        self.say(f"{label} {line}")


class Log:
    """One program's output: every line to `path`; `is_notable` tells which lines a person should see."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._shown = _POSTGRES_SHOWN if path.stem == "postgres" else _SHOWN
        self._file = path.open("ab")
        self._rest = b""
        self._showing = False
        self._in_mail = False

    def feed(self, block: bytes) -> list[str]:
        """Store `block` and return the notable ones among the lines that it completes."""
        self._file.write(block)
        self._file.flush()
        *lines, self._rest = (self._rest + block).split(b"\n")
        if len(self._rest) > 65_536:  # a line without end is not held in memory
            self._rest = b""
        texts = [line.decode(errors="replace").rstrip() for line in lines]
        return [text for text in texts if self.is_notable(text)]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def is_notable(self, line: str) -> bool:
        """Whether `line` is a warning or worse, the rest of such an entry, or part of an e-mail on the console."""
        if self._in_mail:
            self._in_mail = not _MAIL_ENDS.match(line)
            return self._in_mail
        if _MAIL_BEGINS.match(line):
            self._in_mail = True
            return True
        level = _LEVEL.match(line) or _BARE_LEVEL.match(line)
        if level:
            self._showing = level.group(1) in self._shown
        elif line.startswith("Traceback "):
            self._showing = True
        return self._showing and bool(line)

    def tail(self, lines: int = 15) -> str:
        """The last lines of the file."""
        self._file.flush()
        with self.path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 20_000))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
