"""A server that takes PUTs of any size and drops the bytes: `python -m benchmarks.sink PORT [CERTIFICATE KEY]`."""

from __future__ import annotations

import asyncio
import ssl
import sys


class Sink(asyncio.BufferedProtocol):
    """One connection: reads a request's head, counts its body away, answers 206, and waits for the next."""

    def __init__(self) -> None:
        self._buffer = bytearray(1024 * 1024)
        self._view = memoryview(self._buffer)
        self._head = b""
        self._left = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        if self._left:
            self._left -= nbytes
        else:
            self._head += bytes(self._view[:nbytes])
            head, found, rest = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            self._head = b""
            self._left = _length(head) - len(rest)
        if self._left <= 0 and self._transport is not None:
            self._left = 0
            self._transport.write(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\n\r\nnull")


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    raise ValueError("a request without a length")


async def _serve(port: int, certificate: list[str]) -> None:
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, ssl=context)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2:]))
