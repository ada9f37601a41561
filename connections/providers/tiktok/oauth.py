"""OAuth with TikTok: the consent page's address, and the exchange, refresh and revocation of tokens.

TikTok departs from the RFCs: the client id is `client_key`, scopes are separated by commas, the PKCE challenge is in
hex, and an error may come with HTTP 200.
Sources: https://developers.tiktok.com/doc/login-kit-web
https://developers.tiktok.com/doc/login-kit-desktop
https://developers.tiktok.com/doc/oauth-get-a-user-access-token
https://developers.tiktok.com/docs/en/oauth-refresh-a-user-access-token
https://developers.tiktok.com/docs/en/oauth-revoke-a-user-access-token
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from connections.errors import ConfigurationError, ResponseError
from connections.providers.base import TokenGrant
from connections.providers.tiktok.errors import error_from
from connections.providers.tiktok.http import Http
from connections.providers.tiktok.parsing import (
    decode_json,
    optional_int,
    optional_text,
    required_int,
    required_word,
)

_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def new_code_verifier() -> str:
    """Return a fresh PKCE verifier: 86 characters of A-Z a-z 0-9 - _ (TikTok takes 43 to 128)."""
    return secrets.token_urlsafe(64)


def code_challenge(code_verifier: str) -> str:
    """Return the S256 challenge as TikTok wants it: lower-case hex, not RFC 7636's base64url."""
    return hashlib.sha256(code_verifier.encode()).hexdigest()


def is_loopback(redirect_uri: str) -> bool:
    """Whether `redirect_uri` belongs to TikTok's desktop platform, which makes PKCE mandatory."""
    return urlsplit(redirect_uri).hostname in _LOOPBACK_HOSTS


@dataclass(frozen=True)
class App:
    """What developers.tiktok.com knows our application by, and where it is spoken to."""

    client_key: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    scopes: tuple[str, ...]
    authorize_url: str
    api_url: str


class TikTokAuthorizer:
    """The OAuth calls of one app."""

    def __init__(self, app: App, *, http: Http) -> None:
        self._app = app
        self._http = http

    def authorize_url(self, *, state: str, code_verifier: str | None) -> str:
        """Return the address of the consent page, which always asks, so that people can switch accounts.

        `code_verifier` None leaves PKCE out.
        """
        query = {
            "client_key": self._app.client_key,
            "scope": ",".join(self._app.scopes),
            "response_type": "code",
            "redirect_uri": self._app.redirect_uri,
            "state": state,
            "disable_auto_auth": "1",
        }
        if code_verifier is not None:
            query |= {"code_challenge": code_challenge(code_verifier), "code_challenge_method": "S256"}
        separator = "&" if urlsplit(self._app.authorize_url).query else "?"
        return f"{self._app.authorize_url}{separator}{urlencode(query)}"

    def exchange_code(self, *, code: str, code_verifier: str | None) -> TokenGrant:
        """Trade a decoded authorization code, which works once, for tokens.

        Raises AuthorizationError for a dead code, ConfigurationError for a wrong secret, redirect URI or verifier,
        TransportError, RateLimitError, ResponseError.
        """
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._app.redirect_uri}
        if code_verifier is not None:
            form["code_verifier"] = code_verifier
        return self._grant(form, secrets=(code, code_verifier or ""))

    def refresh(self, *, refresh_token: str) -> TokenGrant:
        """Trade a refresh token for a new pair. The old one dies at once, so store the new one before using it.

        Raises AuthorizationError when the person must connect again, ConfigurationError, TransportError (the pair may
        have been made and lost), RateLimitError, ResponseError.
        """
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self._grant(form, secrets=(refresh_token,))

    def revoke(self, *, access_token: str) -> None:
        """Take the app's access away; with it the app leaves the person's list. Raises ProviderError and its kinds."""
        self._post("/v2/oauth/revoke/", {"token": access_token}, secrets=(access_token,))

    def _grant(self, form: Mapping[str, str], *, secrets: tuple[str, ...]) -> TokenGrant:
        return _read_grant(self._post("/v2/oauth/token/", form, secrets=secrets))

    def _post(self, path: str, form: Mapping[str, str], *, secrets: tuple[str, ...]) -> Any:
        credentials = {"client_key": self._app.client_key, "client_secret": self._app.client_secret}
        answer = self._http.send(
            "POST",
            self._app.api_url + path,
            headers={"Content-Type": "application/x-www-form-urlencoded", "Cache-Control": "no-cache"},
            data=urlencode(credentials | dict(form)).encode(),
        )
        body = decode_json(answer.body)
        if not answer.is_success or _is_refused(body):
            known = (self._app.client_secret, *secrets)
            # A 401 without a code means the client here (RFC 6749, 5.2), not a person's token.
            raise error_from(answer, secrets=known, unauthorized=ConfigurationError)
        return body


def _is_refused(body: Any) -> bool:
    """Whether a flat or enveloped error is in `body`. TikTok may send one with HTTP 200."""
    error = body.get("error") if isinstance(body, dict) else None
    return bool(error) and not (isinstance(error, dict) and error.get("code") == "ok")


def _read_grant(body: Any) -> TokenGrant:
    if not isinstance(body, dict):
        raise ResponseError("TikTok's answer to the token request is no JSON object")
    if optional_text(body, "token_type").lower() not in {"", "bearer"}:
        raise ResponseError("TikTok's token is not a bearer token")
    refresh_expires_in = optional_int(body, "refresh_expires_in")
    return TokenGrant(
        account_id=required_word(body, "open_id"),
        access_token=required_word(body, "access_token"),
        refresh_token=required_word(body, "refresh_token"),
        expires_in=_seconds(required_int(body, "expires_in")),
        refresh_expires_in=None if refresh_expires_in is None else _seconds(refresh_expires_in),
        scopes=_scopes(body),
    )


def _seconds(value: int) -> timedelta:
    if not 0 < value < 10**10:
        raise ResponseError("TikTok's token has no usable lifetime")
    return timedelta(seconds=value)


def _scopes(body: Mapping[str, Any]) -> tuple[str, ...]:
    if not isinstance(body.get("scope"), str):
        raise ResponseError("TikTok's answer has no usable scope")
    return tuple(dict.fromkeys(body["scope"].replace(",", " ").split()))
