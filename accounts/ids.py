"""Identifiers for rows."""

import secrets
import time
import uuid
from datetime import datetime


def uuid7() -> uuid.UUID:
    """Return a new version 7 UUID: 48 bits of Unix milliseconds, then random bits.

    Rows made later sort later, so an index on the key grows at its end; the random bits keep it unguessable.
    Known before the row is saved, which lets a ciphertext be bound to its row.
    Source: https://www.rfc-editor.org/rfc/rfc9562#section-5.7
    """
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & ((1 << 48) - 1)) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62
    return uuid.UUID(int=value | secrets.randbits(62))


def first_uuid7_since(moment: datetime) -> uuid.UUID:
    """Return the bound between the keys made at `moment` (to the millisecond) or later, and those made before."""
    return uuid.UUID(int=(int(moment.timestamp() * 1000) & ((1 << 48) - 1)) << 80)
