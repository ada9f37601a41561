"""The one rule for addresses that somebody else names: where this server lets itself be sent.

A picture's address in a platform's answer could lead to this machine, its neighbours or a cloud's metadata service.
So the form is judged strictly, every address that the name resolves to must be a public one, and the connection is made
to the very address that was judged, not to what the name resolves to a moment later.
Source: https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter

DEFAULT_PORTS = {"https": 443, "http": 80}
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_REDIRECTS = {301, 302, 303, 307, 308}
_UNICAST = IPv6Network("2000::/3")
"""All that is given out of IPv6. What leads on to IPv4 (NAT64, mapped, compatible) lies outside."""

_NOT_PUBLIC: tuple[IPv4Network | IPv6Network, ...] = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments; one cloud's metadata
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv6Network("2002::/16"),  # 6to4
    IPv6Network("2001::/32"),  # Teredo
)
"""Beyond what Python's `ipaddress` knows: https://www.iana.org/assignments/iana-ipv4-special-registry"""


class ForbiddenUrlError(Exception):
    """This address must not be used. The text says why and holds nothing of the address, which may be signed."""


class FetchError(Exception):
    """The address may be used, but did not give what was asked for. The text holds nothing of it."""


@dataclass(frozen=True)
class Origin:
    """Scheme, host in lower case (an IPv6 address without brackets) and port."""

    scheme: str
    host: str
    port: int

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The host, if it is an address and no name."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None


def parse_origin(url: str) -> Origin:
    """Return where an http(s) address leads. Raises ForbiddenUrlError for any form that readers could disagree on."""
    if not url or not all("!" <= character <= "~" and character != "\\" for character in url):
        raise ForbiddenUrlError("it is no web address")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ForbiddenUrlError("it is no web address") from None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ForbiddenUrlError("it is no web address")
    if "@" in parts.netloc:
        raise ForbiddenUrlError("it holds a user name")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port == 0 or parts.netloc.lower() != (host if port is None else f"{host}:{port}") or "%" in host:
        raise ForbiddenUrlError("it is no web address in the usual form")
    origin = Origin(parts.scheme, parts.hostname, DEFAULT_PORTS[parts.scheme] if port is None else port)
    if origin.address is None and not _is_name(origin.host):
        raise ForbiddenUrlError("its host is neither a name nor an address in the usual form")
    return origin


def _is_name(host: str) -> bool:
    """Whether this is a DNS name. One whose last label is a number would be read as an IPv4 address by some.

    Source: https://url.spec.whatwg.org/#ends-in-a-number-checker
    """
    labels = host.split(".")
    return (
        len(host) <= 253
        and all(_LABEL.fullmatch(label) for label in labels)
        and not _NUMBER.fullmatch(labels[-1])
    )


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether `address` is one of the internet's own: not this machine, a private network, link-local or metadata."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address not in _UNICAST:
            return False
    is_special = any(address in network for network in _NOT_PUBLIC if network.version == address.version)
    return address.is_global and not (is_special or address.is_multicast or address.is_reserved)


def own_origins() -> Collection[Origin]:
    """The platform's API as configured: the operator chose it, so it may be on this very machine, over http."""
    return [parse_origin(settings.TIKTOK_API_URL)]


def check_url(url: str) -> tuple[Origin, str]:
    """Return where `url` leads and the address to connect to. Raises ForbiddenUrlError.

    Allowed are https on its own port to public addresses (with DEBUG, http too), and the configured API.
    """
    origin = parse_origin(url)
    is_own = origin in own_origins()
    if not is_own:
        _check_way(origin)
    addresses = _resolve(origin)
    if not is_own and not all(map(is_public, addresses)):
        raise ForbiddenUrlError("it leads into a private network")
    return origin, str(addresses[0])


def _check_way(origin: Origin) -> None:
    if origin.scheme != "https" and not settings.DEBUG:
        raise ForbiddenUrlError("it is not https")
    if origin.port != DEFAULT_PORTS[origin.scheme]:
        raise ForbiddenUrlError("it names an unusual port")


def _resolve(origin: Origin) -> list[IPv4Address | IPv6Address]:
    if origin.address is not None:
        return [origin.address]
    try:
        found = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        # The zone of a link-local address stands behind a %.
        addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    except (OSError, UnicodeError, ValueError):
        raise ForbiddenUrlError("its host is not known") from None
    if not addresses:
        raise ForbiddenUrlError("its host is not known")
    return addresses


def fetch(url: str, *, max_bytes: int, seconds: float, redirects: int = 2) -> bytes:
    """Return what is at `url`, at most `max_bytes`. Each redirect is judged like the first address.

    Raises ForbiddenUrlError, or FetchError for anything but a whole answer with status 200 within `seconds` (the
    resolver's own time excepted).
    """
    ends_at = time.monotonic() + seconds
    for _ in range(redirects + 1):
        origin, address = check_url(url)
        try:
            with requests.Session() as session:
                session.trust_env = False
                session.mount(f"{origin.scheme}://", _ToAddress(address, origin))
                with session.get(url, stream=True, timeout=(3, 5), allow_redirects=False) as answer:
                    if answer.status_code not in _REDIRECTS:
                        return _read(answer, max_bytes=max_bytes, ends_at=ends_at)
                    url = urljoin(url, answer.headers.get("Location", ""))
        except (requests.RequestException, ValueError) as error:
            raise FetchError(type(error).__name__) from None
    raise FetchError("too many redirects")


def _read(answer: requests.Response, *, max_bytes: int, ends_at: float) -> bytes:
    if answer.status_code != 200:
        raise FetchError(f"HTTP {answer.status_code}")
    content = b""
    for block in answer.iter_content(64 * 1024):
        content += block
        if len(content) > max_bytes:
            raise FetchError(f"larger than {max_bytes / 1e6:.3g} MB")
        if time.monotonic() > ends_at:
            raise FetchError("took too long")
    return content


class _ToAddress(HTTPAdapter):
    """Connects to one address whatever the name resolves to by now; certificate and Host stay those of the name."""

    def __init__(self, address: str, origin: Origin) -> None:
        super().__init__(max_retries=0)
        self._address, self._origin = address, origin

    def add_headers(self, request: requests.PreparedRequest, **kwargs: Any) -> None:
        """Name the host, which http.client would otherwise take from the connection."""
        host = f"[{self._origin.host}]" if ":" in self._origin.host else self._origin.host
        is_default = self._origin.port == DEFAULT_PORTS[self._origin.scheme]
        request.headers["Host"] = host if is_default else f"{host}:{self._origin.port}"

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Open a connection to the judged address."""
        place, tls = self.build_connection_pool_key_attributes(request, verify, cert)
        options: dict[str, Any] = {**tls}
        if self._origin.scheme == "https" and self._origin.address is None:
            options |= {"server_hostname": self._origin.host, "assert_hostname": self._origin.host}
        return self.poolmanager.connection_from_host(**place | {"host": self._address}, pool_kwargs=options)
