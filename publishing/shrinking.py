"""Making a picture smaller that has more pixels than the platform takes, as those of every phone have."""

from __future__ import annotations

import io
import threading
from typing import IO

from PIL import Image, ImageOps

from connections.providers.base import PhotoRules
from publishing.receiving import ReceivedFile, Receiver

MOST_PIXELS = {"jpeg": 50_000_000, "webp": 12_500_000}
"""What is decoded with up to 200 MB of memory, one at a time: a WebP takes 15 bytes for each pixel."""

QUALITY = 92
_NAMES = {"jpeg": "JPEG", "webp": "WEBP"}
_one_at_a_time = threading.Lock()


def fits(width: int, height: int, rules: PhotoRules) -> bool:
    """Whether a picture of these sides, upright or across, may go as it is."""
    short, long = sorted((width, height))
    return short <= rules.max_short_side_px and long <= rules.max_long_side_px


def shrink(file: IO[bytes], *, kind: str, name: str, rules: PhotoRules) -> ReceivedFile:
    """Return a copy of a picture that fits: of the same format, upright, and without the camera's notes.

    `kind` is "jpeg" or "webp". Raises what Pillow raises for a picture that is damaged, and VideoRefusedError where
    there is no room.
    """
    file.seek(0)
    with _one_at_a_time, Image.open(file, formats=["JPEG", "WEBP"]) as image:
        long, short = rules.max_long_side_px, rules.max_short_side_px
        profile = image.info.get("icc_profile")
        # Of a JPEG no more is decoded than the result needs.
        image.thumbnail(
            (long, short) if image.width > image.height else (short, long), Image.Resampling.LANCZOS
        )
        small = ImageOps.exif_transpose(image)
    if kind == "jpeg" and small.mode not in {"RGB", "L"}:
        small, profile = small.convert("RGB"), None
    content = io.BytesIO()
    small.save(content, _NAMES[kind], quality=QUALITY, icc_profile=profile, exif=b"")
    with Receiver(name=name, limit=rules.max_bytes) as receiver:
        receiver.write(content.getvalue())
        return receiver.finish()
