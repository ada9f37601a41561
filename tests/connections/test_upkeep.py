"""What the periodic task keeps fresh, and what does not stop it."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs

import pytest
from django.utils import timezone

from connections import upkeep
from connections.models import ConnectionStatus, OAuthRequest, SocialConnection
from connections.tasks import refresh_expiring_tokens
from tests.connections.conftest import CREATOR_URL, TOKEN_URL, USER_URL, begin, flat_error, grant

pytestmark = pytest.mark.django_db


@pytest.fixture
def soon():
    now = timezone.now()
    return {
        "refreshed_at": now - timedelta(hours=2),
        "access_expires_at": now + timedelta(minutes=5),
        "profile_fetched_at": now,
    }


def refresh_tokens_sent(wire):
    return [
        parse_qs(call.request.body.decode())["refresh_token"][0]
        for call in wire.calls
        if call.request.url == TOKEN_URL
    ]


def test_tokens_that_end_soon_are_refreshed_and_others_left(acme, rival, make_connection, soon, tiktok):
    due = make_connection(acme, provider_account_id="-000a", **soon)
    make_connection(rival, provider_account_id="-000b", profile_fetched_at=timezone.now())
    make_connection(acme, status=ConnectionStatus.NEEDS_REAUTH, **soon)
    tiktok.post(TOKEN_URL, json=grant(open_id="-000a"))

    assert refresh_expiring_tokens() == "tokens=1 failed=0 profiles=0 failed=0"

    due.refresh_from_db()
    assert due.token_generation == 1
    assert len(tiktok.calls) == 1


def test_one_failure_stops_no_other(acme, make_connection, soon, tiktok):
    dead = make_connection(acme, provider_account_id="-000dead", refresh_token="rft.dead", **soon)
    make_connection(acme, provider_account_id="-000live", refresh_token="rft.live", **soon)
    tiktok.post(
        TOKEN_URL,
        status=400,
        json=flat_error("invalid_grant"),
        match=[lambda request: (b"rft.dead" in request.body, "another token")],
    )
    tiktok.post(TOKEN_URL, json=grant(open_id="-000live"))

    assert upkeep.run(now=timezone.now()).startswith("tokens=1 failed=1")

    dead.refresh_from_db()
    assert dead.status == ConnectionStatus.NEEDS_REAUTH
    assert sorted(refresh_tokens_sent(tiktok)) == ["rft.dead", "rft.live"]


def test_a_provider_that_is_down_is_not_asked_for_every_connection(acme, make_connection, expired, tiktok):
    for _ in range(8):
        make_connection(acme, profile_fetched_at=timezone.now(), **expired)
    tiktok.post(TOKEN_URL, status=503)

    assert upkeep.run(now=timezone.now()).startswith("tokens=0 failed=5")
    assert len(tiktok.calls) == 5


def test_a_run_is_bounded(acme, make_connection, soon, tiktok, monkeypatch):
    monkeypatch.setattr(upkeep, "REFRESH_LIMIT", 2)
    for _ in range(3):
        make_connection(acme, **soon)
    tiktok.post(TOKEN_URL, status=400, json=flat_error("invalid_grant"))

    assert upkeep.run(now=timezone.now()).startswith("tokens=0 failed=2")


def test_old_profiles_are_read_anew_but_a_failing_one_not_each_minute(acme, make_connection, tiktok):
    row = make_connection(acme, profile_fetched_at=timezone.now() - timedelta(hours=25))
    tiktok.get(USER_URL, status=500)

    first, second = upkeep.run(now=timezone.now()), upkeep.run(now=timezone.now())

    assert first == "tokens=0 failed=0 profiles=0 failed=1"
    assert second == "tokens=0 failed=0 profiles=0 failed=0"
    row.refresh_from_db()
    assert row.is_active


def test_an_old_profile_is_read_with_its_picture(acme, make_connection, account):
    make_connection(acme)

    assert upkeep.run(now=timezone.now()) == "tokens=0 failed=0 profiles=1 failed=0"

    assert SocialConnection.objects.get().avatar
    assert not any(call.request.url == CREATOR_URL for call in account.calls)


def test_connects_that_ended_long_ago_are_forgotten(acme, browser):
    begin(browser, acme)
    begin(browser, acme)
    OAuthRequest.objects.filter(pk=OAuthRequest.objects.order_by("pk")[0].pk).update(
        expires_at=timezone.now() - timedelta(days=2)
    )

    refresh_expiring_tokens()

    assert OAuthRequest.objects.count() == 1
