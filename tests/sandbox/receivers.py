"""Small HTTP servers for the other end: a webhook receiver and a media host."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_SECONDS = 10.0


@dataclass
class Received:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """What a media host answers."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None
    """Where set, the second half of the body waits for it."""


class Receiver:
    """A server on a free loopback port. POSTs land in a queue, GETs are answered from `files`."""

    def __init__(self) -> None:
        self.arrived: queue.Queue[Received] = queue.Queue()
        self.statuses: list[int] = []
        self.files: dict[str, Reply] = {}
        self.asked: list[str] = []
        self.answered: queue.Queue[str] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def next(self) -> Received:
        """The next webhook; queue.Empty if none comes."""
        return self.arrived.get(timeout=WAIT_SECONDS)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.statuses.pop(0) if receiver.statuses else 200
            receiver.arrived.put(Received(self.path, dict(self.headers), body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            receiver.asked.append(self.path)
            reply = receiver.files.get(self.path.partition("?")[0], Reply(404))
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            half = len(reply.body) // 2 if reply.hold else len(reply.body)
            self.wfile.write(reply.body[:half])
            if reply.hold:
                self.wfile.flush()
                reply.hold.wait(WAIT_SECONDS)
                self._finish(reply.body[half:])
            receiver.answered.put(self.path)

        def _finish(self, rest: bytes) -> None:
            try:
                self.wfile.write(rest)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def eventually(
    read: Callable[[], Any], accept: Callable[[Any], bool], *, seconds: float = WAIT_SECONDS
) -> Any:
    """Read again and again until the value is accepted; AssertionError with the last value after `seconds`."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        value = read()
        if accept(value):
            return value
        pause.wait(0.05)
    raise AssertionError(f"still {value!r}")
