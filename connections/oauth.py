"""Connecting an account: off to the platform with a single-use state, and back with a code.

Sources: https://developers.tiktok.com/doc/login-kit-web and https://www.rfc-editor.org/rfc/rfc9700#section-2.1
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import Membership, User, Workspace
from accounts.scopes import System, system_scope, workspace_scope
from connections.crypto import DecryptionError, open_sealed, seal
from connections.errors import ProviderError
from connections.failures import ConnectError, Failure, failure_of_callback, failure_of_exchange
from connections.lifecycle import has_primary, lock_primary, record_scopes_changed
from connections.models import ConnectionStatus, OAuthRequest, SocialConnection
from connections.permissions import MANAGES_CONNECTIONS
from connections.profiles import creator_info_for, profile_for
from connections.providers import provider_for
from connections.providers.base import PublishMode, TokenGrant
from connections.signals import connection_usable
from connections.tokens import write_grant

log = logging.getLogger(__name__)

STATE_LIFE = timedelta(minutes=10)


@dataclass(frozen=True)
class Connected:
    """What a finished connect gave. `missing_scopes` were asked for and not granted."""

    connection: SocialConnection
    is_new: bool
    missing_scopes: tuple[str, ...]
    next_url: str


def start(
    *, workspace: Workspace, user: User, session_key: str, provider_name: str, next_url: str = ""
) -> str:
    """Remember a connect that begins now and return the platform's address to send the browser to.

    The state is random, stored as a hash, and good for one answer within 10 minutes in this browser session. Raises
    ConnectError if the provider has no credentials.
    """
    provider = provider_for(provider_name)
    if not provider.is_configured:
        raise ConnectError(Failure.NOT_CONFIGURED, workspace=workspace)
    state = secrets.token_urlsafe(32)
    verifier = provider.new_code_verifier() if provider.uses_pkce else None
    request = OAuthRequest(
        workspace=workspace,
        user=user,
        provider=provider_name,
        state_hash=_hash(state),
        session_hash=_hash(session_key),
        next_url=next_url,
        expires_at=timezone.now() + STATE_LIFE,
    )
    request.code_verifier = seal(request, "code_verifier", verifier or "")
    request.save()
    log.info(
        "connect started workspace=%s user=%s provider=%s request=%s",
        workspace.pk,
        user.pk,
        provider_name,
        request.pk,
    )
    return provider.authorizer().authorize_url(state=state, code_verifier=verifier)


def finish(
    *, provider_name: str, params: Mapping[str, str], user: User, session_key: str, now: datetime
) -> Connected:
    """Take the platform's answer, connect the account (or heal it, if it was connected before), and return it.

    The state is checked first, and used up whatever follows. Nothing is stored unless the code is exchanged; once it
    is, a failure to read the profile does not undo the connection. Raises ConnectError.
    """
    request = _take_request(
        provider_name, state=params.get("state", ""), user=user, session_key=session_key, now=now
    )
    with workspace_scope(request.workspace_id):
        return _connect(request, params, user=user)


def _connect(request: OAuthRequest, params: Mapping[str, str], *, user: User) -> Connected:
    try:
        connected = _exchange(request, params)
    except ConnectError as error:
        log.warning(
            "connect failed workspace=%s user=%s provider=%s failure=%s code=%s log_id=%s",
            request.workspace_id,
            user.pk,
            request.provider,
            error.failure,
            error.code,
            error.log_id,
        )
        raise
    log.info(
        "connected workspace=%s user=%s connection=%s new=%s missing_scopes=%s",
        request.workspace_id,
        user.pk,
        connected.connection.pk,
        connected.is_new,
        ",".join(connected.missing_scopes),
    )
    _read_account(connected.connection)
    return connected


@system_scope(System.UPKEEP)
def delete_stale_requests(*, now: datetime) -> int:
    """Forget connects that ended or expired over a day ago; return how many."""
    return OAuthRequest.objects.filter(expires_at__lt=now - timedelta(days=1)).delete()[0]


def _take_request(
    provider_name: str, *, state: str, user: User, session_key: str, now: datetime
) -> OAuthRequest:
    with system_scope(System.OAUTH_CALLBACK):
        rows = OAuthRequest.objects.select_related("workspace")
        request = rows.filter(state_hash=_hash(state), provider=provider_name).first()
    if request is None:
        raise _refuse(Failure.STATE_UNKNOWN)
    if request.user_id != user.pk or request.session_hash != _hash(session_key):
        raise _refuse(Failure.STATE_FOREIGN)
    with workspace_scope(request.workspace_id):
        _use_up(request, user=user, now=now)
    return request


def _use_up(request: OAuthRequest, *, user: User, now: datetime) -> None:
    if not OAuthRequest.objects.filter(pk=request.pk, used_at=None).update(used_at=now):
        raise _refuse(Failure.STATE_USED, request.workspace)
    if request.expires_at <= now:
        raise _refuse(Failure.STATE_EXPIRED, request.workspace)
    membership = Membership.objects.filter(workspace_id=request.workspace_id, user_id=user.pk).first()
    if membership is None:
        raise _refuse(Failure.ROLE_LOST)
    if not membership.can(MANAGES_CONNECTIONS):
        raise _refuse(Failure.ROLE_LOST, request.workspace)


def _refuse(failure: Failure, workspace: Workspace | None = None) -> ConnectError:
    log.warning("connect refused failure=%s workspace=%s", failure, workspace.pk if workspace else "")
    return ConnectError(failure, workspace=workspace)


def _exchange(request: OAuthRequest, params: Mapping[str, str]) -> Connected:
    failure = failure_of_callback(params)
    if failure is not None:
        raise ConnectError(failure, workspace=request.workspace, code=params.get("error", "")[:60])
    provider = provider_for(request.provider)
    asked_at = timezone.now()
    try:
        verifier = open_sealed(request, "code_verifier") or None
        grant = provider.authorizer().exchange_code(code=params["code"], code_verifier=verifier)
    except DecryptionError:
        raise ConnectError(Failure.OUR_KEYS, workspace=request.workspace) from None
    except ProviderError as error:
        raise ConnectError(
            failure_of_exchange(error),
            workspace=request.workspace,
            code=error.code,
            log_id=error.log_id,
        ) from None
    connection, is_new = _save_connection(request, grant, asked_at=asked_at)
    missing = tuple(s for s in provider.requested_scopes if s not in grant.scopes)
    return Connected(connection, is_new, missing, request.next_url)


def _save_connection(
    request: OAuthRequest, grant: TokenGrant, *, asked_at: datetime
) -> tuple[SocialConnection, bool]:
    account = {
        "workspace_id": request.workspace_id,
        "provider": request.provider,
        "provider_account_id": grant.account_id,
    }
    with transaction.atomic():
        lock_primary(request.workspace_id)
        found = SocialConnection.objects.select_for_update().filter(**account).first()
        scopes_before = set(found.scopes) if found else None
        connection = found or SocialConnection(**account)
        write_grant(connection, grant, asked_at=asked_at)
        connection.scopes = list(grant.scopes)
        connection.token_generation += 1
        connection.refresh_lease_until = None
        connection.status = ConnectionStatus.ACTIVE
        connection.status_reason = ""
        connection.connected_by_id = request.user_id
        connection.connected_at = asked_at
        connection.disconnected_at = None
        connection.is_primary = connection.is_primary or not has_primary(
            request.workspace_id, request.provider
        )
        connection.save()
        _record(connection, request.user, scopes_before)
        connection_usable.send(SocialConnection, connection=connection)
    return connection, found is None


def _record(connection: SocialConnection, user: User, scopes_before: set[str] | None) -> None:
    """Note who connected what, and where the creator allowed more or less than last time, what."""
    what: dict[str, Any] = {"connection": connection.pk, "account": connection.display_name}
    action = "connection.connected" if scopes_before is None else "connection.reconnected"
    audit.record(action, workspace=connection.workspace_id, actor=user, scopes=connection.scopes, **what)
    if scopes_before is not None:
        record_scopes_changed(connection, before=scopes_before, actor=user)


def _read_account(connection: SocialConnection) -> None:
    """Fetch what the pages show. The connection stands without it; what is missing is fetched again later."""
    try:
        profile_for(connection, force=True)
        provider = provider_for(connection.provider)
        if connection.has_scope(provider.publish_scopes[PublishMode.DIRECT]):
            creator_info_for(connection, force=True)
    except ProviderError as error:
        log.warning(
            "profile not read workspace=%s connection=%s code=%s log_id=%s",
            connection.workspace_id,
            connection.pk,
            error.code,
            error.log_id,
        )


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
