"""Calling the provider: one repeat after a refused token, then the person is asked."""

from __future__ import annotations

import pytest

from connections.clients import call
from connections.crypto import open_sealed
from connections.errors import AuthorizationError, RejectedError, TransportError
from connections.models import ConnectionStatus, SocialConnection
from tests.connections.conftest import CREATOR_URL, TOKEN_URL, creator_info, flat_error, grant, refusal

pytestmark = pytest.mark.django_db


def fetch_creator(client):
    return client.fetch_creator()


def bearers(tiktok):
    return [
        call_.request.headers["Authorization"] for call_ in tiktok.calls if call_.request.url == CREATOR_URL
    ]


def test_a_call_carries_the_stored_token_and_returns_the_result(acme, make_connection, tiktok):
    tiktok.post(CREATOR_URL, json=creator_info())

    info = call(make_connection(acme), fetch_creator)

    assert info.nickname == "Nora Moves"
    assert bearers(tiktok) == ["Bearer act.old-access"]


def test_a_refused_token_is_refreshed_and_the_call_repeated_once(acme, make_connection, tiktok):
    row = make_connection(acme)
    tiktok.post(CREATOR_URL, status=401, json=refusal("access_token_invalid"))
    tiktok.post(CREATOR_URL, json=creator_info())
    tiktok.post(TOKEN_URL, json=grant(open_id=row.provider_account_id))

    info = call(row, fetch_creator)

    assert info.username == "noramoves"
    assert bearers(tiktok) == ["Bearer act.old-access", "Bearer act.new-access"]


def test_a_token_refused_twice_marks_the_connection(acme, make_connection, tiktok, notices):
    row = make_connection(acme)
    tiktok.post(CREATOR_URL, status=401, json=refusal("access_token_invalid"))
    tiktok.post(TOKEN_URL, json=grant(open_id=row.provider_account_id))

    with pytest.raises(AuthorizationError):
        call(row, fetch_creator)

    assert row.status == ConnectionStatus.NEEDS_REAUTH
    assert len(bearers(tiktok)) == 2
    assert notices == [("lost", row.pk)]


def test_a_token_refused_twice_while_another_process_stored_a_newer_one_keeps_the_connection(
    acme, make_connection, tiktok, notices
):
    row = make_connection(acme)
    tiktok.post(CREATOR_URL, status=401, json=refusal("access_token_invalid"))
    tiktok.post(TOKEN_URL, json=grant(open_id=row.provider_account_id))
    asked = []

    def fetch_while_another_reconnects(client):
        asked.append(client)
        if len(asked) == 2:
            SocialConnection.objects.filter(pk=row.pk).update(token_generation=9)
        return client.fetch_creator()

    with pytest.raises(TransportError):
        call(row, fetch_while_another_reconnects)

    assert row.status == ConnectionStatus.ACTIVE
    assert notices == []


def test_a_dead_refresh_token_ends_the_call(acme, make_connection, tiktok, notices):
    row = make_connection(acme)
    tiktok.post(CREATOR_URL, status=401, json=refusal("access_token_invalid"))
    tiktok.post(TOKEN_URL, status=400, json=flat_error("invalid_grant"))

    with pytest.raises(AuthorizationError):
        call(row, fetch_creator)

    assert len(bearers(tiktok)) == 1
    assert notices == [("lost", row.pk)]


def test_a_missing_scope_does_not_kill_the_connection(acme, make_connection, tiktok, notices):
    row = make_connection(acme)
    tiktok.post(CREATOR_URL, status=401, json=refusal("scope_not_authorized"))

    with pytest.raises(AuthorizationError) as caught:
        call(row, fetch_creator)

    row.refresh_from_db()
    assert caught.value.code == "scope_not_authorized"
    assert row.status == ConnectionStatus.ACTIVE
    assert open_sealed(row, "access_token") == "act.old-access"
    assert notices == []


def test_a_refusal_for_another_reason_passes_through(acme, make_connection, tiktok):
    tiktok.post(CREATOR_URL, status=400, json=refusal("invalid_params"))

    with pytest.raises(RejectedError):
        call(make_connection(acme), fetch_creator)

    assert len(tiktok.calls) == 1
