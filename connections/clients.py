"""Calling a provider for a connection: a fresh token each time, and one repeat with a new one if it was refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from connections.errors import AuthorizationError, TokenExpiredError, UnreachableError
from connections.lifecycle import expired_reason, mark_needs_reauth
from connections.models import SocialConnection
from connections.providers import provider_for
from connections.providers.base import Client
from connections.tokens import fresh_access_token

T = TypeVar("T")


def call(connection: SocialConnection, action: Callable[[Client], T]) -> T:
    """Run `action` with a client for `connection` and return its result. Reloads it; not inside a transaction.

    A refused token is refreshed and `action` repeated, once: a refusal means that nothing happened. If the new token is
    refused too, the connection is marked for reconnecting and AuthorizationError raised. A missing scope is an
    AuthorizationError as well, but leaves the connection as it is: the rest of it works. Raises ProviderError.
    """
    token = fresh_access_token(connection)
    try:
        return action(_client(connection, token))
    except TokenExpiredError:
        token = fresh_access_token(connection, rejected=token)
    generation = connection.token_generation
    try:
        return action(_client(connection, token))
    except TokenExpiredError as error:
        if mark_needs_reauth(connection, reason=expired_reason(connection), generation=generation):
            raise AuthorizationError(
                "A fresh access token was refused", code=error.code, log_id=error.log_id
            ) from None
        if connection.is_active:  # somebody stored a newer pair while ours was being refused
            raise UnreachableError("The token changed during the call", log_id=error.log_id) from None
        raise AuthorizationError("The connection can no longer be used", log_id=error.log_id) from None


def _client(connection: SocialConnection, token: str) -> Client:
    return provider_for(connection.provider).client(access_token=token, scopes=connection.scopes)
