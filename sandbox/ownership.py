"""Which URLs an app has verified as its own.

https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from sandbox.models import App


def is_verified(app: App, url: str, *, insecure: bool = False) -> bool:
    """Whether `url` lies under a verified domain (sub-domains included) or begins with a verified prefix.

    Only https and only host names count; `insecure` lets http and IP addresses pass as well, for media servers on
    this machine.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        parts.port  # noqa: B018  # raises ValueError where the port is no number
    except ValueError:
        return False
    if not host or "@" in parts.netloc or parts.scheme not in ({"https", "http"} if insecure else {"https"}):
        return False
    if not insecure and _is_address(host):
        return False
    if any(host == domain or host.endswith(f".{domain}") for domain in map(str.lower, app.verified_domains)):
        return True
    return any(url.startswith(prefix) for prefix in app.verified_prefixes if prefix.endswith("/"))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
