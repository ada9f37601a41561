"""Which addresses a video may be sent to.

The upload URL comes from TikTok's answer. It is used as it stands, so it is checked first: a wrong one would make this
server send a creator's video, and its own requests, wherever the answer says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from connections.errors import ConfigurationError, ResponseError

_HOST = re.compile(r"[a-z0-9.\-]{1,253}")
_DEFAULT_PORTS = {"https": 443, "http": 80}


class UploadHosts:
    """The allow-list: `allowed` host names, over https only, and the origin of `api_url`.

    A leading dot takes every host below.
    """

    def __init__(self, allowed: Iterable[str], *, api_url: str) -> None:
        self._allowed = tuple(host.strip().lower() for host in allowed if host.strip(" ."))
        self._api_origin = _origin(urlsplit(api_url))

    def check(self, upload_url: str) -> None:
        """Return if `upload_url` may be used. The messages below hold no more of it than its host.

        Raises ResponseError if it is no URL at all, ConfigurationError if its host is not allowed.
        """
        parts = _split(upload_url)
        origin = parts and _origin(parts)
        if parts is None or origin is None or "@" in parts.netloc:
            raise ResponseError("TikTok's upload URL is not a usable address")
        if origin == self._api_origin:
            return
        scheme, host, port = origin
        if not self._is_listed(host):
            shown = f"'{host}'" if _HOST.fullmatch(host) else "it names"
            raise ConfigurationError(f"The upload host {shown} is not allowed by TIKTOK_UPLOAD_HOSTS")
        if scheme != "https" or port != 443:
            raise ConfigurationError(f"The upload URL on '{host}' does not use https on its standard port")

    def _is_listed(self, host: str) -> bool:
        return any(
            host.endswith(entry) and not host.startswith(".") if entry.startswith(".") else host == entry
            for entry in self._allowed
        )


def _split(url: str) -> SplitResult | None:
    if not url or not all("!" <= character <= "~" and character != "\\" for character in url):
        return None
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _origin(parts: SplitResult) -> tuple[str, str, int] | None:
    try:
        port = parts.port
    except ValueError:
        return None
    default = _DEFAULT_PORTS.get(parts.scheme)
    if default is None or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, default if port is None else port
