"""Webhooks as TikTok sends them: bodies of the documented form, signed or forged."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

from django.test import Client

CLIENT_KEY = "sbtest0000000000"
SECRET = "test-client-secret"
URL = "/webhooks/tiktok/"
PUBLISH_ID = "v_pub_file~v2-1.7000000000000000001"
ACCOUNT = "-000SimUser01"


def event_body(event: str, content: Any = None, **changes: Any) -> bytes:
    """The JSON of one event. A dict as `content` travels as text inside it; None leaves a key out."""
    if isinstance(content, dict):
        content = json.dumps(content, separators=(",", ":"))
    message = {
        "client_key": CLIENT_KEY,
        "event": event,
        "create_time": int(time.time()),
        "user_openid": ACCOUNT,
        "content": content,
    } | changes
    kept = {name: value for name, value in message.items() if value is not None}
    return json.dumps(kept, separators=(",", ":")).encode()


def completed(publish_id: str = PUBLISH_ID, **changes: Any) -> bytes:
    """A post was published."""
    content = {"publish_id": publish_id, "publish_type": "DIRECT_PUBLISH"}
    return event_body("post.publish.complete", content, **changes)


def removed(reason: Any = 1, **changes: Any) -> bytes:
    """An authorization ended."""
    return event_body("authorization.removed", {"reason": reason}, **changes)


def sign(body: bytes, *, secret: str = SECRET, at: float | None = None) -> str:
    """The value of the header."""
    timestamp = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},s={digest}"


def deliver(body: bytes, *, header: str | None = None, url: str = URL, **signing: Any) -> Any:
    """Post `body` as TikTok does; `header` replaces the signature. Returns the answer."""
    signature = sign(body, **signing) if header is None else header
    return Client(enforce_csrf_checks=True).post(
        url, body, content_type="application/json", headers={"Tiktok-Signature": signature}
    )
