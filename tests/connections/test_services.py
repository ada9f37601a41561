"""Disconnecting, the primary flag, labels, and "does it work?"."""

from __future__ import annotations

import contextlib
import json
import threading
from datetime import timedelta
from urllib.parse import parse_qs

import pytest
import requests
import responses
from django.db import IntegrityError, transaction
from django.utils import timezone

from connections import services
from connections.lifecycle import mark_needs_reauth
from connections.models import ConnectionStatus, SocialConnection
from connections.services import Revocation, TestOutcome, disconnect, set_label, set_primary
from tests.connections.conftest import REVOKE_URL, TOKEN_URL, USER_URL, flat_error, grant, refusal
from tests.connections.test_tokens import run_in_threads

pytestmark = pytest.mark.django_db


def revoked_tokens(tiktok):
    forms = [parse_qs(call.request.body.decode()) for call in tiktok.calls if call.request.url == REVOKE_URL]
    assert all(form["client_secret"] == ["test-client-secret"] for form in forms)
    return [form["token"][0] for form in forms]


def test_disconnecting_revokes_wipes_and_keeps_the_row(acme, make_connection, tiktok, notices):
    row = make_connection(acme, is_primary=True, account_label="Main")
    tiktok.post(REVOKE_URL, json={})

    result = disconnect(row)

    row.refresh_from_db()
    assert result.revocation == Revocation.REVOKED
    assert revoked_tokens(tiktok) == ["act.old-access"]
    assert (row.access_token, row.refresh_token) == ("", "")
    assert row.status == ConnectionStatus.REVOKED
    assert row.is_primary is False
    assert row.account_label == "Main"
    assert row.disconnected_at is not None
    assert row.refresh_lease_until is None
    assert notices == [("lost", row.pk)]


def test_an_expired_token_is_refreshed_before_it_is_revoked(acme, make_connection, expired, tiktok):
    row = make_connection(acme, **expired)
    tiktok.post(TOKEN_URL, json=grant(open_id=row.provider_account_id))
    tiktok.post(REVOKE_URL, json={})

    disconnect(row)

    assert revoked_tokens(tiktok) == ["act.new-access"]


def test_a_token_that_turns_out_dead_is_refreshed_to_revoke(acme, make_connection, tiktok):
    row = make_connection(acme)
    tiktok.post(REVOKE_URL, status=400, json=flat_error("invalid_grant"))
    tiktok.post(REVOKE_URL, json={})
    tiktok.post(TOKEN_URL, json=grant(open_id=row.provider_account_id))

    result = disconnect(row)

    assert result.revocation == Revocation.REVOKED
    assert revoked_tokens(tiktok) == ["act.old-access", "act.new-access"]


def test_access_that_the_platform_took_away_already_counts_as_revoked(acme, make_connection, expired, tiktok):
    row = make_connection(acme, **expired)
    tiktok.post(TOKEN_URL, status=400, json=flat_error("invalid_grant"))

    assert disconnect(row).revocation == Revocation.REVOKED
    assert SocialConnection.objects.get().status == ConnectionStatus.REVOKED


def test_an_account_that_another_workspace_uses_is_not_revoked(acme, rival, make_connection, tiktok):
    row = make_connection(acme, provider_account_id="-000shared")
    other = make_connection(rival, provider_account_id="-000shared")

    result = disconnect(row)

    other.refresh_from_db()
    assert result.revocation == Revocation.SHARED
    assert len(tiktok.calls) == 0
    assert row.status == ConnectionStatus.REVOKED
    assert other.is_active


def test_an_account_that_another_workspace_has_lost_is_revoked(acme, rival, make_connection, tiktok):
    row = make_connection(acme, provider_account_id="-000shared")
    make_connection(rival, provider_account_id="-000shared", status=ConnectionStatus.NEEDS_REAUTH)
    tiktok.post(REVOKE_URL, json={})

    assert disconnect(row).revocation == Revocation.REVOKED
    assert revoked_tokens(tiktok) == ["act.old-access"]


