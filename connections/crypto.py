"""Encryption at rest: one field type, keys with ids, and ciphertexts that open only in their own row and column.

Format of a stored value: `<key id>:<Fernet token>`. The key id is the first 8 hex digits of the key's SHA-256, so that
a count by prefix tells how many rows still use an old key. Inside the token stands the context (`table.column:pk`), a
NUL byte and the plaintext; a ciphertext copied to another row or column fails to open.
Source of the token's format: https://cryptography.io/en/latest/fernet/
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

KEY_ID: Final = "[0-9a-f]{8}"
"""What a stored value begins with, before its colon."""

_KEY_ID = re.compile(f"({KEY_ID}):")


class DecryptionError(Exception):
    """A stored value cannot be opened: its key is missing, or it was altered or moved. Carries no content."""


class Keyring:
    """The encryption keys in order: the first encrypts, all decrypt."""

    def __init__(self, keys: list[str]) -> None:
        if not keys:
            raise ImproperlyConfigured(
                "ENCRYPTION_KEYS is not set; tokens cannot be stored. See .env.example."
            )
        self._fernets: dict[str, Fernet] = {}
        for key in keys:
            try:
                self._fernets[key_id(key)] = Fernet(key)
            except ValueError:
                raise ImproperlyConfigured(
                    "ENCRYPTION_KEYS holds a value that is not a Fernet key (32 bytes, url-safe base64)."
                ) from None
        self.primary_id = key_id(keys[0])

    def __repr__(self) -> str:
        return f"<Keyring {' '.join(self._fernets)}>"

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all keys, the one that encrypts first."""
        return tuple(self._fernets)

    def encrypt(self, plaintext: str, *, context: str) -> str:
        """Return `plaintext` sealed under the first key for `context`."""
        sealed = self._fernets[self.primary_id].encrypt(f"{context}\0{plaintext}".encode())
        return f"{self.primary_id}:{sealed.decode('ascii')}"

    def decrypt(self, stored: str, *, context: str) -> str:
        """Return the plaintext of `stored`. Raises DecryptionError if no key opens it or the context differs."""
        used_id = key_id_of(stored)
        if not used_id:
            raise DecryptionError("the stored value is none that was sealed here")
        fernet = self._fernets.get(used_id)
        if fernet is None:
            raise DecryptionError(f"key {used_id} is not in ENCRYPTION_KEYS")
        try:
            sealed = stored[len(used_id) + 1 :]
            found_context, _, plaintext = fernet.decrypt(sealed).decode().partition("\0")
        except (InvalidToken, ValueError):  # of letters beyond ASCII the library says ValueError
            raise DecryptionError("the stored value was altered") from None
        if found_context != context:
            raise DecryptionError("the stored value belongs to another row or column")
        return plaintext


def key_id(key: str) -> str:
    """Return the public id of a key: 8 hex digits."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def key_id_of(stored: str) -> str:
    """Return the id of the key that sealed `stored`; "" for what is no sealed value, of which nothing is told."""
    found = _KEY_ID.match(stored)
    return found[1] if found else ""


@lru_cache(maxsize=4)
def _keyring(keys: tuple[str, ...]) -> Keyring:
    return Keyring(list(keys))


def keyring() -> Keyring:
    """Return the keyring of the current settings. Raises ImproperlyConfigured for missing or malformed keys."""
    return _keyring(tuple(settings.ENCRYPTION_KEYS))


class Sealed(str):
    """A ciphertext as it stands in the database. Its text is safe to hold, not to show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<Sealed>"


class EncryptedTextField(models.TextField):
    """Text that is encrypted in the database and stays sealed in memory.

    Reading the attribute gives a `Sealed` value (or ""), never the plaintext, so that no repr, form, admin or
    serializer can show it. `seal(instance, field, plaintext)` makes the value to store; `open_sealed(instance, field)`
    reads it.
    """

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        return Sealed(value) if value else value

    def get_prep_value(self, value: Any) -> Any:
        if value and not isinstance(value, Sealed):
            raise TypeError(f"{self.name} takes only sealed values; use seal()")
        return super().get_prep_value(str(value) if value else value)

    def formfield(self, *_: Any, **__: Any) -> None:
        """No form ever shows or takes this field."""
        return


def _context(instance: models.Model, field: str) -> str:
    column = instance._meta.get_field(field).column  # type: ignore[union-attr]
    return f"{instance._meta.db_table}.{column}:{instance.pk}"


def seal(instance: models.Model, field: str, plaintext: str) -> Sealed:
    """Return `plaintext` encrypted for `field` of `instance`, whose pk must be set. The empty string stays empty."""
    return Sealed(keyring().encrypt(plaintext, context=_context(instance, field)) if plaintext else "")


def open_sealed(instance: models.Model, field: str) -> str:
    """Return the plaintext of `field`. Raises DecryptionError."""
    stored = getattr(instance, field)
    return keyring().decrypt(stored, context=_context(instance, field)) if stored else ""
