"""One kept-alive HTTP session, with time-outs, that raises ProviderError and nothing of the HTTP library.

An error is raised outside the `except` that caught its cause, because `from None` only hides the cause: `__context__`
would still hold the request, and with it the token and the URL.
"""

from __future__ import annotations

import logging
import os
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, NewConnectionError

from connections.errors import (
    ConfigurationError,
    ProviderError,
    ResponseError,
    TransportError,
    UnreachableError,
)

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 20.0
MAX_ANSWER_BYTES = 4 * 1024 * 1024


def _holds_no_url(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG and "url" not in str(record.msg)


# At DEBUG, and as a warning when headers are malformed, urllib3 logs whole URLs; an upload URL is a secret in itself.
for _name in ("urllib3.connectionpool", "urllib3.connection"):
    logging.getLogger(_name).addFilter(_holds_no_url)


@dataclass(frozen=True)
class Answer:
    """What came back: the status, the headers (case-insensitive) and the whole body, which may hold tokens."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx; for TikTok that alone is not success."""
        return 200 <= self.status < 300


class Http:
    """Sends requests through one session for each process. Safe to share between threads.

    Nothing is repeated, no redirect is followed, no cookie is kept, and neither `.netrc` nor proxy variables count.
    `connect_timeout` (seconds) also limits the sending of each piece of data on a new connection, `read_timeout` the
    wait for an answer with the reading of its body; after a long upload, each of the two.
    """

    def __init__(
        self, *, connect_timeout: float = CONNECT_TIMEOUT_S, read_timeout: float = READ_TIMEOUT_S
    ) -> None:
        self._timeout = (connect_timeout, read_timeout)
        self._session: requests.Session | None = None
        self._pid = 0

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | Iterable[memoryview] | None = None,
        is_body_needed: bool = True,
    ) -> Answer:
        """Send one request to exactly `url` and return the whole answer, whatever its status.

        An iterable `data` with a `__len__` goes out as it is iterated, with a Content-Length; what it raises comes
        through, unless it is an OSError. Without `is_body_needed` a body that breaks off is taken as far as it came.

        Raises UnreachableError if the connection was not made, TransportError if it broke or timed out later,
        ResponseError for an endless answer, ConfigurationError for what cannot be put into a request.
        """
        failure: ProviderError
        try:
            return self._exchange(method, url, headers or {}, data, is_body_needed=is_body_needed)
        except (requests.RequestException, HTTPError, HTTPException, OSError, UnicodeError) as error:
            failure = _translate(error)
        raise failure

    def close(self) -> None:
        """Close the idle connections; the next request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: bytes | Iterable[memoryview] | None,
        *,
        is_body_needed: bool,
    ) -> Answer:
        session = self._live_session()
        prepared = session.prepare_request(requests.Request(method, url, headers=dict(headers), data=data))
        prepared.url = url  # preparing re-quotes a URL, and a signed one must arrive as it was given
        deadline = time.monotonic() + sum(self._timeout)
        response = session.send(prepared, timeout=self._timeout, allow_redirects=False, stream=True)
        if data is not None and not isinstance(data, bytes):  # sending that may have taken hours
            deadline = time.monotonic() + self._timeout[1]
        try:
            with self._waiting_until(deadline, response) as wait_no_longer:
                body = _read(response, wait_no_longer, is_body_needed=is_body_needed)
        finally:
            response.close()
        return Answer(response.status_code, response.headers, body)

    @contextmanager
    def _waiting_until(self, deadline: float, response: requests.Response) -> Iterator[Callable[[], None]]:
        """Give what lets the next wait for `response` end at `deadline`. Raises TransportError once that is past.

        The request's own time-out would begin anew with each wait. A connection that the server closes after its answer
        has given the socket away and keeps to that one.
        """
        sock = getattr(response.raw.connection, "sock", None)

        def wait_no_longer() -> None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TransportError("TikTok's answer came too slowly")
            if sock is not None:
                sock.settimeout(left)

        try:
            yield wait_no_longer
        finally:
            if sock is not None:
                with suppress(OSError):  # closed meanwhile
                    sock.settimeout(self._timeout[1])

    def _live_session(self) -> requests.Session:
        # A forked child must not share its parent's sockets.
        if self._session is None or self._pid != os.getpid():
            self._session, self._pid = _new_session(), os.getpid()
        return self._session


def _read(response: requests.Response, wait_no_longer: Callable[[], None], *, is_body_needed: bool) -> bytes:
    body = bytearray()
    try:
        wait_no_longer()
        while block := response.raw.read1(65536, decode_content=True):
            body += block
            if len(body) > MAX_ANSWER_BYTES:
                raise ResponseError("TikTok's answer is far larger than documented")
            wait_no_longer()
    except (HTTPError, OSError):
        if is_body_needed:
            raise
    return bytes(body)


def _new_session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers.update({"User-Agent": "Broadside", "Accept-Encoding": "identity"})
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_connections=8, pool_maxsize=32, max_retries=0))
    return session


def _translate(error: Exception) -> ProviderError:
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError):
        return UnreachableError("TikTok could not be reached")
    if isinstance(error, requests.exceptions.SSLError):
        if any(isinstance(detail, ssl.SSLCertVerificationError) for detail in getattr(reason, "args", ())):
            return UnreachableError("TikTok's certificate is not trusted here")
        return TransportError("The encrypted connection to TikTok failed")
    if isinstance(error, (requests.Timeout, TimeoutError)):
        return TransportError("TikTok did not answer in time")
    if isinstance(error, ValueError):
        return ConfigurationError("The request to TikTok could not be built from its address or headers")
    return TransportError("The connection to TikTok broke off")
