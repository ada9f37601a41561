"""uvicorn, with the connection within reach of the application and a quick, clean end."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Generator
from types import FrameType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

GRACE_SECONDS = 0.5
KEEP_ALIVE_SECONDS = 75


class Protocol(HttpToolsProtocol):
    """Puts the transport into the ASGI scope, so that a fault can break the connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["sandbox.transport"] = self.transport  # type: ignore[typeddict-unknown-key]


class Server(uvicorn.Server):
    """Ends with status 0 on SIGTERM and SIGINT, where uvicorn would raise the signal once more."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        handled = (signal.SIGTERM, signal.SIGINT)
        before = {sig: signal.signal(sig, self._leave) for sig in handled}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """All is written when this returns; a thread that still hangs in a name lookup is not waited for."""
        # What is cut off now is cut off on purpose: uvicorn need not complain.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)
        last = threading.Timer(GRACE_SECONDS, os._exit, [0])
        last.daemon = True
        last.start()

    def _leave(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True


def serve(app: ASGIApp, *, host: str, port: int, listening: socket.socket | None = None) -> bool:
    """Serve until told to end, on `listening` if given; False if the port could not be taken."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Protocol,
        loop="asyncio",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,  # type: ignore[arg-type]  # a float does
    )
    server = Server(config)
    server.run(sockets=[listening] if listening else None)
    return server.started
