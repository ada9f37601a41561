"""TikTok's webhooks: is it truly from TikTok, and what does it say?

Sources: https://developers.tiktok.com/doc/webhooks-verification https://developers.tiktok.com/doc/webhooks-events
and, for the events of publishing, https://developers.tiktok.com/doc/content-posting-api-reference-get-video-status
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from connections.providers.base import WebhookKind, WebhookNotice, WebhookRefusedError
from connections.providers.tiktok.parsing import as_object, decode_json

SIGNATURE_HEADER = "Tiktok-Signature"

MAX_AGE = timedelta(hours=72, minutes=5)
"""TikTok repeats an event for 72 hours and does not say whether each repetition is signed afresh.

A narrower window could refuse a true one. What protects against replays is that each event is taken once.
"""

MAX_AHEAD = timedelta(minutes=5)

# One spelling for each event. TikTok itself misspells one of a pair, and both other forms are met in the field.
_SPELLINGS: Mapping[str, str] = MappingProxyType(
    {
        "post.publish.completed": "post.publish.complete",
        "post.publish.no_longer_publicaly_available": "post.publish.no_longer_publicly_available",  # sic
    }
)
_PUBLISH_PREFIX = "post.publish."
_REMOVED = "authorization.removed"
_DEVELOPER_REVOKED = 5

_REMOVAL_WORDS: Mapping[int, str] = MappingProxyType(
    {
        1: "Access was removed in TikTok's settings. Reconnect the account to go on.",
        2: "This TikTok account was deleted. Disconnect it, or reconnect it if it exists again.",
        3: "TikTok ended the access because the age of the account's owner was changed. Try to reconnect the account.",
        4: "TikTok has banned this account. Once the ban is lifted, reconnect the account to go on.",
        5: "This service's access to the account was withdrawn. Reconnect the account to go on.",
    }
)
_REMOVED_WITHOUT_REASON = "TikTok ended the access to this account. Reconnect it to go on."

_UNREADABLE = WebhookNotice(WebhookKind.UNREADABLE)
_LATEST_SECOND = 253_402_300_799  # the last of the year 9999, which is as far as datetime goes


@dataclass(frozen=True)
class TikTokWebhooks:
    """Reads the webhooks of one app."""

    client_key: str
    client_secret: str = field(repr=False)

    def read(self, *, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookNotice:
        """Return what TikTok tells. A signed body that is no JSON object is a notice too, an unreadable one.

        Raises WebhookRefusedError: no or a wrong signature, older than MAX_AGE, further ahead than MAX_AHEAD, or signed
        for another client key.
        """
        signed_at = self._verify(headers.get(SIGNATURE_HEADER, ""), body)
        if now.timestamp() - signed_at > MAX_AGE.total_seconds():
            raise WebhookRefusedError("signed too long ago", is_signed=True)
        if signed_at - now.timestamp() > MAX_AHEAD.total_seconds():
            raise WebhookRefusedError("signed in the future", is_signed=True)
        message = decode_json(body)
        if not isinstance(message, dict):
            return _UNREADABLE
        if message.get("client_key") != self.client_key:
            raise WebhookRefusedError("for another client key", is_signed=True)
        return _notice(message)

    def _verify(self, header: str, body: bytes) -> int:
        """Return the time of signing in epoch seconds. The digest is compared in constant time, before the age."""
        parts = dict(part.strip().partition("=")[::2] for part in header.split(",", 8))
        time, signature = parts.get("t", ""), parts.get("s", "")
        if not self.client_secret or not (time.isascii() and time.isdigit() and len(time) <= 12):
            raise WebhookRefusedError("not signed", is_signed=False)
        message = time.encode() + b"." + body
        expected = hmac.new(self.client_secret.encode(), message, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), signature.lower().encode("utf-8", "replace")):
            raise WebhookRefusedError("wrong signature", is_signed=False)
        return int(time)


def _notice(message: Mapping[str, Any]) -> WebhookNotice:
    name = _word(message.get("event"), longest=80)
    if not name:
        return _UNREADABLE
    name = _SPELLINGS.get(name, name)
    content = _content(message)
    publish_id = _word(content.get("publish_id"), longest=64)
    account_id = _word(message.get("user_openid"), longest=128)  # sic
    is_removal = name == _REMOVED and bool(account_id)
    reason = _number(content.get("reason"))
    return WebhookNotice(
        kind=_kind(name, publish_id=publish_id, is_removal=is_removal),
        name=name,
        account_id=account_id,
        occurred_at=_moment(message.get("create_time")),
        publish_id=publish_id,
        post_id=_digits(content.get("post_id")),
        message=_REMOVAL_WORDS.get(reason or 0, _REMOVED_WITHOUT_REASON) if is_removal else "",
        is_own_doing=is_removal and reason == _DEVELOPER_REVOKED,
    )


def _kind(name: str, *, publish_id: str, is_removal: bool) -> WebhookKind:
    if name.startswith(_PUBLISH_PREFIX) and publish_id:
        return WebhookKind.PUBLISH
    return WebhookKind.AUTHORIZATION_REMOVED if is_removal else WebhookKind.OTHER


def _content(message: Mapping[str, Any]) -> dict[str, Any]:
    """The content is JSON text inside the JSON. An object is taken too."""
    content = message.get("content")
    return as_object(decode_json(content.encode("utf-8", "replace")) if isinstance(content, str) else content)


def _word(value: Any, *, longest: int) -> str:
    """A string of visible ASCII, or "": what else may come is nothing that we could look up."""
    is_word = isinstance(value, str) and len(value) <= longest and all("!" <= char <= "~" for char in value)
    return value if is_word else ""


def _digits(value: Any) -> str:
    """An id, sent as a number or as text. It has 19 digits, so it is never a float."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63:
        return str(value)
    return (
        value if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 64 else ""
    )


def _number(value: Any) -> int | None:
    digits = _digits(value)
    return int(digits) if digits else None


def _moment(value: Any) -> datetime | None:
    seconds = _number(value)
    return datetime.fromtimestamp(seconds, UTC) if seconds and seconds <= _LATEST_SECOND else None
