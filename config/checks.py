"""What must not be so on a server. `manage.py check --deploy` tells, and web, worker and beat refuse to start with it.

A BASE_URL on loopback is a machine of one's own, where nobody else comes in: there plain http and DEBUG are allowed.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

PLACEHOLDER = "insecure-key-for-debug-only"
MIN_SECRET_KEY = 50
MIN_DIFFERENT = 5


def is_loopback(url: str) -> bool:
    """Whether `url` leads to this very machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@register(Tags.security, deploy=True)
def production_is_not_insecure(**_: Any) -> list[CheckMessage]:
    """Settings that would lay a public site open."""
    if is_loopback(settings.BASE_URL):
        return []
    url, key = settings.BASE_URL, settings.SECRET_KEY
    found: list[CheckMessage] = []
    if settings.DEBUG:
        found.append(
            Error(
                f"DEBUG is on, and BASE_URL ({url}) is not this machine alone: error pages would show code.",
                hint="Remove DEBUG from the environment and .env.",
                id="config.E001",
            )
        )
    if key == PLACEHOLDER or len(key) < MIN_SECRET_KEY or len(set(key)) < MIN_DIFFERENT:
        found.append(
            Error(
                "SECRET_KEY is a placeholder or too short: sessions and links could be forged.",
                hint="Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'",
                id="config.E002",
            )
        )
    if urlsplit(url).scheme != "https":
        found.append(
            Error(
                f"BASE_URL is {url}: passwords and sessions would travel in the clear.",
                hint="Put a proxy with a certificate in front, and set BASE_URL to the https address.",
                id="config.E003",
            )
        )
    if "*" in settings.ALLOWED_HOSTS:
        found.append(
            Error(
                "ALLOWED_HOSTS holds *: links in e-mails could be made to lead to another site.",
                hint="List the host names that people use; the one of BASE_URL is the default.",
                id="config.E004",
            )
        )
    return found


@register(Tags.security, deploy=True)
def https_is_seen(**_: Any) -> list[CheckMessage]:
    """Behind a proxy, only its header tells that a request came by https."""
    if urlsplit(settings.BASE_URL).scheme != "https" or settings.TRUST_PROXY_HEADERS:
        return []
    return [
        Warning(
            "TRUST_PROXY_HEADERS is off: no request is known to have come by https, so browsers are not told to stay "
            "with it (HSTS), and all people behind the proxy share one log-in limit.",
            hint="Let the proxy set X-Forwarded-Proto and X-Forwarded-For itself, then set TRUST_PROXY_HEADERS=1.",
            id="config.W001",
        )
    ]
