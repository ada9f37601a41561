"""Login Kit and token management.

https://developers.tiktok.com/doc/login-kit-web  https://developers.tiktok.com/doc/login-kit-desktop
https://developers.tiktok.com/doc/oauth-get-a-user-access-token
https://developers.tiktok.com/docs/en/oauth-refresh-a-user-access-token
https://developers.tiktok.com/docs/en/oauth-revoke-a-user-access-token
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from sandbox import lifecycle
from sandbox.models import App, Creator, Grant, Token
from sandbox.wire import FORM_TYPE, Answer, FlatError, Request, dump
from sandbox.world import Code, World

MAX_REDIRECT_URIS = 10
MAX_REDIRECT_LENGTH = 512
LOOPBACK = {"localhost", "127.0.0.1"}
VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}")

CONTENT_TYPE = "Only `application/x-www-form-urlencoded` is accepted as Content-Type."
MALFORMED = "The request parameters are malformed."
NO_CREDENTIALS = "Client secret is missed in request."
BAD_CLIENT = "Client key or secret is incorrect."
BAD_CODE = "Authorization code is expired."
BAD_REDIRECT = "Redirect_uri is not matched with the uri when requesting code."
BAD_VERIFIER = "Code verifier or code challenge is invalid."
BAD_REFRESH = "Refresh token is invalid or expired."


class ConsentError(Exception):
    """TikTok's own error page, with the name of the item that is wrong; the browser is not sent back."""

    def __init__(self, item: str, error: str = "invalid_request") -> None:
        super().__init__(item)
        self.item = item
        self.error = error


class Consent:
    """A checked authorize request."""

    def __init__(self, world: World, query: Mapping[str, str]) -> None:
        """ConsentError: something is wrong with `query`."""
        app = world.apps.get(query.get("client_key", ""))
        if app is None or not app.approved:
            raise ConsentError("client_key", "unauthorized_client")
        self.app = app
        self.redirect_uri = query.get("redirect_uri", "")
        if not redirect_matches(app, self.redirect_uri):
            raise ConsentError("redirect_uri")
        if query.get("response_type") != "code":
            raise ConsentError("response_type", "unsupported_response_type")
        self.scopes = query.get("scope", "").split(",")
        if not set(self.scopes) <= set(app.scopes):
            raise ConsentError("scope", "invalid_scope")
        self.challenge = query.get("code_challenge", "")
        if app.platform == "desktop" and not self.challenge:
            raise ConsentError("code_challenge")
        if self.challenge and query.get("code_challenge_method") != "S256":
            raise ConsentError("code_challenge")
        self.state = query.get("state", "")
        self.may_skip = query.get("disable_auto_auth", "0") != "1"

    def allow(self, world: World, creator: Creator, scopes: list[str]) -> str:
        """Where the browser goes when `creator` consents to `scopes`; basic user info is always among them."""
        settings = world.settings
        if self.app.is_sandbox and settings.target_users_only and not creator.target:
            if settings.non_target_answer == "page":
                raise ConsentError("non_sandbox_target", "access_denied")
            return self._back(
                error="access_denied",
                error_type="non_sandbox_target",
                error_description="The account is not a target user of this sandbox.",
            )
        granted = [s for s in self.scopes if s in scopes or s == "user.info.basic"]
        text = f"{secrets.token_urlsafe(40)}*{secrets.randbelow(10)}!{secrets.randbelow(9000) + 1000}.va"
        world.codes[text] = Code(
            self.app.client_key,
            creator.handle,
            granted,
            self.redirect_uri,
            self.challenge,
            world.now() + settings.code_seconds,
        )
        return self._back(code=text, scopes=",".join(granted))

    def cancel(self) -> str:
        """Where the browser goes when the person declines."""
        return self._back(error="access_denied", error_description="User denied the authorization.")

    def may_skip_page(self, world: World, handle: str) -> bool:
        """Whether a signed-in creator who already consented to all this is bounced straight back."""
        grant = world.grants.get(f"{self.app.client_key}|{handle}")
        return (
            self.may_skip
            and world.settings.auto_auth
            and grant is not None
            and grant.active
            and set(self.scopes) <= set(grant.scopes)
        )

    def _back(self, **parameters: str) -> str:
        parameters["state"] = self.state
        # No character is safe: TikTok percent-encodes the code's `*` and `!` too.
        return f"{self.redirect_uri}?" + "&".join(f"{k}={quote(v, safe='')}" for k, v in parameters.items())


