"""What connections writes into the audit log, and that no secret is in it."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command

from accounts.models import AuditEvent
from connections.lifecycle import mark_needs_reauth
from connections.models import SocialConnection
from connections.services import NotUsableError, disconnect, set_primary
from tests.connections.conftest import (
    ALL_SCOPES,
    LOG_ID,
    REVOKE_URL,
    TOKEN_URL,
    begin,
    come_back,
    flat_error,
    grant,
)

pytestmark = pytest.mark.django_db


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))


def connect(browser, acme, tiktok, **changes):
    """A whole connect; the answer's tokens are `grant`'s."""
    tiktok.post(TOKEN_URL, json=grant(**changes))
    return come_back(browser, code="a-code", state=begin(browser, acme)["state"])


def test_connect_is_recorded_with_who_and_what(browser, alice, acme, account):
    connect(browser, acme, account)

    event = AuditEvent.objects.get(action="connection.connected")
    row = SocialConnection.objects.get()
    assert (event.actor_id, event.workspace_id, event.ip) == (alice.pk, acme.pk, "127.0.0.1")
    assert event.details["connection"] == str(row.pk)
    assert event.details["scopes"] == ALL_SCOPES


def test_reconnect_with_the_same_scopes_changes_no_scope(browser, acme, account, make_connection):
    make_connection(acme, provider_account_id="-000creator")

    connect(browser, acme, account)

    assert actions() == ["connection.reconnected"]


def test_reconnect_with_fewer_scopes_says_which_went(browser, acme, account, make_connection):
    make_connection(acme, provider_account_id="-000creator", scopes=["user.info.basic", "video.upload"])

    connect(browser, acme, account, scope="user.info.basic,video.publish")

    event = AuditEvent.objects.get(action="connection.scopes_changed")
    assert (event.details["granted"], event.details["withdrawn"]) == (["video.publish"], ["video.upload"])


def test_connect_that_fails_records_nothing(browser, acme, tiktok):
    tiktok.post(TOKEN_URL, json=flat_error("invalid_grant"), status=400)

    come_back(browser, code="a-code", state=begin(browser, acme)["state"])

    assert actions() == []


def test_lost_authorization_is_recorded_once(acme, make_connection):
    connection = make_connection(acme)

    mark_needs_reauth(connection, reason="TikTok refused it.")
    mark_needs_reauth(connection, reason="TikTok refused it.")

    event = AuditEvent.objects.get()
    assert (event.action, event.actor_id, event.details["reason"]) == (
        "connection.needs_reauth",
        None,
        "TikTok refused it.",
    )


def test_change_of_the_primary_is_recorded_with_who(browser, alice, acme, make_connection):
    make_connection(acme, is_primary=True)
    other = make_connection(acme)

    browser.post(f"/w/acme/connections/{other.pk}/primary/")

    event = AuditEvent.objects.get()
    assert (event.action, event.actor_id) == ("connection.primary_changed", alice.pk)
    assert event.details["connection"] == str(other.pk)


def test_primary_that_cannot_be_set_records_nothing(acme, tiktok, make_connection):
    tiktok.post(REVOKE_URL, json={})
    gone = make_connection(acme)
    disconnect(gone)

    with pytest.raises(NotUsableError):
        set_primary(gone)

    assert actions() == ["connection.disconnected"]


@pytest.mark.parametrize(
    ("status", "body", "revocation", "code"),
    [
        pytest.param(200, {}, "revoked", "", id="revoked"),
        pytest.param(500, {}, "failed", "", id="down"),
        pytest.param(401, flat_error("invalid_client"), "failed", "invalid_client", id="refused"),
    ],
)
def test_disconnect_is_recorded_with_the_platforms_answer(
    acme, tiktok, make_connection, status, body, revocation, code
):
    tiktok.post(REVOKE_URL, json=body, status=status)

    disconnect(make_connection(acme))

    details = AuditEvent.objects.get(action="connection.disconnected").details
    assert (details["revocation"], details["platform_code"]) == (revocation, code)
    assert details["log_id"] == (LOG_ID if code else "")


def test_disconnect_twice_is_recorded_once_and_the_heir_too(acme, tiktok, make_connection):
    tiktok.post(REVOKE_URL, json={})
    connection = make_connection(acme, is_primary=True)
    heir = make_connection(acme)

    disconnect(connection)
    disconnect(connection)

    assert actions() == ["connection.primary_changed", "connection.disconnected"]
    assert AuditEvent.objects.get(action="connection.primary_changed").details["connection"] == str(heir.pk)


def test_key_rotation_is_recorded_with_key_ids_and_no_key(acme, make_connection, settings):
    make_connection(acme)

    call_command("rotate_encryption_keys", stdout=io.StringIO())

    event = AuditEvent.objects.get()
    assert event.action == "keys.rotated"
    assert settings.ENCRYPTION_KEYS[0] not in str(event.details)


def test_no_secret_is_in_the_log_after_connects_failures_and_disconnects(browser, acme, account):
    connect(browser, acme, account)
    row = SocialConnection.objects.get()
    mark_needs_reauth(row, reason="refused")
    account.post(REVOKE_URL, json={})
    disconnect(row)

    written = str(list(AuditEvent.objects.values()))
    assert len(actions()) >= 3
    assert [one for one in ("act.", "rft.", "a-code", "gAAAA") if one in written] == []
