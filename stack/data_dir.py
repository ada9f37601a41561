"""The demo's data folder: made for us alone, used by one demo at a time, removed only where it is ours."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

from stack import StackError, places

OURS = ("postgres", "redis", "sandbox", "beat", "media", "static", "logs", "secrets.json", "demo.env")


class DataDir:
    """A locked data folder. The lock is the kernel's: it ends with us, so none is ever left behind."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._make()
        try:
            self._descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StackError(
                f"The data folder {path} cannot be written: {error.strerror}. "
                "Choose another place: make demo DATA_DIR=…"
            ) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 200).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise StackError(
                f"Another demo is using {path} ({holder or 'it is just starting'}). "
                "Stop it, or give this one a place of its own: make demo DATA_DIR=.data2"
            ) from None

    def describe(self, text: str) -> None:
        """Write into the lock who holds it, for the message that a second demo shows."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def folder(self, name: str) -> Path:
        """A private folder inside, made if missing."""
        path = self.path / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def release(self) -> None:
        """Give up the lock. Safe to repeat."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Delete what a demo made here and for here, and the folder itself if nothing else is in it."""
        places.remove_home(self.path)
        for entry in (self.path / name for name in OURS):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        (self.path / "lock").unlink(missing_ok=True)
        self.release()
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def _make(self) -> None:
        # Root's Postgres runs as another account, which has to pass through (but can list nothing).
        mode = 0o711 if os.geteuid() == 0 else 0o700
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=mode)
            self.path.chmod(mode)
        except FileExistsError:
            if not self.path.is_dir():
                raise StackError(f"DATA_DIR is {self.path}, which is not a folder.") from None
        except OSError as error:
            raise StackError(
                f"The data folder {self.path} cannot be made: {error.strerror}. "
                "Choose another place: make demo DATA_DIR=…"
            ) from None
