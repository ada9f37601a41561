"""The demo's secrets: made once, kept in the data folder for us alone."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from stack import StackError

FILE = "secrets.json"


def load_or_make(data_dir: Path) -> tuple[dict[str, str], bool]:
    """The secrets of `data_dir`, and whether they were made just now. Raises StackError if the file is damaged."""
    path = data_dir / FILE
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return _make(path), True
    except ValueError:
        raise StackError(
            f"{path} is damaged. `make reset` starts afresh (the demo's data are lost)."
        ) from None
    return dict(found), False


def _make(path: Path) -> dict[str, str]:
    from cryptography.fernet import Fernet

    made = {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "POSTGRES_SUPERUSER_PASSWORD": secrets.token_hex(24),
        "POSTGRES_PASSWORD": secrets.token_hex(24),
        "REDIS_PASSWORD": secrets.token_hex(24),
    }
    write_private(path, json.dumps(made, indent=1) + "\n")
    return made


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path`, readable by us alone, whole or not at all."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
