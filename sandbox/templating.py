"""Templates and how pages put values into words."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sandbox.wire import Answer

HERE = Path(__file__).parent
SCOPE_WORDS = {
    "user.info.basic": "Read your profile picture and display name",
    "user.info.profile": "Read your handle, bio and profile link",
    "user.info.stats": "Read your follower, like and video counts",
    "video.list": "Read your public videos",
    "video.upload": "Send drafts to your inbox",
    "video.publish": "Post to your profile",
}
PRIVACY_WORDS = {
    "PUBLIC_TO_EVERYONE": "Everyone",
    "MUTUAL_FOLLOW_FRIENDS": "Friends",
    "FOLLOWER_OF_CREATOR": "Followers",
    "SELF_ONLY": "Only me",
}

_templates = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined
)


def page(name: str, status: int = 200, **context: Any) -> Answer:
    """An HTML answer from one template."""
    text = _templates.get_template(name).render(**context)
    return Answer(status, text.encode(), "text/html; charset=utf-8", {"Cache-Control": "no-store"})


def moment(seconds: float | None) -> str:
    """A time to the second, in UTC."""
    return time.strftime("%d %b %Y, %H:%M:%S UTC", time.gmtime(seconds)) if seconds else "never"


def size(count: int) -> str:
    """Bytes in the unit that reads best."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def brief(number: int) -> str:
    """A count as profiles show it: 12.8K."""
    if number < 10_000:
        return f"{number:,}"
    return f"{number / 1000:.1f}K" if number < 1_000_000 else f"{number / 1_000_000:.1f}M"


def _scope_words(scope: str) -> str:
    return SCOPE_WORDS.get(scope, scope)


def _privacy_words(level: str) -> str:
    return PRIVACY_WORDS.get(level, level)


_templates.filters |= {
    "moment": moment,
    "size": size,
    "brief": brief,
    "scope_words": _scope_words,
    "privacy_words": _privacy_words,
}