@pytest.mark.parametrize(
    "trouble", [{"body": requests.ConnectionError("refused")}, {"status": 500}, {"status": 401, "json": {}}]
)
def test_a_provider_that_cannot_be_told_does_not_keep_the_tokens_alive(
    acme, make_connection, tiktok, trouble
):
    row = make_connection(acme)
    tiktok.post(REVOKE_URL, **trouble)

    result = disconnect(row)

    assert result.revocation == Revocation.FAILED
    assert SocialConnection.objects.get().access_token == ""


def test_disconnecting_twice_tells_once(acme, make_connection, tiktok, notices):
    row = make_connection(acme)
    tiktok.post(REVOKE_URL, json={})

    disconnect(row)
    disconnect(row)

    assert len(revoked_tokens(tiktok)) == 1
    assert notices == [("lost", row.pk)]


def test_the_primary_passes_to_the_oldest_active_one(acme, rival, make_connection, tiktok):
    tiktok.post(REVOKE_URL, json={})
    make_connection(rival)
    make_connection(acme, status=ConnectionStatus.NEEDS_REAUTH)
    row = make_connection(acme, is_primary=True)
    heir = make_connection(acme)
    make_connection(acme)

    assert disconnect(row).primary == heir
    assert SocialConnection.objects.get(is_primary=True) == heir


def test_disconnecting_another_leaves_the_primary(acme, make_connection, tiktok):
    tiktok.post(REVOKE_URL, json={})
    primary = make_connection(acme, is_primary=True)

    disconnect(make_connection(acme))

    assert SocialConnection.objects.get(is_primary=True) == primary


def test_set_primary_moves_the_flag_within_the_workspace_only(acme, rival, make_connection):
    old, new = make_connection(acme, is_primary=True), make_connection(acme)
    foreign = make_connection(rival, is_primary=True)

    set_primary(new)

    assert set(SocialConnection.objects.filter(is_primary=True)) == {new, foreign}
    old.refresh_from_db()
    assert old.is_primary is False


def test_a_disconnected_account_cannot_be_primary(acme, make_connection, tiktok):
    tiktok.post(REVOKE_URL, json={})
    row = make_connection(acme)
    disconnect(row)

    with pytest.raises(services.NotUsableError):
        set_primary(row)


def test_the_database_refuses_a_second_primary(acme, make_connection):
    make_connection(acme, is_primary=True)

    with pytest.raises(IntegrityError), transaction.atomic():
        make_connection(acme, is_primary=True)


@pytest.mark.django_db(transaction=True)
def test_many_at_once_choosing_a_primary_end_with_exactly_one(acme, make_connection):
    rows = [make_connection(acme) for _ in range(8)]
    queue = list(rows)
    lock = threading.Lock()

    def choose() -> None:
        with lock:
            row = queue.pop()
        set_primary(SocialConnection.objects.get(pk=row.pk))

    run_in_threads(8, choose)

    assert SocialConnection.objects.filter(workspace=acme, is_primary=True).count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_first_accounts_connected_at_once_give_one_primary(acme, alice, as_user, account):
    from tests.connections.conftest import begin, come_back

    lock = threading.Lock()
    number = iter(range(100))
    browsers = []
    for _ in range(4):
        client = as_user(alice)
        browsers.append((client, begin(client, acme)["state"]))

    def answer(request):
        with lock:
            return 200, {}, json.dumps(grant(open_id=f"-000{next(number)}"))

    account.add_callback(responses.POST, TOKEN_URL, answer)

    def connect() -> None:
        with lock:
            client, state = browsers.pop()
        assert come_back(client, code="c", state=state).status_code == 302

    run_in_threads(4, connect)

    assert SocialConnection.objects.count() == 4
    assert SocialConnection.objects.filter(is_primary=True).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_primary_chosen_while_it_is_disconnected_never_leaves_a_revoked_primary(
    acme, make_connection, tiktok
):
    tiktok.post(REVOKE_URL, json={})
    make_connection(acme, is_primary=True)
    row = make_connection(acme)
    works = [
        lambda: disconnect(SocialConnection.objects.get(pk=row.pk)),
        lambda: set_primary(SocialConnection.objects.get(pk=row.pk)),
    ]
    lock = threading.Lock()

    def work() -> None:
        with lock:
            mine = works.pop()
        with contextlib.suppress(services.NotUsableError):
            mine()

    run_in_threads(2, work)

    row.refresh_from_db()
    assert row.status == ConnectionStatus.REVOKED
    assert SocialConnection.objects.filter(is_primary=True).count() == 1