def redirect_error(uri: str, platform: str) -> str:
    """Why `uri` cannot be registered for `platform` ("web" or "desktop"), or ""."""
    parts = urlsplit(uri.replace(":*", ":1"))
    if len(uri) >= MAX_REDIRECT_LENGTH:
        return "is 512 characters or longer"
    if "?" in uri or "#" in uri:
        return "has a query or a fragment"
    if not parts.hostname or parts.scheme not in {"http", "https"}:
        return "is not an absolute http(s) address"
    if platform == "web":
        return "" if parts.scheme == "https" and ":*" not in uri else "is not https"
    if parts.hostname not in LOOPBACK:
        return "is not on localhost or 127.0.0.1"
    return "" if parts.port else "has no port"


def redirect_matches(app: App, uri: str) -> bool:
    """Whether `uri` is registered: letter by letter, but for `*` as the port of a desktop app.

    An app with an empty list takes any loopback address: looser than TikTok, so that trying things needs no set-up.
    """
    if not app.redirect_uris:
        return not redirect_error(uri, "desktop") and ":*" not in uri
    for registered in app.redirect_uris:
        if uri == registered:
            return True
        before, wildcard, after = registered.partition(":*")
        if wildcard and app.platform == "desktop":
            port = uri.removeprefix(f"{before}:").removesuffix(after)
            if uri == f"{before}:{port}{after}" and port.isdigit():
                return True
    return False


# Tokens


async def token(world: World, request: Request) -> Answer:
    """POST /v2/oauth/token/"""
    form = await read_form(request)
    kind = form.get("grant_type", "")
    request.notes["grant_type"] = kind
    grants = {
        "authorization_code": _exchange_code,
        "refresh_token": _refresh,
        "client_credentials": _client_token,
    }
    if not kind:
        raise FlatError("invalid_request", MALFORMED)
    if kind not in grants:
        raise FlatError("unsupported_grant_type", "The grant type is not supported.")
    app = authenticate(world, form)
    return _flat(grants[kind](world, request, app, form))


async def revoke(world: World, request: Request) -> Answer:
    """POST /v2/oauth/revoke/: takes the access token, answers with nothing."""
    form = await read_form(request)
    app = authenticate(world, form)
    if not form.get("token"):
        raise FlatError("invalid_request", MALFORMED)
    found = world.find_token(form["token"], "access")
    if found is None or world.grants[found.grant].client_key != app.client_key:
        raise FlatError("invalid_grant", "Access token is invalid or expired.")
    grant = world.grants[found.grant]
    request.notes["creator"] = grant.handle
    lifecycle.remove_authorization(world, grant, reason=5)
    return _flat({})


async def read_form(request: Request) -> dict[str, str]:
    """The form fields. FlatError with HTTP 200 for any other content type, as TikTok does."""
    kind = request.headers.get("content-type", "").strip().lower()
    if kind.partition(";")[0].strip() != FORM_TYPE or "," in kind:
        raise FlatError("invalid_request", CONTENT_TYPE, 200)
    text = (await request.body()).decode("utf-8", "replace")
    return dict(parse_qsl(text, keep_blank_values=True))


def authenticate(world: World, form: Mapping[str, str]) -> App:
    """The app by key and secret in the body. FlatError: missing or wrong."""
    if not form.get("client_key"):
        raise FlatError("invalid_request", MALFORMED)
    if not form.get("client_secret"):
        raise FlatError("invalid_request", NO_CREDENTIALS)
    app = world.apps.get(form["client_key"])
    if app is None or not hmac.compare_digest(app.client_secret.encode(), form["client_secret"].encode()):
        raise FlatError("invalid_client", BAD_CLIENT, 401)
    return app


