"""Copies of creators' pictures: their URLs at a platform live for hours only."""

from __future__ import annotations

import io
import logging
import secrets

from django.core.files.base import ContentFile
from PIL import Image, UnidentifiedImageError

from config.outside_urls import FetchError, ForbiddenUrlError, fetch
from connections.models import SocialConnection

log = logging.getLogger(__name__)

MAX_BYTES = 1_000_000
MAX_SECONDS = 15.0
MAX_SIDE = 4096
SIDE = 256
FORMATS = ("JPEG", "PNG", "WEBP")


class AvatarError(Exception):
    """The picture cannot be used. Its text holds no URL, since those are signed."""


def copy_avatar(connection: SocialConnection, url: str) -> bool:
    """Store the picture at `url` as the connection's avatar; return whether that worked. Failure is logged, no error.

    The old picture stays until the new one is stored. What is stored was drawn anew from the pixels: a JPEG of at most
    256 × 256 pixels, whatever else the file held.
    """
    if not url:
        return False
    try:
        content = thumbnail(download(url))
        old = connection.avatar.name
        name = f"{connection.pk}-{secrets.token_hex(4)}.jpg"
        connection.avatar.save(name, ContentFile(content), save=False)
        connection.save(update_fields=["avatar"])
        if old:
            connection.avatar.storage.delete(old)
    except (AvatarError, OSError) as error:
        log.info("avatar not copied connection=%s reason=%s", connection.pk, error)
        return False
    return True


def download(url: str) -> bytes:
    """Return the bytes at `url`. Raises AvatarError unless it may be used, answers in time and is at most 1 MB."""
    try:
        return fetch(url, max_bytes=MAX_BYTES, seconds=MAX_SECONDS)
    except (ForbiddenUrlError, FetchError) as error:
        raise AvatarError(str(error)) from None


def thumbnail(content: bytes) -> bytes:
    """Return `content`, a JPEG, PNG or WebP picture, as a small JPEG. Raises AvatarError for anything else."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if max(image.size) > MAX_SIDE:
                raise AvatarError("too many pixels")
            image.thumbnail((SIDE, SIDE))
            flat = Image.new("RGB", image.size, "white")
            rgba = image.convert("RGBA")
            flat.paste(rgba, mask=rgba)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise AvatarError("not a picture that can be read") from None
    out = io.BytesIO()
    flat.save(out, "JPEG", quality=88)
    return out.getvalue()
