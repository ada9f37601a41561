"""How a video is cut for FILE_UPLOAD.

TikTok wants `count == size // chunk_size`, chunks of 5 to 64 MB, a last one that takes the remainder (up to 128 MB),
and a lone chunk that declares the size of the file. It does not say whether its MB are 10**6 or 2**20 bytes; the sizes
here are legal in both readings.
Source: https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide
"""

from __future__ import annotations

from connections.providers.base import ChunkPlan

MAX_VIDEO_BYTES = 4 * 1024**3
SINGLE_CHUNK_BYTES = 64_000_000
CHUNK_BYTES = 32_000_000


def plan_chunks(total_bytes: int, *, chunk_bytes: int | None = None) -> ChunkPlan:
    """Cut a file of `total_bytes`: one chunk up to 64,000,000 bytes, else 32,000,000 each, the last with the remainder.

    `chunk_bytes`, from 5,000,000 to 32,000,000, takes the place of the latter, and its double that of the former.

    Raises ValueError under 1 byte and above 4 GiB.
    """
    if not 1 <= total_bytes <= MAX_VIDEO_BYTES:
        raise ValueError(f"TikTok takes videos of 1 to {MAX_VIDEO_BYTES} bytes, not {total_bytes}")
    single, several = (2 * chunk_bytes, chunk_bytes) if chunk_bytes else (SINGLE_CHUNK_BYTES, CHUNK_BYTES)
    chunk_size = total_bytes if total_bytes <= single else several
    return ChunkPlan(total_bytes=total_bytes, chunk_size=chunk_size, count=total_bytes // chunk_size)
