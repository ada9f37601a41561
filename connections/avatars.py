"""Copies of creators' pictures: their URLs at a platform live for hours only."""

from __future__ import annotations

import io
import logging
import secrets
import time
from urllib.parse import urlsplit

import requests
from django.core.files.base import ContentFile
from PIL import Image, UnidentifiedImageError

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
    """Return the bytes at `url`. Raises AvatarError unless it is http(s), answers in time and is at most 1 MB."""
    if urlsplit(url).scheme not in {"http", "https"}:
        raise AvatarError("the address is not http or https")
    ends_at = time.monotonic() + MAX_SECONDS
    try:
        with requests.Session() as session:
            session.max_redirects = 3
            session.trust_env = False
            with session.get(url, stream=True, timeout=(3, 5)) as answer:
                if answer.status_code != 200:
                    raise AvatarError(f"HTTP {answer.status_code}")
                return _read(answer, ends_at)
    except requests.RequestException as error:
        raise AvatarError(type(error).__name__) from None


def _read(answer: requests.Response, ends_at: float) -> bytes:
    content = b""
    for block in answer.iter_content(64 * 1024):
        content += block
        if len(content) > MAX_BYTES:
            raise AvatarError("larger than 1 MB")
        if time.monotonic() > ends_at:
            raise AvatarError("took too long")
    return content


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
