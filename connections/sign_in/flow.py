"""Off to TikTok to learn who somebody is, and back.

Only `user.info.basic` is asked for. The token that comes back is used once, to read the name, and dropped. It is not
revoked: TikTok would take away all access of this app, and with it the connections of the same account.
Sources: https://developers.tiktok.com/doc/login-kit-web and https://www.rfc-editor.org/rfc/rfc9700#section-2.1
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Mapping
from typing import Any

from allauth.socialaccount.models import SocialLogin
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import reverse

from accounts import audit
from accounts.models import User
from connections.crypto import DecryptionError, keyring
from connections.errors import ProviderError
from connections.failures import ConnectError, Failure, failure_of_callback, failure_of_exchange
from connections.providers import provider_for
from connections.providers.base import Profile, Provider
from connections.sign_in.provider import NAME, SignInProvider

log = logging.getLogger(__name__)

CONTEXT = "sign_in.code_verifier"
LOG_IN, LINK = "login", "connect"
"""What it is for, in allauth's words."""


def callback_url() -> str:
    """Return the address to register at TikTok, beside that of connecting."""
    return f"{settings.BASE_URL}{reverse('tiktok_callback')}"


def start(request: HttpRequest, *, process: str, next_url: str = "") -> str:
    """Remember in this browser's session that somebody leaves; return TikTok's address to send them to.

    The state is random, kept as a hash, and good for one answer within 10 minutes.
    """
    platform = _platform()
    state = secrets.token_urlsafe(32)
    verifier = platform.new_code_verifier() if platform.uses_pkce else None
    SignInProvider(request).stash_redirect_state(
        request,
        process,
        next_url,
        state_id=_hash(state),
        sealed_verifier=keyring().encrypt(verifier or "", context=CONTEXT),
        user=str(request.user.pk or ""),
    )
    return platform.authorizer().authorize_url(state=state, code_verifier=verifier)


def finish(request: HttpRequest, params: Mapping[str, str]) -> SocialLogin:
    """Take TikTok's answer and return who it is, not logged in yet. The state is used up whatever follows.

    Raises ConnectError.
    """
    stashed: dict[str, Any] = {}
    try:
        stashed = _take_state(request, params.get("state", ""))
        profile = _ask_who(stashed, params)
    except ConnectError as error:
        _note(request, stashed, error)
        raise
    who = {"account_id": profile.account_id, "display_name": profile.display_name}
    login = SignInProvider(request).sociallogin_from_response(request, who)
    login.state = {name: stashed[name] for name in ("process", "next") if name in stashed}
    return login


def _platform() -> Provider:
    return provider_for(NAME).for_sign_in(callback_url())


def _take_state(request: HttpRequest, state: str) -> dict[str, Any]:
    try:
        stashed = SignInProvider(request).unstash_redirect_state(request, _hash(state))
    except PermissionDenied:
        raise ConnectError(Failure.STATE_UNKNOWN) from None
    if stashed["process"] == LINK and stashed["user"] != str(request.user.pk or ""):
        raise ConnectError(Failure.STATE_FOREIGN)
    return dict(stashed)


def _ask_who(stashed: Mapping[str, Any], params: Mapping[str, str]) -> Profile:
    failure = failure_of_callback(params)
    if failure is not None:
        raise ConnectError(failure, code=params.get("error", "")[:60])
    platform = _platform()
    try:
        verifier = keyring().decrypt(stashed["sealed_verifier"], context=CONTEXT) or None
        grant = platform.authorizer().exchange_code(code=params["code"], code_verifier=verifier)
        client = platform.client(access_token=grant.access_token, scopes=platform.requested_scopes)
        profile = client.fetch_profile()
    except DecryptionError:
        raise ConnectError(Failure.OUR_KEYS) from None
    except ProviderError as error:
        raise ConnectError(failure_of_exchange(error), code=error.code, log_id=error.log_id) from None
    if profile.account_id != grant.account_id:
        raise ConnectError(Failure.PROVIDER_FAULT)
    return profile


def _note(request: HttpRequest, stashed: Mapping[str, Any], error: ConnectError) -> None:
    """Tell the log, and of a failed sign-in the audit log; to have changed one's mind is no failure."""
    log.warning(
        "sign-in with %s failed failure=%s code=%s log_id=%s", NAME, error.failure, error.code, error.log_id
    )
    if error.failure == Failure.CANCELED or stashed.get("process") == LINK:
        return
    actor = request.user if isinstance(request.user, User) else None
    audit.record(
        "sign_in.failed",
        workspace=None,
        actor=actor,
        request=request,
        account="unknown",
        method="TikTok",
        reason=error.failure.value,
    )


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