def flat_refusal(world: World, request: Request, error: FlatError) -> Answer:
    """The flat error object."""
    status = 200 if world.settings.oauth_errors_always_200 else error.status
    body = {"error": error.error, "error_description": error.description, "log_id": request.log_id}
    answer = _flat(body)
    answer.status, answer.code = status, error.error
    return answer


def issue_pair(
    world: World, grant: Grant, scopes: list[str], refresh_expires_at: float | None = None
) -> dict[str, Any]:
    """A new access and refresh token and the flat object that tells of them."""
    now = world.now()
    access_seconds, refresh_seconds = world.settings.token_seconds()
    ends = now + refresh_seconds if refresh_expires_at is None else refresh_expires_at
    return {
        "access_token": world.issue(grant.key(), "access", scopes, now + access_seconds),
        "expires_in": access_seconds,
        "open_id": grant.open_id,
        "refresh_expires_in": max(0, round(ends - now)),
        "refresh_token": world.issue(grant.key(), "refresh", scopes, ends),
        "scope": ",".join(scopes),
        "token_type": "Bearer",
    }


def _exchange_code(world: World, request: Request, app: App, form: Mapping[str, str]) -> dict[str, Any]:
    if not form.get("code") or not form.get("redirect_uri"):
        raise FlatError("invalid_request", MALFORMED)
    code = world.codes.get(form["code"])
    if code is None or code.used or code.expires_at <= world.now() or code.client_key != app.client_key:
        raise FlatError("invalid_grant", BAD_CODE)
    if code.redirect_uri != form["redirect_uri"]:
        raise FlatError("invalid_request", BAD_REDIRECT)
    if code.challenge and not _verifies(form.get("code_verifier", ""), code.challenge):
        raise FlatError("invalid_request", BAD_VERIFIER)
    creator = world.creators.get(code.handle)
    if creator is None:
        raise FlatError("invalid_grant", BAD_CODE)
    code.used = True
    request.notes["creator"] = creator.handle
    return issue_pair(world, world.grant_for(app, creator, code.scopes), code.scopes)


def _verifies(verifier: str, challenge: str) -> bool:
    """TikTok's PKCE: the challenge is the digest in lower-case hex, where RFC 7636 has base64url."""
    if not VERIFIER.fullmatch(verifier):
        return False
    return hmac.compare_digest(hashlib.sha256(verifier.encode()).hexdigest().encode(), challenge.encode())


def _refresh(world: World, request: Request, app: App, form: Mapping[str, str]) -> dict[str, Any]:
    if not form.get("refresh_token"):
        raise FlatError("invalid_request", MALFORMED)
    found = world.find_token(form["refresh_token"], "refresh")
    if found is None or world.grants[found.grant].client_key != app.client_key:
        raise FlatError("invalid_grant", BAD_REFRESH)
    grant = world.grants[found.grant]
    grant.refreshes += 1
    world.save(grant)
    request.notes["creator"] = grant.handle
    if not world.settings.rotation:
        return _renew_access(world, grant, found, form["refresh_token"])
    found.dead = "rotated"
    world.save(found)
    ends = None if world.settings.rotation_restarts_lifetime else found.expires_at
    return issue_pair(world, grant, found.scopes, ends)


def _renew_access(world: World, grant: Grant, refresh: Token, text: str) -> dict[str, Any]:
    now = world.now()
    access_seconds, _ = world.settings.token_seconds()
    return {
        "access_token": world.issue(grant.key(), "access", refresh.scopes, now + access_seconds),
        "expires_in": access_seconds,
        "open_id": grant.open_id,
        "refresh_expires_in": max(0, round(refresh.expires_at - now)),
        "refresh_token": text,
        "scope": ",".join(refresh.scopes),
        "token_type": "Bearer",
    }


def _client_token(world: World, request: Request, app: App, form: Mapping[str, str]) -> dict[str, Any]:
    text = world.issue(app.client_key, "client", [], world.now() + 7200)
    return {"access_token": text, "expires_in": 7200, "token_type": "Bearer"}


def _flat(document: dict[str, Any]) -> Answer:
    return Answer(200, dump(document), "application/json", {"Cache-Control": "no-store"}, code="ok")
