"""The last net under the logs: what looks like a secret is blotted out before a line is written, tracebacks included.

The code keeps secrets out of its messages by itself; this is for the message that somebody else's library writes.
TikTok's token prefixes: https://developers.tiktok.com/doc/oauth-user-access-token-management
"""

from __future__ import annotations

import logging
import re

BLOT = "[redacted]"
_VALUE = r"[^\s\"'&<>,;)}\]]+"
_NAMES = (
    "access_token|refresh_token|upload_token|upload_url|client_secret|client_ticket|code_verifier|"
    "signing_secret|webhook_secret|authorization|password|secret_key|encryption_keys?"
)

_RULES: list[tuple[re.Pattern[str], str]] = [
    # TikTok's access, refresh and client tokens
    (re.compile(r"\b(act|rft|clt)\.[\w!.*%~-]{6,}"), rf"\1.{BLOT}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w!.*%~+/=-]{6,}"), rf"\1 {BLOT}"),
    # An upload URL carries its own permission; the host is enough to follow a problem.
    (re.compile(r"(?i)(https?://[^\s/\"'<>]*upload[^\s/\"'<>]*)/[^\s\"'<>]*"), rf"\1/{BLOT}"),
    (re.compile(r"(?i)(https?://[^\s/\"'<>]+)/[^\s\"'<>]*upload[^\s\"'<>]*"), rf"\1/{BLOT}"),
    # The password in a database's or broker's URL
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s/@]+@"), rf"\1:{BLOT}@"),
    # name=value, name: value, "name": "value"
    (
        re.compile(rf"(?i)\b({_NAMES})([\"']?\s*[=:]\s*[\"']?)(?!\[redacted|bearer |basic ){_VALUE}"),
        rf"\1\2{BLOT}",
    ),
    # An authorization code in a URL, and elsewhere unless it reads like TikTok's error codes (`code=spam_risk`)
    (re.compile(rf"([?&](?:code|state)=){_VALUE}"), rf"\1{BLOT}"),
    # Links that are as good as a password: invitations, resets, confirmations, addresses that TikTok fetches from
    (
        re.compile(rf"(\b(?:invitation|password/reset/key|confirm-email|media/pull)/)(?!\[redacted){_VALUE}"),
        rf"\1{BLOT}",
    ),
    # The same as arguments of a view, as Python prints them
    (
        re.compile(r"([\"'](?:token|key|code|state)[\"']\s*:\s*[\"'])(?![a-z_]+[\"'])[^\"'\s\[]{16,}"),
        rf"\1{BLOT}",
    ),
    (
        re.compile(rf"\b(code=)(?![a-z_]+(?:[\s\"'&<>,;)}}\]]|$)|-?\d{{1,6}}\b|\[redacted){_VALUE}"),
        rf"\1{BLOT}",
    ),
    # A sealed value of ours: https://github.com/fernet/spec/blob/master/Spec.md
    (re.compile(r"\bgAAAA[\w-]{20,}={0,2}"), BLOT),
]


def redact(text: str) -> str:
    """Return `text` with everything that looks like a secret blotted out."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


class RedactingFormatter(logging.Formatter):
    """Formats as usual and redacts the whole result: message, arguments, traceback and stack."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as text, without secrets."""
        return redact(super().format(record))