def test_a_label_is_tidied_and_can_be_taken_away(acme, make_connection):
    row = make_connection(acme)

    set_label(row, "  Main \n account ")
    row.refresh_from_db()
    assert row.account_label == "Main account"

    set_label(row, "")
    row.refresh_from_db()
    assert row.account_label == ""


def test_a_working_connection_tests_ok(acme, make_connection, account):
    result = services.test_connection(make_connection(acme))

    assert result.outcome == TestOutcome.OK


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        pytest.param(
            {"status": 401, "json": refusal("scope_not_authorized")}, TestOutcome.NEEDS_RECONNECT, id="scope"
        ),
        pytest.param({"status": 500}, TestOutcome.UNREACHABLE, id="5xx"),
        pytest.param({"body": requests.ConnectionError("x")}, TestOutcome.UNREACHABLE, id="no answer"),
        pytest.param({"status": 200, "json": {}}, TestOutcome.UNREACHABLE, id="empty"),
    ],
)
def test_a_connection_that_does_not_work_says_what_to_do(acme, make_connection, tiktok, reply, outcome):
    tiktok.get(USER_URL, **reply)

    assert services.test_connection(make_connection(acme)).outcome == outcome


def test_testing_a_dead_connection_marks_it(acme, make_connection, expired, tiktok):
    row = make_connection(acme, **expired)
    tiktok.post(TOKEN_URL, status=400, json=flat_error("invalid_grant"))

    result = services.test_connection(row)

    assert result.outcome == TestOutcome.NEEDS_RECONNECT
    assert row.status == ConnectionStatus.NEEDS_REAUTH


def test_wrong_credentials_of_ours_are_the_operators_matter(acme, make_connection, expired, tiktok):
    tiktok.post(TOKEN_URL, status=401, json=flat_error("invalid_client"))

    result = services.test_connection(make_connection(acme, **expired))

    assert result.outcome == TestOutcome.OPERATOR
    assert result.code == "invalid_client"


def test_marking_for_reconnecting_needs_the_generation_that_was_refused(acme, make_connection, notices):
    row = make_connection(acme, token_generation=3)

    assert mark_needs_reauth(row, reason="Dead.", generation=2) is False
    assert row.is_active
    assert mark_needs_reauth(row, reason="Dead.", generation=3) is True
    assert mark_needs_reauth(row, reason="Dead.") is False
    assert notices == [("lost", row.pk)]


def test_a_notice_that_fails_takes_the_change_back(acme, make_connection):
    from connections.signals import connection_lost

    row = make_connection(acme)

    def break_(sender, **_):
        raise ValueError("broken")

    connection_lost.connect(break_)
    try:
        with pytest.raises(ValueError, match="broken"):
            mark_needs_reauth(row, reason="Dead.")
    finally:
        connection_lost.disconnect(break_)

    row.refresh_from_db()
    assert row.is_active


def test_a_lease_held_by_a_dead_process_does_not_stop_a_disconnect(acme, make_connection, tiktok):
    tiktok.post(REVOKE_URL, json={})
    row = make_connection(acme, refresh_lease_until=timezone.now() - timedelta(seconds=1))

    assert disconnect(row).revocation == Revocation.REVOKED
