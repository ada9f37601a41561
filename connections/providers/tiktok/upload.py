"""Send one chunk to an upload URL.

Source: https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from connections.errors import ProviderError, TransportError, UploadExpiredError, UploadRangeError
from connections.providers.base import Chunk, ChunkReceipt
from connections.providers.tiktok.errors import error_from, read_refusal, without_secrets
from connections.providers.tiktok.hosts import UploadHosts
from connections.providers.tiktok.http import Answer, Http
from connections.providers.tiktok.parsing import decode_json

_PIECE_BYTES = 64 * 1024
"""Handed to the socket at once. The time-out counts for one piece, and smaller pieces than the blocks that are read
stay in the processor's cache on their way."""
_PROGRESS = re.compile(r"bytes\s+0-(-?\d{1,19})/(\d{1,19})")


class _SourceError(Exception):
    """Carries what the blocks raised past the HTTP library, which would take an OSError for one of the connection."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class _Body:
    """A request body of known length. The connection iterates it, so that no more than one block is held."""

    def __init__(self, blocks: Iterable[bytes | memoryview], size: int) -> None:
        self._blocks = blocks
        self._size = size
        self.is_cut = False
        """Whether sending began and did not come to the end."""

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[memoryview]:
        self.is_cut = True
        try:
            yield from _pieces(self._blocks, self._size)
            self.is_cut = False
        except Exception as error:
            raise _SourceError(error) from None


def _pieces(blocks: Iterable[bytes | memoryview], size: int) -> Iterator[memoryview]:
    sent = 0
    for block in blocks:
        sent += len(block)
        if sent > size:
            raise ValueError(f"the blocks hold more than the chunk's {size} bytes")
        view = memoryview(block)
        for start in range(0, len(view), _PIECE_BYTES):
            yield view[start : start + _PIECE_BYTES]
    if sent < size:
        raise ValueError(f"the blocks ended after {sent} of the chunk's {size} bytes")


def send_chunk(
    http: Http,
    hosts: UploadHosts,
    *,
    upload_url: str,
    chunk: Chunk,
    total_bytes: int,
    content_type: str,
    blocks: Iterable[bytes | memoryview],
) -> ChunkReceipt:
    """PUT one chunk, one block at a time as the socket takes them; no token is sent.

    If TikTok answers and hangs up before the last block, that answer counts. Blocks of 256 KiB or more are quickest.

    Raises UploadExpiredError (401, 403, 404), UploadRangeError (416), RejectedError, RateLimitError, TransportError;
    ConfigurationError or ResponseError for a URL that is not followed; ValueError for blocks that do not add up to the
    chunk; and whatever `blocks` raises, after closing the connection.
    """
    hosts.check(upload_url)
    body = _Body(blocks, chunk.size)
    headers = {
        "Content-Type": content_type,
        "Content-Range": f"bytes {chunk.first}-{chunk.last}/{total_bytes}",
    }
    try:
        answer = http.send("PUT", upload_url, headers=headers, data=body, is_body_needed=False)
    except _SourceError as wrapped:
        source_error = wrapped.error
    else:
        if answer.is_success and body.is_cut:
            raise TransportError("TikTok answered before it had the whole chunk", http_status=answer.status)
        return _receipt(answer, chunk, total_bytes, upload_url)
    raise source_error


def _receipt(answer: Answer, chunk: Chunk, total_bytes: int, upload_url: str) -> ChunkReceipt:
    if not answer.is_success:
        raise _refusal(answer, chunk, total_bytes, upload_url)
    stored = stored_bytes(answer.headers.get("Content-Range", ""), chunk=chunk, total_bytes=total_bytes)
    is_last = chunk.last + 1 == total_bytes
    is_complete = is_last and (answer.status != 206 or stored == total_bytes)
    return ChunkReceipt(is_complete=is_complete, stored_bytes=stored)


def _refusal(answer: Answer, chunk: Chunk, total_bytes: int, upload_url: str) -> ProviderError:
    secrets = _secrets_of(upload_url)
    if answer.status not in {401, 403, 404, 416}:
        return error_from(answer, secrets=secrets)
    refusal = without_secrets(read_refusal(decode_json(answer.body), answer.headers), secrets)
    details = {"code": refusal.code, "log_id": refusal.log_id}
    if answer.status == 416:
        stored = stored_bytes(answer.headers.get("Content-Range", ""), chunk=chunk, total_bytes=total_bytes)
        return UploadRangeError(
            "TikTok expects another part of the file",
            stored_bytes=stored,
            http_status=answer.status,
            **details,
        )
    # A 401 speaks of the URL too: a chunk carries no token that could have been refused.
    words = "TikTok does not know this upload" if answer.status == 404 else "The upload URL has expired"
    return UploadExpiredError(words, http_status=answer.status, **details)


def stored_bytes(content_range: str, *, chunk: Chunk, total_bytes: int) -> int | None:
    """Return how many bytes TikTok holds by its header `bytes 0-<n>/<total>`, or None if that cannot be told.

    TikTok does not say whether n is the last index or a count, so the reading that ends where a chunk ends is taken.
    """
    match = _PROGRESS.fullmatch(content_range.strip())
    if match is None or int(match[2]) != total_bytes:
        return None
    number = int(match[1])
    readings = [count for count in {number, number + 1} if _ends_a_chunk(count, chunk, total_bytes)]
    return readings[0] if len(readings) == 1 else None


def _ends_a_chunk(count: int, chunk: Chunk, total_bytes: int) -> bool:
    if count == total_bytes:
        return True
    chunk_size = chunk.first // chunk.index if chunk.index else chunk.size
    last_start = (total_bytes // chunk_size - 1) * chunk_size
    return 0 <= count <= last_start and count % chunk_size == 0


def _secrets_of(upload_url: str) -> list[str]:
    _, _, query = upload_url.partition("?")
    values = [value for pair in query.split("&") for value in pair.split("=", 1) if len(value) >= 8]
    return [upload_url, query, *values]
