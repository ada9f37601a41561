"""One way to a token: fresh, refreshed once, and never lost to a race."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
import responses
from django.db import connection as database
from django.db import transaction
from django.utils import timezone

from connections import tokens
from connections.crypto import open_sealed, seal
from connections.errors import AuthorizationError, ConfigurationError, ProviderError, TransportError
from connections.models import ConnectionStatus, SocialConnection
from connections.tokens import fresh_access_token, is_expiring
from tests.connections.conftest import REVOKE_URL, TOKEN_URL, flat_error, grant

pytestmark = pytest.mark.django_db


def stored_pair(row: SocialConnection) -> tuple[str, str]:
    row.refresh_from_db()
    return open_sealed(row, "access_token"), open_sealed(row, "refresh_token")


def new_pair(row: SocialConnection, **changes: Any) -> dict[str, Any]:
    return grant(open_id=row.provider_account_id, **changes)


def test_a_live_token_is_returned_without_asking_the_provider(acme, make_connection, tiktok):
    row = make_connection(acme)

    assert fresh_access_token(row) == "act.old-access"
    assert len(tiktok.calls) == 0


def test_an_expired_token_is_refreshed_and_the_new_pair_stored_sealed(acme, make_connection, expired, tiktok):
    row = make_connection(acme, **expired)
    tiktok.post(TOKEN_URL, json=new_pair(row, expires_in=600, refresh_expires_in=1200))
    before = timezone.now()

    assert fresh_access_token(row) == "act.new-access"

    assert stored_pair(row) == ("act.new-access", "rft.new-refresh")
    assert timedelta(0) <= row.access_expires_at - before - timedelta(seconds=600) < timedelta(seconds=30)
    assert timedelta(0) <= row.refresh_expires_at - before - timedelta(seconds=1200) < timedelta(seconds=30)
    assert row.token_generation == 1
    assert row.refresh_lease_until is None
    with database.cursor() as cursor:
        cursor.execute("SELECT access_token || refresh_token FROM social_connections")
        assert "new-" not in cursor.fetchone()[0]


def test_the_refresh_sends_the_stored_refresh_token(acme, make_connection, expired, tiktok):
    row = make_connection(acme, **expired)
    tiktok.post(TOKEN_URL, json=new_pair(row))

    fresh_access_token(row)

    form = parse_qs(tiktok.calls[0].request.body.decode())
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["rft.old-refresh"]


@pytest.mark.parametrize(
    ("life", "left", "expiring"),
    [
        pytest.param(7200, 601, False, id="two hours: over ten minutes left"),
        pytest.param(7200, 599, True, id="two hours: under ten minutes left"),
        pytest.param(60, 13, False, id="one minute: over a fifth left"),
        pytest.param(60, 11, True, id="one minute: under a fifth left"),
        pytest.param(86400, 601, False, id="a day: ten minutes are the most"),
        pytest.param(60, -1, True, id="over"),
    ],
)
def test_a_token_is_expiring_by_its_own_life(life, left, expiring):
    now = timezone.now()
    ends = now + timedelta(seconds=left)
    row = SocialConnection(access_expires_at=ends, refreshed_at=ends - timedelta(seconds=life))

    assert is_expiring(row, now) is expiring


def test_a_rejected_token_is_refreshed_though_it_has_life_left(acme, make_connection, tiktok):
    row = make_connection(acme)
    tiktok.post(TOKEN_URL, json=new_pair(row))

    assert fresh_access_token(row, rejected="act.old-access") == "act.new-access"


def test_a_rejected_token_that_was_already_replaced_costs_no_refresh(acme, make_connection, tiktok):
    row = make_connection(acme, access_token="act.newer")

    assert fresh_access_token(row, rejected="act.old-access") == "act.newer"
    assert len(tiktok.calls) == 0


def test_a_stale_object_sees_what_another_process_stored(acme, make_connection, expired, tiktok):
    row = make_connection(acme, **expired)
    stale = SocialConnection.objects.get(pk=row.pk)
    tiktok.post(TOKEN_URL, json=new_pair(row))
    fresh_access_token(row)

    assert fresh_access_token(stale) == "act.new-access"
    assert len(tiktok.calls) == 1


def test_a_dead_refresh_token_marks_the_connection_and_tells_once(
    acme, make_connection, expired, tiktok, notices
):
    row = make_connection(acme, **expired)
    tiktok.post(TOKEN_URL, json=flat_error("invalid_grant"), status=400)

    for _ in range(2):
        with pytest.raises(AuthorizationError):
            fresh_access_token(row)

    row.refresh_from_db()
    assert row.status == ConnectionStatus.NEEDS_REAUTH
    assert row.status_reason == "TikTok no longer accepts this connection. Reconnect the account to go on."
    assert row.refresh_lease_until is None
    assert notices == [("lost", row.pk)]
    assert len(tiktok.calls) == 1


def test_a_refused_refresh_uses_the_newer_pair_of_another_process(
    acme, make_connection, expired, tiktok, notices
):
    row = make_connection(acme, **expired)

    def lose_the_race(request: Any) -> tuple[int, dict[str, str], str]:
        other = SocialConnection.objects.get(pk=row.pk)
        SocialConnection.objects.filter(pk=row.pk).update(
            access_token=seal(other, "access_token", "act.won"),
            access_expires_at=timezone.now() + timedelta(hours=2),
            token_generation=other.token_generation + 1,
        )
        return 400, {}, '{"error": "invalid_grant"}'

    tiktok.add_callback(responses.POST, TOKEN_URL, lose_the_race)

    assert fresh_access_token(row) == "act.won"
    assert row.status == ConnectionStatus.ACTIVE
    assert notices == []


def test_a_late_answer_does_not_overwrite_a_newer_pair(acme, make_connection, expired, tiktok):
    row = make_connection(acme, **expired)

    def answer_late(request: Any) -> tuple[int, dict[str, str], str]:
        other = SocialConnection.objects.get(pk=row.pk)
        SocialConnection.objects.filter(pk=row.pk).update(
            access_token=seal(other, "access_token", "act.reconnected"),
            refresh_token=seal(other, "refresh_token", "rft.reconnected"),
            access_expires_at=timezone.now() + timedelta(hours=2),
            token_generation=other.token_generation + 1,
        )
        return 200, {}, json.dumps(new_pair(row))

    tiktok.add_callback(responses.POST, TOKEN_URL, answer_late)

    assert fresh_access_token(row) == "act.reconnected"
    assert stored_pair(row) == ("act.reconnected", "rft.reconnected")


def test_an_answer_after_a_disconnect_stores_nothing(acme, make_connection, expired, tiktok):
    row = make_connection(acme, **expired)

    def disconnected_meanwhile(request: Any) -> tuple[int, dict[str, str], str]:
        SocialConnection.objects.filter(pk=row.pk).update(
            status="revoked", access_token="", refresh_token="", is_primary=False, token_generation=7
        )
        return 200, {}, json.dumps(new_pair(row))

    tiktok.add_callback(responses.POST, TOKEN_URL, disconnected_meanwhile)

    with pytest.raises(AuthorizationError):
        fresh_access_token(row)

    assert stored_pair(row) == ("", "")


def test_wrong_credentials_of_ours_keep_the_connection(acme, make_connection, expired, tiktok, notices):
    row = make_connection(acme, **expired)
    tiktok.post(TOKEN_URL, json=flat_error("invalid_client"), status=401)

    with pytest.raises(ConfigurationError):
        fresh_access_token(row)

    row.refresh_from_db()
    assert row.status == ConnectionStatus.ACTIVE
    assert row.refresh_lease_until is None
    assert stored_pair(row) == ("act.old-access", "rft.old-refresh")
    assert notices == []


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"body": requests.ConnectionError("refused")}, id="unreachable"),
        pytest.param({"status": 503}, id="down"),
        pytest.param({"body": "{oops"}, id="unreadable"),
    ],
)
def test_a_provider_in_trouble_does_not_matter_while_the_token_lives(acme, make_connection, tiktok, answer):
    now = timezone.now()
    row = make_connection(
        acme, refreshed_at=now - timedelta(hours=2), access_expires_at=now + timedelta(minutes=1)
    )
    tiktok.post(TOKEN_URL, **answer)

    assert fresh_access_token(row) == "act.old-access"
    assert len(tiktok.calls) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param({"body": requests.ReadTimeout("slow")}, id="timeout"),
        pytest.param({"status": 503, "body": "<html>"}, id="5xx"),
        pytest.param({"status": 200, "body": "not json"}, id="unreadable"),
        pytest.param({"status": 200, "json": {}}, id="success with nothing in it"),
        pytest.param({"status": 429, "json": flat_error("rate_limit_exceeded")}, id="429"),
    ],
)
def test_trouble_with_an_expired_token_is_raised_and_the_lease_let_go(
    acme, make_connection, expired, tiktok, trouble
):
    row = make_connection(acme, **expired)
    tiktok.post(TOKEN_URL, **trouble)

    with pytest.raises(ProviderError) as caught:
        fresh_access_token(row)

    row.refresh_from_db()
    assert not isinstance(caught.value, AuthorizationError)
    assert row.status == ConnectionStatus.ACTIVE
    assert row.refresh_lease_until is None


def test_tokens_of_another_account_are_never_stored(acme, make_connection, expired, tiktok):
    row = make_connection(acme, **expired)
    tiktok.post(TOKEN_URL, json=grant(open_id="-000somebody-else"))

    with pytest.raises(ProviderError):
        fresh_access_token(row)

    assert stored_pair(row) == ("act.old-access", "rft.old-refresh")


@pytest.mark.parametrize("status", [ConnectionStatus.NEEDS_REAUTH, ConnectionStatus.REVOKED])
def test_an_unusable_connection_gives_no_token(acme, make_connection, tiktok, status):
    row = make_connection(acme)
    SocialConnection.objects.filter(pk=row.pk).update(status=status, access_token="", refresh_token="")

    with pytest.raises(AuthorizationError):
        fresh_access_token(row)


def test_a_deleted_connection_gives_no_token(acme, make_connection):
    row = make_connection(acme)
    SocialConnection.objects.all().delete()

    with pytest.raises(AuthorizationError):
        fresh_access_token(row)


def test_a_connection_deleted_during_its_refusal_is_an_authorization_error(
    acme, make_connection, expired, tiktok, notices
):
    row = make_connection(acme, **expired)

    def delete_and_refuse(request: Any) -> tuple[int, dict[str, str], str]:
        SocialConnection.objects.all().delete()
        return 400, {}, '{"error": "invalid_grant"}'

    tiktok.add_callback(responses.POST, TOKEN_URL, delete_and_refuse)

    with pytest.raises(AuthorizationError):
        fresh_access_token(row)

    assert notices == []


def test_a_token_that_does_not_open_is_the_operators_matter(acme, make_connection, settings):
    row = make_connection(acme)
    settings.ENCRYPTION_KEYS = ["b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb3Q="]

    with pytest.raises(ConfigurationError):
        fresh_access_token(row)


def test_a_refresher_that_died_is_succeeded_when_its_lease_ends(acme, make_connection, expired, tiktok):
    row = make_connection(acme, refresh_lease_until=timezone.now() - timedelta(seconds=1), **expired)
    tiktok.post(TOKEN_URL, json=new_pair(row))

    assert fresh_access_token(row) == "act.new-access"


def test_a_refresh_is_leased_for_longer_than_it_can_take_and_ends_within_a_delivery_lease(
    acme, make_connection, expired, tiktok, settings
):
    row = make_connection(acme, **expired)
    leases = []

    def look(request: Any) -> tuple[int, dict[str, str], str]:
        until = SocialConnection.objects.values_list("refresh_lease_until", flat=True).get(pk=row.pk)
        assert until is not None
        leases.append(until - timezone.now())
        return 200, {}, json.dumps(new_pair(row))

    tiktok.add_callback(responses.POST, TOKEN_URL, callback=look)

    fresh_access_token(row)

    longest_call = timedelta(seconds=settings.TIKTOK_CONNECT_TIMEOUT + settings.TIKTOK_READ_TIMEOUT)
    assert longest_call < leases[0] + timedelta(seconds=1) < settings.DELIVERY_LEASE
    assert longest_call < tokens.WAIT


def test_a_waiter_gives_up_on_a_lease_that_does_not_end(acme, make_connection, expired, tiktok, monkeypatch):
    row = make_connection(acme, refresh_lease_until=timezone.now() + timedelta(hours=1), **expired)
    monkeypatch.setattr(tokens, "WAIT", timedelta(0))

    with pytest.raises(TransportError):
        fresh_access_token(row)

    assert len(tiktok.calls) == 0


def test_a_waiter_with_a_living_token_uses_it_rather_than_fail(acme, make_connection, monkeypatch):
    now = timezone.now()
    row = make_connection(
        acme,
        refreshed_at=now - timedelta(hours=2),
        access_expires_at=now + timedelta(minutes=1),
        refresh_lease_until=now + timedelta(hours=1),
    )
    monkeypatch.setattr(tokens, "WAIT", timedelta(0))

    assert fresh_access_token(row) == "act.old-access"


@pytest.mark.django_db(transaction=True)
def test_a_refresh_refuses_to_run_inside_a_transaction(acme, make_connection, expired, tiktok):
    row = make_connection(acme, **expired)

    with pytest.raises(RuntimeError), transaction.atomic():
        fresh_access_token(row)

    assert len(tiktok.calls) == 0


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_the_provider_is_asked(acme, make_connection, expired, tiktok):
    row = make_connection(acme, **expired)
    open_during_call = []

    def look(request: Any) -> tuple[int, dict[str, str], str]:
        open_during_call.append(database.in_atomic_block)
        return 200, {}, json.dumps(new_pair(row))

    tiktok.add_callback(responses.POST, TOKEN_URL, look)

    fresh_access_token(row)

    assert open_during_call == [False]


@pytest.mark.django_db(transaction=True)
def test_twenty_parallel_users_of_one_expiring_token_cause_one_refresh(
    acme, make_connection, expired, tiktok, monkeypatch
):
    row = make_connection(acme, **expired)
    waiters = threading.Semaphore(0)
    really_sleep = tokens.time.sleep
    given: list[str] = []

    def sleep(seconds: float) -> None:
        waiters.release()
        really_sleep(seconds)

    def answer_when_all_wait(request: Any) -> tuple[int, dict[str, str], str]:
        for _ in range(19):
            assert waiters.acquire(timeout=20)
        return 200, {}, json.dumps(new_pair(row))

    monkeypatch.setattr(tokens.time, "sleep", sleep)
    tiktok.add_callback(responses.POST, TOKEN_URL, answer_when_all_wait)

    run_in_threads(20, lambda: given.append(fresh_access_token(SocialConnection.objects.get(pk=row.pk))))

    assert given == ["act.new-access"] * 20
    assert len(tiktok.calls) == 1
    row.refresh_from_db()
    assert row.token_generation == 1


@pytest.mark.django_db(transaction=True)
def test_when_the_refresher_fails_the_next_one_tries(acme, make_connection, expired, tiktok):
    row = make_connection(acme, **expired)
    tiktok.post(TOKEN_URL, status=503)
    tiktok.post(TOKEN_URL, json=new_pair(row))
    outcomes: list[str] = []

    def use() -> None:
        try:
            outcomes.append(fresh_access_token(SocialConnection.objects.get(pk=row.pk)))
        except TransportError:
            outcomes.append("unreachable")

    run_in_threads(4, use)

    assert sorted(outcomes) == ["act.new-access"] * 3 + ["unreachable"]
    assert len(tiktok.calls) == 2


def test_no_token_is_in_the_log_or_in_an_error(acme, make_connection, expired, tiktok, caplog):
    row = make_connection(acme, **expired)
    caplog.set_level("DEBUG")
    tiktok.post(TOKEN_URL, json=new_pair(row))
    tiktok.post(TOKEN_URL, json=flat_error("invalid_grant", "rft.new-refresh is dead"), status=400)

    token = fresh_access_token(row)
    with pytest.raises(AuthorizationError) as caught:
        fresh_access_token(row, rejected=token)

    told = caplog.text + repr(caught.value) + str(caught.value) + repr(row) + str(row)
    assert str(row.pk) in caplog.text
    assert "act." not in told
    assert "rft." not in told


def run_in_threads(count: int, work: Callable[[], object]) -> None:
    """Run `work` in `count` threads at once, each with its own database connection; raise what any of them raised."""
    barrier = threading.Barrier(count)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            barrier.wait(timeout=20)
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert errors == []
    assert not any(thread.is_alive() for thread in threads)


def test_a_disconnect_keeps_refreshers_away(acme, make_connection, expired, tiktok, monkeypatch):
    row = make_connection(acme, **expired)
    tiktok.post(REVOKE_URL, json={})
    monkeypatch.setattr(tokens, "WAIT", timedelta(0))

    with tokens.exclusive_tokens(row), pytest.raises(TransportError):
        fresh_access_token(SocialConnection.objects.get(pk=row.pk))

    row.refresh_from_db()
    assert row.refresh_lease_until is None
