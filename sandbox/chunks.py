"""TikTok's rules for cutting a file into chunks.

https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide
"""

from __future__ import annotations

MIN_CHUNK = 5_000_000
MAX_CHUNK = 64 * 1024 * 1024
MAX_LAST_CHUNK = 128 * 1024 * 1024
MAX_CHUNKS = 1000
MAX_FILE = 4 * 1024**3
"""Where MB or MiB is open, each bound is the more lenient of the two readings."""

BAD_SIZE = "The chunk size is invalid"
BAD_COUNT = "The total chunk count is invalid"


def plan_error(video_size: int, chunk_size: int, count: int) -> str:
    """What is wrong with a declared plan, in TikTok's words, or "".

    A lone chunk must declare the whole file; otherwise the count is the floor of the division and the last chunk
    takes the rest.
    """
    if not 1 <= count <= MAX_CHUNKS:
        return BAD_COUNT
    if count == 1:
        return BAD_SIZE if chunk_size != video_size or video_size > MAX_CHUNK else ""
    if not MIN_CHUNK <= chunk_size <= MAX_CHUNK:
        return BAD_SIZE
    if count != video_size // chunk_size:
        return BAD_COUNT
    if video_size - chunk_size * (count - 1) > MAX_LAST_CHUNK:
        return BAD_SIZE
    return ""


def chunk_bounds(index: int, *, video_size: int, chunk_size: int, count: int) -> tuple[int, int]:
    """First and last byte (inclusive) of the chunk at `index`, counted from 0."""
    first = index * chunk_size
    last = video_size - 1 if index == count - 1 else first + chunk_size - 1
    return first, last
