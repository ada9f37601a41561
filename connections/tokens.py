"""The only way to a token: always one with enough life left, refreshed by one process at a time.

A provider may rotate the refresh token at each use, so that two refreshes at once cost the connection. One refresher
at a time holds a lease on the row (`refresh_lease_until`, by the database's clock); no transaction or lock is open
while the provider is called. See docs/decisions/0002-refresh-by-lease.md.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from config.faultpoints import reached
from connections.crypto import DecryptionError, open_sealed, seal
from connections.errors import (
    AuthorizationError,
    ConfigurationError,
    ProviderError,
    RateLimitError,
    ResponseError,
    TransportError,
    UnreachableError,
)
from connections.lifecycle import (
    expired_reason,
    mark_needs_reauth,
    record_refresh_failed,
    record_scopes_changed,
)
from connections.models import ConnectionStatus, SocialConnection
from connections.providers import provider_for
from connections.providers.base import TokenGrant

log = logging.getLogger(__name__)

WAIT = timedelta(seconds=30)  # how long one caller waits for another's refresh
POLL = timedelta(milliseconds=50)
MARGIN = timedelta(minutes=10)
MARGIN_SHARE = 0.2  # of the token's life, so that a token of one minute is not refreshed at each use


def fresh_access_token(connection: SocialConnection, *, rejected: str = "") -> str:
    """Return an access token with enough life left; reloads `connection`'s row and refreshes the pair if it must.

    `rejected` is the token that the provider just refused: it is never returned, but a pair that another process stored
    meanwhile is. Must not be called inside a transaction. While the present token lives, trouble on the way to the
    provider is not an error. Safe to call from any number of processes: one refreshes, the others wait for its result.

    Raises AuthorizationError if the account must be connected again (the connection is then marked, and
    `connection_lost` sent once), ConfigurationError if our own credentials or keys are wrong, else the ProviderError
    that the refresh met.
    """
    give_up_at = time.monotonic() + WAIT.total_seconds()
    while True:
        token = usable_token(connection, rejected=rejected)
        if token and not is_expiring(connection, timezone.now()):
            return token
        if _take_lease(connection):
            return _refresh_and_release(connection, rejected=rejected)
        if time.monotonic() > give_up_at:
            if token:
                return token
            raise UnreachableError("Another process has been refreshing this token for too long")
        time.sleep(POLL.total_seconds())


def refresh_now(connection: SocialConnection) -> None:
    """Refresh the pair whatever is left of its life: for operators. Raises what `fresh_access_token` raises."""
    fresh_access_token(connection, rejected=usable_token(connection))


def usable_token(connection: SocialConnection, *, rejected: str = "") -> str:
    """Reload the row and return the stored access token if the provider should still take it, else "".

    Raises AuthorizationError if the connection cannot be used, ConfigurationError if its token does not open.
    """
    _reload(connection)
    if connection.status != ConnectionStatus.ACTIVE:
        raise AuthorizationError(f"The connection is {connection.get_status_display().lower()}")
    token = _open(connection, "access_token")
    if not token or token == rejected or _is_over(connection.access_expires_at, timezone.now()):
        return ""
    return token


def is_expiring(connection: SocialConnection, now: datetime) -> bool:
    """Whether the access token should be refreshed before it is used at `now`."""
    expires_at, since = connection.access_expires_at, connection.refreshed_at
    if expires_at is None:
        return False
    life = expires_at - since if since else timedelta.max
    return expires_at - now < min(MARGIN, life * MARGIN_SHARE if since else MARGIN)


@contextmanager
def exclusive_tokens(connection: SocialConnection) -> Iterator[None]:
    """Keep every refresher away from `connection` for the length of the block; reloads it.

    For disconnecting: a pair that another process fetched in the middle would live on unseen. Raises UnreachableError
    when another holder does not finish in time.
    """
    give_up_at = time.monotonic() + WAIT.total_seconds()
    _reload(connection)
    while not _take_lease(connection):
        if time.monotonic() > give_up_at:
            raise UnreachableError("Another process has been refreshing this token for too long")
        time.sleep(POLL.total_seconds())
        _reload(connection)
    lease = connection.refresh_lease_until
    try:
        yield
    finally:
        _release(connection, lease)


def token_to_revoke(connection: SocialConnection, *, rejected: str = "") -> str:
    """Return a token to revoke, refreshed first if the stored one is over or `rejected`; "" if none is stored.

    Only within `exclusive_tokens`. Works on a connection that needs reconnecting too, as far as its pair still does.
    Raises ProviderError.
    """
    token = _open(connection, "access_token")
    if token != rejected and not _is_over(connection.access_expires_at, timezone.now()):
        return token
    asked_at = timezone.now()
    grant = _request_refresh(connection)
    _store_pair(connection, grant, asked_at=asked_at)
    return grant.access_token


def write_grant(connection: SocialConnection, grant: TokenGrant, *, asked_at: datetime) -> list[str]:
    """Set what `grant` says on `connection`, sealed, without saving; return the names of the fields to save.

    `asked_at` is when the request left: lifetimes are counted from there, so an expiry is never too late.
    """
    values = _grant_values(connection, grant, asked_at=asked_at)
    for name, value in values.items():
        setattr(connection, name, value)
    return list(values)


def _grant_values(
    connection: SocialConnection, grant: TokenGrant, *, asked_at: datetime
) -> dict[str, object]:
    ends = grant.refresh_expires_in
    return {
        "access_token": seal(connection, "access_token", grant.access_token),
        "refresh_token": seal(connection, "refresh_token", grant.refresh_token),
        "access_expires_at": asked_at + grant.expires_in,
        "refresh_expires_at": asked_at + ends if ends is not None else None,
        "refreshed_at": asked_at,
        "scopes": list(grant.scopes) or connection.scopes,
    }


def _take_lease(connection: SocialConnection) -> bool:
    """Take the row's refresh lease if it is free, and reload the row as it then stands.

    `durable`: inside a caller's transaction nobody else would see the lease, and the provider would be called with that
    transaction open.
    """
    free = Q(refresh_lease_until=None) | Q(refresh_lease_until__lte=Now())
    with transaction.atomic(durable=True):
        rows = SocialConnection.objects.filter(
            free, pk=connection.pk, token_generation=connection.token_generation
        )
        taken = bool(rows.update(refresh_lease_until=Now() + _lease(connection)))
        if taken:
            _reload(connection)
    return taken


def _lease(connection: SocialConnection) -> timedelta:
    """Longer than a token request may take; and no longer, for it is what the death of a refresher costs."""
    return provider_for(connection.provider).longest_call + timedelta(seconds=1)


def _release(connection: SocialConnection, lease: datetime | None) -> None:
    ours = SocialConnection.objects.filter(pk=connection.pk, refresh_lease_until=lease)
    ours.update(refresh_lease_until=None)


def _refresh_and_release(connection: SocialConnection, *, rejected: str) -> str:
    lease = connection.refresh_lease_until
    try:
        return _refresh(connection, rejected=rejected)
    finally:
        _release(connection, lease)


def _refresh(connection: SocialConnection, *, rejected: str) -> str:
    generation = connection.token_generation
    asked_at = timezone.now()
    try:
        grant = _request_refresh(connection)
    except AuthorizationError as error:
        return _after_refusal(connection, error, generation=generation, rejected=rejected)
    except (TransportError, RateLimitError, ResponseError) as error:
        _log_outcome(connection, f"failed {type(error).__name__}", error)
        record_refresh_failed(connection, error)
        token = usable_token(connection, rejected=rejected)
        if token:
            return token
        raise
    except ProviderError as error:
        _log_outcome(connection, f"failed {type(error).__name__}", error)
        record_refresh_failed(connection, error)
        raise
    return _store(connection, grant, asked_at=asked_at)


def _request_refresh(connection: SocialConnection) -> TokenGrant:
    refresh_token = _open(connection, "refresh_token")
    if not refresh_token:
        raise AuthorizationError("There is no refresh token")
    grant = provider_for(connection.provider).authorizer().refresh(refresh_token=refresh_token)
    if grant.account_id != connection.provider_account_id:
        raise ResponseError("The refresh answered with the tokens of another account")
    reached("refresh answered")
    return grant


def _store(connection: SocialConnection, grant: TokenGrant, *, asked_at: datetime) -> str:
    """Write the new pair unless a newer one was stored meanwhile, and return the token to use.

    The generation is the fence, not the lease: a refresher that overslept its lease may hold the only pair that still
    works, and dropping it would cost the connection.
    """
    if _store_pair(connection, grant, asked_at=asked_at):
        return grant.access_token
    token = usable_token(connection)
    if not token:
        raise UnreachableError("The connection changed while its token was refreshed")
    return token


def _store_pair(connection: SocialConnection, grant: TokenGrant, *, asked_at: datetime) -> bool:
    rows = SocialConnection.objects.exclude(status=ConnectionStatus.REVOKED).filter(
        pk=connection.pk, token_generation=connection.token_generation
    )
    values = _grant_values(connection, grant, asked_at=asked_at)
    scopes_before = set(connection.scopes)
    stored = bool(rows.update(token_generation=F("token_generation") + 1, **values))
    _reload(connection)
    _log_outcome(connection, "done" if stored else "too late, another pair was newer")
    if stored:  # after the pair is safe: to lose it would cost the connection
        record_scopes_changed(connection, before=scopes_before)
    return stored


def _after_refusal(
    connection: SocialConnection, error: AuthorizationError, *, generation: int, rejected: str
) -> str:
    """The refresh token is dead. If that is because another process used it, use what that one stored."""
    if not mark_needs_reauth(connection, reason=expired_reason(connection), generation=generation):
        token = usable_token(connection, rejected=rejected)
        if token:
            _log_outcome(connection, "refused, another pair was newer", error)
            return token
    _log_outcome(connection, "refused", error)
    raise AuthorizationError(
        "The refresh token was refused", code=error.code, log_id=error.log_id, http_status=error.http_status
    ) from None


def _reload(connection: SocialConnection) -> None:
    try:
        connection.refresh_from_db()
    except SocialConnection.DoesNotExist:
        raise AuthorizationError("The connection no longer exists") from None


def _open(connection: SocialConnection, field: str) -> str:
    try:
        return open_sealed(connection, field)
    except DecryptionError as error:
        raise ConfigurationError(f"A stored token does not open: {error}") from None


def _is_over(expires_at: datetime | None, now: datetime) -> bool:
    return expires_at is not None and expires_at <= now


def _log_outcome(connection: SocialConnection, outcome: str, error: ProviderError | None = None) -> None:
    log.log(
        logging.WARNING if error else logging.INFO,
        "token refresh %s workspace=%s connection=%s generation=%s code=%s log_id=%s",
        outcome,
        connection.workspace_id,
        connection.pk,
        connection.token_generation,
        error.code if error else "",
        error.log_id if error else "",
    )
