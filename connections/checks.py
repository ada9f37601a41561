"""System checks: a missing, malformed or wrong encryption key is found at start-up, not at the first upload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Info, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from connections.crypto import keyring
from connections.keys import key_health

HINT = (
    "Make a key with `python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'`. "
    "Keep every old key in ENCRYPTION_KEYS, after the new one, until `manage.py rotate_encryption_keys` is done."
)

ROTATE = "Run manage.py rotate_encryption_keys; until it is done, keep the old key in ENCRYPTION_KEYS."


@register(Tags.security)
def encryption_keys_are_well_formed(**_: Any) -> list[CheckMessage]:
    """Missing or malformed keys."""
    try:
        keyring()
    except ImproperlyConfigured as error:
        return [Error(str(error), hint=HINT, id="connections.E001")]
    return []


@register(Tags.database)
def encryption_keys_open_what_is_stored(
    databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """Keys that do not open what is stored, and old ones that are still needed.

    Runs where the database is checked: `migrate`, `check --database`.
    """
    if "default" not in (databases or ()):
        return []
    try:
        health = key_health()
    except DatabaseError:
        return []  # not migrated yet, or not there: other checks say so
    if health.key_ids and not health.is_ok:
        return [Error(f"ENCRYPTION_KEYS: {health.problem}", hint=HINT, id="connections.E002")]
    if count := health.outdated:
        words = "1 stored value is" if count == 1 else f"{count} stored values are"
        return [Info(f"{words} still under an old key.", hint=ROTATE, id="connections.I001")]
    return []
