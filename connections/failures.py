"""Why a connect did not work, one word for each page that says what to do about it.

Sources: https://developers.tiktok.com/doc/oauth-error-handling and https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from accounts.models import Workspace
from connections.errors import (
    AuthorizationError,
    ConfigurationError,
    ProviderError,
    TransportError,
)


class Failure(StrEnum):
    """What stopped a connect."""

    NOT_CONFIGURED = "not_configured"  # the operator has given no credentials
    CANCELED = "canceled"
    DENIED = "denied"  # the platform would not let this person authorize
    NOT_A_TEST_USER = "not_a_test_user"
    STATE_UNKNOWN = "state_unknown"
    STATE_FOREIGN = "state_foreign"  # another browser session or another user
    STATE_USED = "state_used"
    STATE_EXPIRED = "state_expired"
    ROLE_LOST = "role_lost"
    CODE_REFUSED = "code_refused"  # used before or too old
    REDIRECT_MISMATCH = "redirect_mismatch"
    PKCE_MISMATCH = "pkce_mismatch"
    BAD_CREDENTIALS = "bad_credentials"
    BAD_REQUEST = "bad_request"
    OUR_KEYS = "our_keys"  # what we stored when the connect began does not open any more
    UNREACHABLE = "unreachable"
    PROVIDER_FAULT = "provider_fault"


class ConnectError(Exception):
    """A connect that did not work. `workspace` is set only where the person may be sent back to it."""

    def __init__(
        self, failure: Failure, *, workspace: Workspace | None = None, code: str = "", log_id: str = ""
    ) -> None:
        super().__init__(failure.value)
        self.failure = failure
        self.workspace = workspace
        self.code = code
        self.log_id = log_id


_BY_CALLBACK_ERROR = {
    "access_denied": Failure.CANCELED,
    "non_sandbox_target": Failure.NOT_A_TEST_USER,
    "invalid_client": Failure.BAD_CREDENTIALS,
    "unauthorized_client": Failure.BAD_CREDENTIALS,
    "client_key": Failure.BAD_CREDENTIALS,
    "redirect_uri": Failure.REDIRECT_MISMATCH,
    "code_challenge": Failure.PKCE_MISMATCH,
    "invalid_request": Failure.BAD_REQUEST,
    "invalid_scope": Failure.BAD_REQUEST,
    "scope": Failure.BAD_REQUEST,
    "server_error": Failure.PROVIDER_FAULT,
    "temporarily_unavailable": Failure.PROVIDER_FAULT,
}


def failure_of_callback(params: Mapping[str, str]) -> Failure | None:
    """Return what the query of the callback says went wrong, or None if it brings a code.

    `error_type`, where given, names the offending item and says more than `error`: an `access_denied` is the person's
    own "no" only if the type is no other.
    """
    error, error_type = params.get("error", ""), params.get("error_type", "")
    if not error and not error_type:
        return None if params.get("code") else Failure.BAD_REQUEST
    if error_type and error_type != error:
        return _BY_CALLBACK_ERROR.get(error_type, Failure.DENIED)
    return _BY_CALLBACK_ERROR.get(error, Failure.DENIED)


def failure_of_exchange(error: ProviderError) -> Failure:
    """Return what the refusal of an authorization code means."""
    if isinstance(error, ConfigurationError):
        return _failure_of_configuration(error)
    if isinstance(error, AuthorizationError):
        return Failure.CODE_REFUSED
    if isinstance(error, TransportError) and error.http_status is None:
        return Failure.UNREACHABLE
    return Failure.PROVIDER_FAULT


def _failure_of_configuration(error: ConfigurationError) -> Failure:
    """One code, `invalid_request`, covers a wrong redirect URI and a wrong PKCE verifier: only the words differ."""
    words = error.message.lower()
    if error.code != "invalid_request":
        return Failure.BAD_CREDENTIALS
    if "redirect" in words:
        return Failure.REDIRECT_MISMATCH
    if "verifier" in words or "challenge" in words:
        return Failure.PKCE_MISMATCH
    if "secret" in words:
        return Failure.BAD_CREDENTIALS
    return Failure.BAD_REQUEST
