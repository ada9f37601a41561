"""What TikTok sends, and a small real server for what a faked wire cannot do: resets, early ends, torn answers."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

API = "https://open.tiktokapis.com"
UPLOAD_URL = "https://open-upload.tiktokapis.com/video/?upload_id=67890&upload_token=Xza123secretsecret"
ACCESS_TOKEN = "act.accesstokenaccesstoken"
REFRESH_TOKEN = "rft.refreshtokenrefreshtoken"
CLIENT_SECRET = "clientsecretclientsecret"
LOG_ID = "20261121081235AB12CD34EF56AB12CD34"

GRANT = {
    "access_token": ACCESS_TOKEN,
    "expires_in": 7200,
    "open_id": "-000abcDEF_1",
    "refresh_expires_in": 15552000,
    "refresh_token": REFRESH_TOKEN,
    "scope": "user.info.basic,video.publish",
    "token_type": "Bearer",
}
CREATOR = {
    "creator_avatar_url": "https://lf16-tt4d.tiktokcdn.com/obj/avatar.jpeg",
    "creator_username": "creator",
    "creator_nickname": "A Creator",
    "privacy_level_options": ["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"],
    "comment_disabled": False,
    "duet_disabled": False,
    "stitch_disabled": True,
    "max_video_post_duration_sec": 300,
}


def ok(data: dict[str, Any] | None = None) -> dict[str, Any]:
    """An enveloped success."""
    body: dict[str, Any] = {"error": {"code": "ok", "message": "", "log_id": LOG_ID}}
    return body if data is None else {"data": data} | body


def refused(code: str, message: str = "") -> dict[str, Any]:
    """An enveloped refusal."""
    return {"data": {}, "error": {"code": code, "message": message, "log_id": LOG_ID}}


def http(status: int, body: bytes = b"null", **headers: str) -> bytes:
    """A raw HTTP answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def http_json(status: int, body: Any) -> bytes:
    """A raw HTTP answer with a JSON body."""
    return http(status, json.dumps(body).encode(), Content_Type="application/json")


def read_head(connection: socket.socket) -> tuple[str, bytes]:
    """Read up to the end of the request's headers; return them, and what came of the body with them."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        if not part:
            break
        received += part
    head, _, rest = received.partition(b"\r\n\r\n")
    return head.decode(), rest


def read_request(connection: socket.socket) -> tuple[str, bytes]:
    """Read a whole request with a Content-Length: its head and its body."""
    head, body = read_head(connection)
    wanted = next(
        (int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length")),
        0,
    )
    while len(body) < wanted:
        part = connection.recv(1 << 20)
        if not part:
            break
        body += part
    return head, body


def reset(connection: socket.socket) -> None:
    """Tear the connection down with a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Server:
    """A loopback server that hands each connection to `serve`, one after the other."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connection_count = 0
        self.errors: list[Exception] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connection_count += 1
            connection.settimeout(20)
            try:
                self._serve(connection)
            except OSError:
                pass  # the client hung up, which is what some tests are about
            except Exception as error:
                self.errors.append(error)
            finally:
                connection.close()

    def close(self) -> None:
        """Stop listening and wait for the connection at hand."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=20)
        assert not self.errors


@contextlib.contextmanager
def serving(serve: Callable[[socket.socket], None]) -> Iterator[Server]:
    """Run a Server for the block."""
    server = Server(serve)
    try:
        yield server
    finally:
        server.close()
