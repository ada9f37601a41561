"""The shapes on the wire: requests as handlers see them, answers, the three response families, log ids.

https://developers.tiktok.com/doc/tiktok-api-v2-error-handling (envelope)
https://developers.tiktok.com/doc/oauth-error-handling (flat)
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

MAX_BODY_BYTES = 4 * 1024 * 1024
JSON_TYPE = "application/json; charset=utf-8"
FORM_TYPE = "application/x-www-form-urlencoded"

GUIDELINES = "Please review our integration guidelines at https://developers.tiktok.com/doc/content-sharing-guidelines/"
OWNERSHIP = (
    "Please review our URL ownership verification rules at "
    "https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide"
)
UNKNOWN_CALLER = "The access token is invalid or not found in the request."
NO_SCOPE = "The user did not authorize the scope required for completing this request."
POST_INFO = "The request post info is empty or incorrect"
SOURCE_INFO = "The request source info is empty or incorrect"


def new_log_id() -> str:
    """A request id as TikTok's look: time to the second and 20 hex digits."""
    return time.strftime("%Y%m%d%H%M%S", time.gmtime()) + secrets.token_hex(10).upper()


@dataclass
class Answer:
    """A whole response, built before anything of it is sent."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)
    code: str = ""
    """TikTok's word for the outcome, for the request log."""

    async def send(self, send: Send) -> None:
        """Send it all at once."""
        await send(self.start(len(self.body)))
        await send({"type": "http.response.body", "body": self.body})

    def start(self, length: int | None) -> dict[str, Any]:
        """The ASGI message that opens this response; `length` None means chunked."""
        headers = [(b"content-type", self.content_type.encode())]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        headers += [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in self.headers.items()]
        return {"type": "http.response.start", "status": self.status, "headers": headers}


class ApiError(Exception):
    """A refusal in the envelope family: HTTP status, code, message."""

    def __init__(
        self, status: int, code: str, message: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


class FlatError(Exception):
    """A refusal in the OAuth family: category, text and the HTTP status that goes with it."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status


@dataclass
class Request:
    """One API request, its body read only when a handler wants it."""

    scope: Scope
    receive: Receive
    endpoint: str
    log_id: str
    notes: dict[str, Any] = field(default_factory=dict)
    """What handlers found out on the way, for the request log: creator, publish_id, …"""

    @cached_property
    def headers(self) -> dict[str, str]:
        """Header values by lower-case name; repeated headers are joined by a comma."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in self.scope["headers"]:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    @cached_property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True))

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def host_url(self) -> str:
        """Scheme and host as the client addressed them."""
        return f"{self.scope.get('scheme', 'http')}://{self.headers.get('host', 'localhost')}"

    async def body(self) -> bytes:
        """The whole body; at most MAX_BODY_BYTES. ClientDisconnect: the client went away first."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > MAX_BODY_BYTES:
                raise ApiError(413, "invalid_params", "The request body is too large")
            if not message.get("more_body"):
                return b"".join(parts)


def bearer(request: Request) -> str:
    """The token of the Authorization header, or ""."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def dump(document: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
