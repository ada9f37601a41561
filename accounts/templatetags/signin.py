"""What the pages about logging in need: words for a browser, and data for the passkey script."""

from __future__ import annotations

import json
import re
from typing import Any

from django import template
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder

register = template.Library()

# In this order: a browser also names those that it descends from.
_BROWSERS = [
    ("Edge", r"Edg(e|A|iOS)?/"),
    ("Opera", r"OPR/"),
    ("Samsung Internet", r"SamsungBrowser/"),
    ("Firefox", r"(Firefox|FxiOS)/"),
    ("Chrome", r"(Chrome|CriOS|HeadlessChrome)/"),
    ("Safari", r"Safari/"),
]
_SYSTEMS = [
    ("Android", r"Android"),
    ("iPhone", r"iPhone"),
    ("iPad", r"iPad"),
    ("Windows", r"Windows"),
    ("macOS", r"Mac OS X|Macintosh"),
    ("ChromeOS", r"CrOS"),
    ("Linux", r"Linux"),
]


@register.simple_tag
def tiktok_sign_in() -> bool:
    """Whether people may log in with TikTok here."""
    return bool(settings.TIKTOK_SIGN_IN)


@register.filter
def as_json(value: Any) -> str:
    """Write `value` as JSON, for a data attribute; the template escapes it."""
    return json.dumps(value, cls=DjangoJSONEncoder)


@register.filter
def browser_name(user_agent: str) -> str:
    """Say what a User-Agent header most likely is: "Firefox on Windows", or "A browser" for none that is known."""
    browser = _first(_BROWSERS, user_agent) or "A browser"
    system = _first(_SYSTEMS, user_agent)
    return f"{browser} on {system}" if system else browser


def _first(known: list[tuple[str, str]], text: str) -> str:
    return next((name for name, pattern in known if re.search(pattern, text)), "")
