"""Second factors: their secrets are stored encrypted, and moved to a new key with the others.

allauth keeps an authenticator app's secret and the seed of recovery codes in a JSON column of its own. What stands
there is sealed with ENCRYPTION_KEYS and bound to this use. (A passkey's row holds a public key, which is no secret.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.db import transaction

from connections.crypto import DecryptionError, key_id_of, keyring

CONTEXT: Final = "mfa_authenticator.data"
SECRETS: Final = ("secret", "seed")
"""Where allauth's JSON holds a secret: an app's, and that of recovery codes."""


class MFAAdapter(DefaultMFAAdapter):
    """Second factors as Broadside has them: sealed, and in its words."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": "That code is not right. Codes change every 30 seconds: try the next one.",
        "bad_credential": "That passkey does not belong to an account here. Try another, or log in with your password.",
        "unverified_email": "Confirm your e-mail address first: it is the way back in if you lose the second step.",
        "add_email_blocked": "Turn the second step off before you change the address.",
    }

    def encrypt(self, text: str) -> str:
        """Return `text` sealed under the first key."""
        return keyring().encrypt(text, context=CONTEXT)

    def decrypt(self, encrypted_text: str) -> str:
        """Return what was sealed. Raises DecryptionError."""
        return keyring().decrypt(encrypted_text, context=CONTEXT)


def rows_by_key() -> dict[str, int]:
    """Count the sealed secrets by the id of their key."""
    return dict(Counter(key_id_of(value) for row in _rows() for _, value in _sealed(row)))


def problem() -> str:
    """Open one stored secret for each key; say in an operator's words what is wrong, "" if all open."""
    tried: set[str] = set()
    for row in _rows():
        for _, value in _sealed(row):
            used_id = key_id_of(value)
            if used_id in tried:
                continue
            tried.add(used_id)
            try:
                keyring().decrypt(value, context=CONTEXT)
            except DecryptionError as error:
                return f"{CONTEXT} holds a value that does not open: {error}."
    return ""


def reseal(*, dry_run: bool = False) -> tuple[int, int]:
    """Move secrets to the first key; return how many were moved (with `dry_run`: would be) and how many do not open.

    Each row is locked while it changes, since recovery codes are used up in the same column.
    """
    moved = unreadable = 0
    for pk in [row.pk for row in _rows() if _outdated(row)]:
        with transaction.atomic():
            row = Authenticator.objects.select_for_update().filter(pk=pk).first()
            for name, value in _outdated(row) if row else ():
                try:
                    plaintext = keyring().decrypt(value, context=CONTEXT)
                except DecryptionError:
                    unreadable += 1
                    continue
                row.data[name] = keyring().encrypt(plaintext, context=CONTEXT)
                moved += 1
            if row and not dry_run:
                row.save(update_fields=["data"])
    return moved, unreadable


def _rows() -> Iterator[Authenticator]:
    types = [Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES]
    return Authenticator.objects.filter(type__in=types).order_by("pk").iterator(chunk_size=500)


def _sealed(row: Authenticator) -> list[tuple[str, str]]:
    return [(name, row.data[name]) for name in SECRETS if row.data.get(name)]


def _outdated(row: Authenticator) -> list[tuple[str, str]]:
    newest = f"{keyring().primary_id}:"
    return [(name, value) for name, value in _sealed(row) if not value.startswith(newest)]
