"""Avatars and covers: small generated pictures, written as PNG by hand."""

from __future__ import annotations

import colorsys
import hashlib
import struct
import zlib
from functools import lru_cache

Color = tuple[int, int, int]
CELLS = 5


@lru_cache(maxsize=256)
def avatar(name: str, side: int) -> bytes:
    """A square symmetric pattern that belongs to `name`."""
    digest = hashlib.sha256(name.encode()).digest()
    ground, ink = _color(digest[0], 0.42, 0.90), _color(digest[0], 0.78, 0.50)
    margin = side // 8
    cell = (side - 2 * margin) // CELLS
    edge, end = bytes(ground) * margin, bytes(ground) * (side - margin - CELLS * cell)
    blank = bytes(ground) * side
    pattern = [
        edge + b"".join(bytes(ink if _is_inked(digest, y, x) else ground) * cell for x in range(CELLS)) + end
        for y in range(CELLS)
    ]
    rows = [
        pattern[(y - margin) // cell] if margin <= y < margin + CELLS * cell else blank for y in range(side)
    ]
    return _png(side, side, rows)


@lru_cache(maxsize=64)
def cover(name: str, width: int = 270, height: int = 480) -> bytes:
    """An upright gradient that belongs to `name`."""
    digest = hashlib.sha256(name.encode()).digest()
    top, bottom = _color(digest[1], 0.55, 0.75), _color(digest[1] + 40, 0.65, 0.35)
    rows = [
        bytes(round(a + (b - a) * y / height) for a, b in zip(top, bottom, strict=True)) * width
        for y in range(height)
    ]
    return _png(width, height, rows)


def _is_inked(digest: bytes, row: int, column: int) -> bool:
    mirrored = min(column, CELLS - 1 - column)
    return digest[2 + row * 3 + mirrored] % 2 == 0


def _color(hue: int, saturation: float, value: float) -> Color:
    r, g, b = colorsys.hsv_to_rgb((hue % 256) / 256, saturation, value)
    return round(r * 255), round(g * 255), round(b * 255)


def _png(width: int, height: int, rows: list[bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 6)
    chunks = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
