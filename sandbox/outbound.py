"""A small HTTP/1.1 client: one request, one connection, no redirects followed, cancelable at any await.

Bodies come as a stream, so that a pulled video is never held in memory.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

BLOCK = 256 * 1024
USER_AGENT = "sandbox-fetch"


class OutboundError(Exception):
    """The other side did not give a usable answer."""


@dataclass
class Reply:
    """Status, headers (lower-case names) and a body still to be read."""

    status: int
    headers: dict[str, str]
    reader: asyncio.StreamReader

    async def blocks(self) -> AsyncIterator[bytes]:
        """The body in blocks. OutboundError: it ended too early or its framing is wrong."""
        try:
            if self.headers.get("transfer-encoding", "").lower() == "chunked":
                async for block in self._chunked():
                    yield block
            elif "content-length" in self.headers:
                async for block in self._exactly(int(self.headers["content-length"])):
                    yield block
            else:
                while block := await self.reader.read(BLOCK):
                    yield block
        except (OSError, ValueError, EOFError) as error:
            raise OutboundError(f"The body could not be read: {type(error).__name__}") from error

    async def _exactly(self, size: int) -> AsyncIterator[bytes]:
        while size:
            block = await self.reader.read(min(size, BLOCK))
            if not block:
                raise EOFError
            size -= len(block)
            yield block

    async def _chunked(self) -> AsyncIterator[bytes]:
        while size := int((await self.reader.readline()).partition(b";")[0].strip() or b"x", 16):
            async for block in self._exactly(size):
                yield block
            await self.reader.readline()


@asynccontextmanager
async def request(
    method: str, url: str, headers: dict[str, str], body: bytes = b"", *, connect_timeout: float = 5.0
) -> AsyncIterator[Reply]:
    """Send a request and yield its reply. OutboundError: no connection, or no valid answer."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    try:
        port = parts.port or (443 if secure else 80)
        opening = asyncio.open_connection(
            parts.hostname, port, ssl=ssl.create_default_context() if secure else None, limit=BLOCK
        )
        reader, writer = await asyncio.wait_for(opening, connect_timeout)
    except (OSError, ValueError, TimeoutError) as error:
        raise OutboundError(f"No connection: {type(error).__name__}") from error
    try:
        yield await _exchange(reader, writer, method, url, headers, body)
    finally:
        writer.close()


async def post(url: str, body: bytes, headers: dict[str, str], *, timeout: float) -> int:
    """POST `body` and return the status. OutboundError: no answer within `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            async with request("POST", url, headers, body, connect_timeout=timeout) as reply:
                return reply.status
    except TimeoutError as error:
        raise OutboundError("No answer in time") from error


async def _exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes,
) -> Reply:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in {"User-Agent": USER_AGENT, **headers}.items()]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        await writer.drain()
        status = int((await reader.readline()).split(b" ", 2)[1])
        return Reply(status, await _read_headers(reader), reader)
    except (OSError, ValueError, IndexError, EOFError) as error:
        raise OutboundError(f"No valid answer: {type(error).__name__}") from error


async def _read_headers(reader: asyncio.StreamReader) -> dict[str, str]:
    found: dict[str, str] = {}
    while (line := (await reader.readline()).decode("latin-1").strip()) and len(found) < 200:
        name, _, value = line.partition(":")
        found[name.strip().lower()] = value.strip()
    return found
