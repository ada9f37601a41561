"""Small pictures made with Pillow, and the ways in which one can be bad."""

from __future__ import annotations

import functools
import io

from PIL import Image


@functools.cache
def picture(kind: str = "JPEG", *, width: int = 90, height: int = 160, shade: int = 120) -> bytes:
    """Return a picture's bytes; another `shade` gives other bytes."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (shade, 80, 200)).save(buffer, kind)
    return buffer.getvalue()


@functools.cache
def moving_webp() -> bytes:
    """Return a WebP of two pictures."""
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (90, 160), (shade, 0, 0)) for shade in (10, 200)]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    return buffer.getvalue()
