"""Sessions that a copy of the database does not open.

The cookie holds a random key, the database its SHA-256: who reads the table (or an old backup of it) has no cookie to
show. What a session holds is encrypted with a key made from SECRET_KEY, for some of it is as good as a password: a
reset link that is being used, an authenticator app's secret that is being set up.
See docs/decisions/0017-sessions-a-backup-does-not-open.md.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import lru_cache
from typing import Any, Final

from allauth.usersessions.models import UserSession
from asgiref.sync import sync_to_async
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession
from django.contrib.sessions.models import Session
from django.db import models
from django.db.models.functions import Cast
from django.utils import timezone

LENGTH: Final = 40
"""Characters of a stored key, as wide as Django's column: 160 bits, about as many as the key itself holds."""


class StoredKey(str):
    """A session's key as the database has it. Equal to itself, and to the key that it was made from."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and str(self) == str(stored(other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(str(self))


def stored(key: str) -> StoredKey:
    """Return what the database keeps of a session's `key`; one that comes from there stays as it is.

    The type tells them apart, not the form: what a browser sends is a plain string and is always hashed.
    """
    return key if isinstance(key, StoredKey) else StoredKey(hashlib.sha256(key.encode()).hexdigest()[:LENGTH])


class StoredKeyField(models.CharField[str, str]):
    """The key column of allauth's list of sessions, so that it too holds hashes."""

    def get_prep_value(self, value: Any) -> Any:
        """What is written and compared with."""
        return value if value is None else str(stored(value))

    def from_db_value(self, value: str | None, *_: Any) -> StoredKey | None:
        """What is read."""
        return value if value is None else StoredKey(value)

    def deconstruct(self) -> Any:
        """To migrations it is what allauth made it."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs


def hash_listed_keys() -> None:
    """Let allauth's `UserSession` store hashes. Called once, when the apps are ready; the model cannot be swapped."""
    UserSession._meta.get_field("session_key").__class__ = StoredKeyField


def forget_expired() -> int:
    """Delete sessions that are over, and the lines of the list of sessions that belong to none; return how many."""
    gone, _ = Session.objects.filter(expire_date__lt=timezone.now()).delete()
    listed = UserSession.objects.alias(key=Cast("session_key", models.CharField()))
    ended, _ = listed.exclude(key__in=Session.objects.values("session_key")).delete()
    return gone + ended


@lru_cache(maxsize=4)
def _cipher(secrets: tuple[str, ...]) -> MultiFernet:
    """Source: https://cryptography.io/en/latest/hazmat/primitives/key-derivation-functions/#hkdf"""
    keys = [
        HKDF(algorithm=SHA256(), length=32, salt=None, info=b"session data").derive(secret.encode())
        for secret in secrets
    ]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys])


class SessionStore(db.SessionStore):
    """Django's sessions in the database, with the key hashed and the data encrypted."""

    def encode(self, session_dict: dict[str, Any]) -> str:
        """Return the data as they are stored, bound to this session."""
        key = self._get_or_create_session_key()  # type: ignore[attr-defined]
        bound = [str(stored(key)), session_dict]
        return self._ring().encrypt(json.dumps(bound, separators=(",", ":")).encode()).decode("ascii")

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        """Return what was stored, or nothing if it was altered, moved, or stored under another SECRET_KEY."""
        try:
            place, data = json.loads(self._ring().decrypt(session_data))
        except (InvalidToken, ValueError):
            return {}
        return data if self.session_key and place == str(stored(self.session_key)) else {}

    def exists(self, session_key: str) -> bool:
        """Whether there is such a session."""
        return super().exists(str(stored(session_key)))

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        """Return the row to store."""
        row = super().create_model_instance(data)
        row.session_key = str(stored(row.session_key))
        return row

    def delete(self, session_key: str | None = None) -> None:
        """End this session, or the one with `session_key`."""
        key = session_key or self.session_key
        if key:
            super().delete(str(stored(key)))

    def _get_session_from_db(self) -> Session | None:
        row: Session | None = None
        if self.session_key:
            row = Session.objects.filter(
                session_key=str(stored(self.session_key)), expire_date__gt=timezone.now()
            ).first()
        if row is None:
            self._session_key = None
        return row

    async def acreate_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        """As without `a`."""
        return await sync_to_async(self.create_model_instance)(data)

    async def aexists(self, session_key: str) -> bool:
        """As without `a`."""
        return await sync_to_async(self.exists)(session_key)

    async def adelete(self, session_key: str | None = None) -> None:
        """As without `a`."""
        await sync_to_async(self.delete)(session_key)

    async def _aget_session_from_db(self) -> Session | None:
        return await sync_to_async(self._get_session_from_db)()

    @staticmethod
    def _ring() -> MultiFernet:
        return _cipher((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))
