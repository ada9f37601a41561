"""What people may do with a connection: the use cases behind pages, admin and command line.

None of them checks roles; the doors do (`connections.permissions`). Those that call the provider may not run inside a
transaction.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum

from django.db import transaction

from accounts import audit
from accounts.scopes import System, system_scope
from connections.errors import AuthorizationError, ConfigurationError, ProviderError
from connections.lifecycle import lock_primary, mark_disconnected, mark_needs_reauth
from connections.models import ConnectionStatus, SocialConnection
from connections.profiles import profile_for
from connections.providers import provider_for
from connections.tokens import exclusive_tokens, token_to_revoke

__all__ = [
    "Disconnected",
    "NotUsableError",
    "Revocation",
    "TestOutcome",
    "TestResult",
    "disconnect",
    "mark_needs_reauth",
    "set_label",
    "set_primary",
    "test_connection",
]

log = logging.getLogger(__name__)

DISCONNECTED_REASON = "The account was disconnected."


class NotUsableError(Exception):
    """The connection's state does not allow this; the text is for people."""


class Revocation(StrEnum):
    """What became of the access at the platform when an account was disconnected."""

    REVOKED = "revoked"
    SHARED = "shared"  # left alone, since another workspace uses the same account
    FAILED = "failed"  # the platform could not be told


@dataclass(frozen=True)
class Disconnected:
    """The end of a connection: what happened at the platform, and who is primary now."""

    revocation: Revocation
    primary: SocialConnection | None


class TestOutcome(StrEnum):
    """Whether a connection works right now."""

    __test__ = False  # not a class of tests

    OK = "ok"
    NEEDS_RECONNECT = "needs_reconnect"
    UNREACHABLE = "unreachable"
    OPERATOR = "operator"  # our own set-up at the platform is wrong


@dataclass(frozen=True)
class TestResult:
    """The answer to "does it work?", with a sentence for people and the platform's own code and log id."""

    __test__ = False

    outcome: TestOutcome
    message: str
    code: str = ""
    log_id: str = ""


def disconnect(
    connection: SocialConnection, *, reason: str = DISCONNECTED_REASON, insist: bool = False
) -> Disconnected:
    """Give up the account: revoke at the provider, wipe the tokens, keep the row, hand on the primary flag.

    Access is not revoked while another workspace uses the same account, since revoking ends it for both. A provider
    that cannot be told does not keep the tokens alive here: `Revocation.FAILED` says that the person should remove the
    app there. With `insist` nothing is changed in that case, if trying later may help: its ProviderError is raised.
    Sends `connection_lost`. Disconnecting twice changes nothing. Raises UnreachableError while another process holds
    the tokens.
    """
    with exclusive_tokens(connection):
        revocation, answer = _revoke(connection)
        if insist and revocation is Revocation.FAILED and answer is not None and answer.may_work_later:
            raise answer
        with transaction.atomic():
            if mark_disconnected(connection, reason=reason):
                _record_disconnected(connection, revocation, answer)
    log.info(
        "disconnected workspace=%s connection=%s revocation=%s",
        connection.workspace_id,
        connection.pk,
        revocation,
    )
    primary = SocialConnection.objects.filter(
        workspace_id=connection.workspace_id, provider=connection.provider, is_primary=True
    ).first()
    return Disconnected(revocation, primary)


def _record_disconnected(
    connection: SocialConnection, revocation: Revocation, answer: ProviderError | None
) -> None:
    audit.record(
        "connection.disconnected",
        workspace=connection.workspace_id,
        actor=audit.current_actor(),
        connection=connection.pk,
        account=connection.display_name,
        revocation=revocation.value,
        platform_code=answer.code if answer else "",
        log_id=answer.log_id if answer else "",
    )


def set_primary(connection: SocialConnection) -> None:
    """Make this the one that new posts preselect. Raises NotUsableError for a disconnected one. Reloads it."""
    with transaction.atomic():
        lock_primary(connection.workspace_id)
        connection.refresh_from_db()
        if connection.status == ConnectionStatus.REVOKED:
            raise NotUsableError("This account is disconnected. Connect it again first.")
        siblings = SocialConnection.objects.filter(
            workspace_id=connection.workspace_id, provider=connection.provider
        )
        siblings.filter(is_primary=True).exclude(pk=connection.pk).update(is_primary=False)
        siblings.filter(pk=connection.pk).update(is_primary=True)
        connection.is_primary = True
        audit.record(
            "connection.primary_changed",
            workspace=connection.workspace_id,
            actor=audit.current_actor(),
            connection=connection.pk,
            account=connection.display_name,
        )
    log.info("primary set workspace=%s connection=%s", connection.workspace_id, connection.pk)


def set_label(connection: SocialConnection, label: str) -> None:
    """Give the connection a name of the workspace's own, at most 60 characters; the empty one takes it away."""
    connection.account_label = " ".join(label.split())
    connection.save(update_fields=["account_label"])


def test_connection(connection: SocialConnection) -> TestResult:
    """Ask the provider for the profile now, and say whether the connection works. Never raises ProviderError."""
    label = provider_for(connection.provider).label
    try:
        profile_for(connection, force=True)
    except AuthorizationError as error:
        message = connection.status_reason or f"{label} asks that you reconnect this account."
        return _result(TestOutcome.NEEDS_RECONNECT, message, error)
    except ConfigurationError as error:
        message = f"This service is not set up correctly at {label}. Its operator has to put that right."
        return _result(TestOutcome.OPERATOR, message, error)
    except ProviderError as error:
        message = f"{label} could not be reached or had a problem of its own. Try again in a minute."
        return _result(TestOutcome.UNREACHABLE, message, error)
    return TestResult(TestOutcome.OK, f"It works: {label} answered just now.")


test_connection.__test__ = False  # type: ignore[attr-defined]  # not a test


def _result(outcome: TestOutcome, message: str, error: ProviderError) -> TestResult:
    return TestResult(outcome, message, error.code, error.log_id)


def _revoke(connection: SocialConnection) -> tuple[Revocation, ProviderError | None]:
    """End the access at the platform; return what came of it, and the platform's refusal if it refused."""
    if _is_shared(connection):
        return Revocation.SHARED, None
    try:
        _revoke_token(connection)
    except AuthorizationError as error:
        return Revocation.REVOKED, error  # the platform took the access away before us
    except ProviderError as error:
        log.warning(
            "revoke failed workspace=%s connection=%s code=%s log_id=%s",
            connection.workspace_id,
            connection.pk,
            error.code,
            error.log_id,
        )
        return Revocation.FAILED, error
    return Revocation.REVOKED, None


@system_scope(System.SHARED_ACCOUNT)
def _is_shared(connection: SocialConnection) -> bool:
    """Whether another workspace holds the same account, and would lose it."""
    others = SocialConnection.objects.active().filter(
        provider=connection.provider, provider_account_id=connection.provider_account_id
    )
    return others.exclude(pk=connection.pk).exists()


def _revoke_token(connection: SocialConnection) -> None:
    """Revoke with the stored token, or with a new one if that is refused: the refresh token may still be alive."""
    authorizer = provider_for(connection.provider).authorizer()
    token = token_to_revoke(connection)
    if not token:
        return
    try:
        authorizer.revoke(access_token=token)
    except AuthorizationError:
        authorizer.revoke(access_token=token_to_revoke(connection, rejected=token))
