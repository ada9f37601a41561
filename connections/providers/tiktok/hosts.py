"""Which addresses a video may be sent to.

The upload URL comes from TikTok's answer. It is used as it stands, so it is checked first: a wrong one would make this
server send a creator's video, and its own requests, wherever the answer says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from config.outside_urls import ForbiddenUrlError, Origin, parse_origin
from connections.errors import ConfigurationError, ResponseError

_HOST = re.compile(r"[a-z0-9.\-]{1,253}")


class UploadHosts:
    """The allow-list: `allowed` host names, over https only, and the origin of `api_url`.

    A leading dot takes every host below.
    """

    def __init__(self, allowed: Iterable[str], *, api_url: str) -> None:
        self._allowed = tuple(host.strip().lower() for host in allowed if host.strip(" ."))
        self._api_origin = _origin(api_url)

    def check(self, upload_url: str) -> None:
        """Return if `upload_url` may be used. The messages below hold no more of it than its host.

        Raises ResponseError if it is no URL at all, ConfigurationError if its host is not allowed.
        """
        origin = _origin(upload_url)
        if origin is None:
            raise ResponseError("TikTok's upload URL is not a usable address")
        if origin == self._api_origin:
            return
        host = origin.host
        if not self._is_listed(host):
            shown = f"'{host}'" if _HOST.fullmatch(host) else "it names"
            raise ConfigurationError(f"The upload host {shown} is not allowed by TIKTOK_UPLOAD_HOSTS")
        if origin.scheme != "https" or origin.port != 443:
            raise ConfigurationError(f"The upload URL on '{host}' does not use https on its standard port")

    def _is_listed(self, host: str) -> bool:
        return any(
            host.endswith(entry) and not host.startswith(".") if entry.startswith(".") else host == entry
            for entry in self._allowed
        )


def _origin(url: str) -> Origin | None:
    """Where `url` leads, None if it is no usable address."""
    try:
        return parse_origin(url)
    except ForbiddenUrlError:
        return None
