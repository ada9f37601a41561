"""Connecting an account in the browser: the way there and back, and every way that it can go wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests
from django.utils import timezone

from accounts.models import Membership, Role
from connections import oauth
from connections.crypto import open_sealed
from connections.failures import ConnectError, Failure
from connections.models import ConnectionStatus, OAuthRequest, SocialConnection
from connections.providers import provider_for
from tests.connections.conftest import (
    ALL_SCOPES,
    CREATOR_URL,
    LOG_ID,
    TOKEN_URL,
    USER_URL,
    begin,
    come_back,
    flat_error,
    grant,
    refusal,
)

pytestmark = pytest.mark.django_db


def sent_form(tiktok):
    from urllib.parse import parse_qs

    body = next(call.request.body for call in tiktok.calls if call.request.url == TOKEN_URL)
    return {name: values[0] for name, values in parse_qs(body.decode()).items()}


def text(answer):
    return answer.content.decode()


def test_connecting_sends_the_browser_to_tiktok_with_a_hashed_state_and_a_sealed_verifier(acme, browser):
    query = begin(browser, acme)

    request = OAuthRequest.objects.get()
    assert query["client_key"] == "sbtest0000000000"
    assert query["redirect_uri"] == "http://127.0.0.1:8000/connections/tiktok/callback/"
    assert len(query["state"]) >= 32
    assert request.state_hash != query["state"]
    assert len(request.state_hash) == 64
    assert len(query["code_challenge"]) == 64
    assert open_sealed(request, "code_verifier") not in str(request.code_verifier)
    assert timedelta(minutes=9) < request.expires_at - timezone.now() <= timedelta(minutes=10)


def test_an_https_redirect_uri_is_connected_without_pkce(acme, browser, settings):
    settings.TIKTOK_REDIRECT_URI = "https://app.example.com/connections/tiktok/callback/"
    provider_for.cache_clear()

    query = begin(browser, acme)

    assert "code_challenge" not in query
    assert OAuthRequest.objects.get().code_verifier == ""
    provider_for.cache_clear()


def test_a_consent_connects_the_account(acme, alice, browser, account, notices):
    account.post(TOKEN_URL, json=grant())
    state = begin(browser, acme)["state"]

    answer = come_back(browser, code="abc*1!4608.va", scopes=",".join(ALL_SCOPES), state=state)

    row = SocialConnection.objects.get()
    assert answer["Location"] == "/w/acme/connections/"
    assert row.workspace == acme
    assert row.provider_account_id == "-000creator"
    assert row.status == ConnectionStatus.ACTIVE
    assert row.is_primary
    assert row.connected_by == alice
    assert row.scopes == ALL_SCOPES
    assert open_sealed(row, "access_token") == "act.new-access"
    assert row.username == "noramoves"
    assert row.creator_info["privacy_levels"] == ["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]
    assert row.avatar
    assert notices == [("usable", row.pk)]
    assert "Nora Moves is connected." in text(browser.get("/w/acme/connections/"))


def test_the_code_is_sent_decoded_once_with_the_verifier_of_this_connect(acme, browser, account):
    account.post(TOKEN_URL, json=grant())
    state = begin(browser, acme)["state"]
    verifier = open_sealed(OAuthRequest.objects.get(), "code_verifier")

    browser.get(f"/connections/tiktok/callback/?code=ab%2A1%214608.va&state={state}")

    form = sent_form(account)
    assert form["code"] == "ab*1!4608.va"
    assert form["code_verifier"] == verifier
    assert form["redirect_uri"] == "http://127.0.0.1:8000/connections/tiktok/callback/"


def test_a_second_account_is_not_primary(acme, browser, account, make_connection):
    first = make_connection(acme, is_primary=True)
    account.post(TOKEN_URL, json=grant())

    come_back(browser, code="c", state=begin(browser, acme)["state"])

    assert SocialConnection.objects.get(is_primary=True) == first
    assert SocialConnection.objects.count() == 2


def test_the_same_account_in_another_workspace_is_a_connection_of_its_own(
    acme, rival, browser, account, make_connection
):
    make_connection(rival, provider_account_id="-000creator", is_primary=True)
    account.post(TOKEN_URL, json=grant())

    come_back(browser, code="c", state=begin(browser, acme)["state"])

    assert SocialConnection.objects.filter(workspace=acme, is_primary=True).count() == 1
    assert SocialConnection.objects.filter(workspace=rival, is_primary=True).count() == 1


@pytest.mark.parametrize("status", [ConnectionStatus.NEEDS_REAUTH, ConnectionStatus.REVOKED])
def test_connecting_again_heals_the_row_and_says_so(acme, browser, account, make_connection, notices, status):
    row = make_connection(acme, provider_account_id="-000creator", account_label="Main")
    SocialConnection.objects.update(
        status=status,
        status_reason="Dead.",
        access_token="",
        refresh_token="",
        disconnected_at=timezone.now(),
    )
    account.post(TOKEN_URL, json=grant())

    come_back(browser, code="c", state=begin(browser, acme)["state"])

    row.refresh_from_db()
    assert row.status == ConnectionStatus.ACTIVE
    assert row.status_reason == ""
    assert row.disconnected_at is None
    assert row.account_label == "Main"
    assert row.is_primary
    assert open_sealed(row, "refresh_token") == "rft.new-refresh"
    assert notices == [("usable", row.pk)]
    assert "Main is connected again." in text(browser.get("/w/acme/connections/"))


def test_connecting_again_with_fewer_permissions_takes_the_others_away(
    acme, browser, account, make_connection
):
    row = make_connection(acme, provider_account_id="-000creator")
    account.post(TOKEN_URL, json=grant(scope=""))

    come_back(browser, code="c", state=begin(browser, acme)["state"])

    row.refresh_from_db()
    assert row.scopes == []


def test_connecting_another_account_than_the_lost_one_is_noticed(acme, browser, account, make_connection):
    make_connection(acme, account_label="Shop", status=ConnectionStatus.NEEDS_REAUTH)
    account.post(TOKEN_URL, json=grant())

    come_back(browser, code="c", state=begin(browser, acme)["state"])

    assert "If you meant to reconnect Shop, sign in" in text(browser.get("/w/acme/connections/"))


def test_connecting_again_keeps_the_primary_flag(acme, browser, account, make_connection):
    row = make_connection(acme, provider_account_id="-000creator", is_primary=True)
    account.post(TOKEN_URL, json=grant())

    come_back(browser, code="c", state=begin(browser, acme)["state"])

    row.refresh_from_db()
    assert row.is_primary


def test_unticked_scopes_are_stored_and_the_page_says_what_is_lost(acme, browser, account):
    account.post(TOKEN_URL, json=grant(scope="user.info.basic,video.upload"))
    state = begin(browser, acme)["state"]

    answer = come_back(browser, code="c", state=state)
    page = text(browser.get(answer["Location"]))

    row = SocialConnection.objects.get()
    assert row.scopes == ["user.info.basic", "video.upload"]
    assert answer["Location"] == f"/w/acme/connections/{row.pk}/connected/"
    assert "Connected, but not with everything" in page
    assert "Post videos to your profile: not allowed" in page
    assert "Videos can&#x27;t be posted straight to the profile." in page
    assert "Videos can&#x27;t be sent to the inbox as drafts." not in page
    assert not any(call.request.url == CREATOR_URL for call in account.calls)


def test_a_profile_that_cannot_be_read_does_not_undo_the_connection(acme, browser, tiktok):
    tiktok.post(TOKEN_URL, json=grant())
    tiktok.get(USER_URL, status=503)
    tiktok.post(CREATOR_URL, status=503)

    answer = come_back(browser, code="c", state=begin(browser, acme)["state"])

    assert answer["Location"] == "/w/acme/connections/"
    assert SocialConnection.objects.get().is_active


def test_a_scope_refused_on_reading_the_profile_does_not_kill_the_connection(acme, browser, tiktok):
    tiktok.post(TOKEN_URL, json=grant())
    tiktok.get(USER_URL, status=401, json=refusal("scope_not_authorized"))
    tiktok.post(CREATOR_URL, status=401, json=refusal("scope_not_authorized"))

    come_back(browser, code="c", state=begin(browser, acme)["state"])

    assert SocialConnection.objects.get().is_active


def test_the_way_back_leads_to_the_page_that_sent_the_person(acme, browser, account):
    account.post(TOKEN_URL, json=grant())
    state = begin(browser, acme, next="/w/acme/posts/new/")["state"]

    assert come_back(browser, code="c", state=state)["Location"] == "/w/acme/posts/new/"


@pytest.mark.parametrize("foreign", ["https://evil.example/", "//evil.example/", "/" + "x" * 400])
def test_the_way_back_never_leads_elsewhere(acme, browser, account, foreign):
    account.post(TOKEN_URL, json=grant())
    state = begin(browser, acme, next=foreign)["state"]

    assert come_back(browser, code="c", state=state)["Location"] == "/w/acme/connections/"


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        pytest.param({"error": "access_denied"}, 200, "You canceled", id="cancel"),
        pytest.param(
            {"error": "access_denied", "error_type": "access_denied"}, 200, "You canceled", id="cancel, typed"
        ),
        pytest.param(
            {"error": "access_denied", "error_type": "non_sandbox_target"},
            200,
            "not among the test accounts",
            id="not a target user",
        ),
        pytest.param(
            {"error": "access_denied", "error_type": "underage_user"}, 200, "did not allow", id="denied"
        ),
        pytest.param({"error": "something_new"}, 200, "did not allow", id="unknown error"),
        pytest.param(
            {"error": "unauthorized_client", "error_type": "client_key"}, 503, "credentials", id="bad key"
        ),
        pytest.param({"error": "invalid_scope"}, 400, "did not accept the request", id="bad scope"),
        pytest.param({"error": "server_error"}, 503, "a problem of its own", id="server error"),
        pytest.param({}, 400, "did not accept the request", id="no code"),
    ],
)
def test_an_answer_without_a_code_gets_its_own_page(acme, browser, tiktok, query, status, words):
    state = begin(browser, acme)["state"]

    answer = come_back(browser, state=state, **query)

    assert answer.status_code == status
    assert words in text(answer)
    assert "Back to connections" in text(answer)
    assert SocialConnection.objects.count() == 0
    assert len(tiktok.calls) == 0


@pytest.mark.parametrize(
    ("reply", "status", "words"),
    [
        pytest.param(
            {"status": 400, "json": flat_error("invalid_grant", "Authorization code is expired.")},
            400,
            "did not take its own code back",
            id="reused code",
        ),
        pytest.param(
            {"status": 200, "json": flat_error("invalid_grant")},
            400,
            "did not take its own code back",
            id="reused code with HTTP 200",
        ),
        pytest.param(
            {
                "status": 400,
                "json": flat_error(
                    "invalid_request", "Redirect_uri is not matched with the uri when requesting code."
                ),
            },
            503,
            "http://127.0.0.1:8000/connections/tiktok/callback/",
            id="redirect mismatch",
        ),
        pytest.param(
            {
                "status": 400,
                "json": flat_error("invalid_request", "Code verifier or code challenge is invalid."),
            },
            503,
            "TIKTOK_PKCE",
            id="pkce mismatch",
        ),
        pytest.param(
            {"status": 401, "json": flat_error("invalid_client", "Client key or secret is incorrect.")},
            503,
            "TIKTOK_CLIENT_SECRET",
            id="invalid client",
        ),
        pytest.param(
            {"status": 400, "json": flat_error("invalid_request", "Client secret is missed in request.")},
            503,
            "TIKTOK_CLIENT_SECRET",
            id="secret missing",
        ),
        pytest.param(
            {"status": 400, "json": flat_error("invalid_request", "The request parameters are malformed.")},
            400,
            "did not accept the request",
            id="malformed",
        ),
        pytest.param({"body": requests.ConnectTimeout("t")}, 503, "could not be reached", id="unreachable"),
        pytest.param({"status": 500, "body": "oops"}, 503, "a problem of its own", id="server error"),
        pytest.param({"status": 429, "body": ""}, 503, "a problem of its own", id="rate limit"),
        pytest.param({"status": 200, "json": {}}, 503, "a problem of its own", id="empty success"),
    ],
)
def test_a_refused_exchange_gets_its_own_page_and_stores_nothing(acme, browser, tiktok, reply, status, words):
    tiktok.post(TOKEN_URL, **reply)
    state = begin(browser, acme)["state"]

    answer = come_back(browser, code="the-secret-code", state=state)

    assert answer.status_code == status
    assert words in text(answer)
    assert "the-secret-code" not in text(answer)
    assert SocialConnection.objects.count() == 0


def test_the_platforms_log_id_is_at_hand(acme, browser, tiktok):
    tiktok.post(TOKEN_URL, status=400, json=flat_error("invalid_grant"))

    answer = come_back(browser, code="c", state=begin(browser, acme)["state"])

    assert LOG_ID in text(answer)
    assert "invalid_grant" in text(answer)


def test_looking_ahead_at_the_callback_does_not_use_the_state_up(acme, browser, account):
    account.post(TOKEN_URL, json=grant())
    state = begin(browser, acme)["state"]

    assert browser.head(f"/connections/tiktok/callback/?code=c&state={state}").status_code == 405

    assert come_back(browser, code="c", state=state).status_code == 302


@pytest.mark.parametrize("query", [{"state": "made-up"}, {"state": ""}, {}])
def test_a_wrong_state_is_refused_before_anything_else(browser, tiktok, query):
    answer = come_back(browser, code="c", **query)

    assert answer.status_code == 400
    assert "does not belong to any connect" in text(answer)
    assert len(tiktok.calls) == 0


def test_a_state_works_once(acme, browser, account):
    account.post(TOKEN_URL, json=grant())
    state = begin(browser, acme)["state"]
    come_back(browser, code="c", state=state)
    calls = len(account.calls)

    answer = come_back(browser, code="c", state=state)

    assert answer.status_code == 400
    assert "was used already" in text(answer)
    assert len(account.calls) == calls


def test_a_cancel_uses_the_state_up_too(acme, browser, tiktok):
    state = begin(browser, acme)["state"]
    come_back(browser, error="access_denied", state=state)

    assert "was used already" in text(come_back(browser, code="c", state=state))
    assert len(tiktok.calls) == 0


def test_a_state_expires_after_ten_minutes(acme, browser, tiktok):
    state = begin(browser, acme)["state"]
    OAuthRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    answer = come_back(browser, code="c", state=state)

    assert answer.status_code == 400
    assert "longer than ten minutes" in text(answer)
    assert len(tiktok.calls) == 0


def test_a_state_of_another_session_of_the_same_person_is_refused(acme, alice, browser, as_user, tiktok):
    state = begin(browser, acme)["state"]

    answer = come_back(as_user(alice), code="c", state=state)

    assert answer.status_code == 400
    assert "another browser or by another person" in text(answer)
    assert len(tiktok.calls) == 0
    assert OAuthRequest.objects.get().used_at is None


def test_a_state_of_another_person_is_refused_and_shows_no_workspace(acme, mallory, browser, as_user, tiktok):
    state = begin(browser, acme)["state"]

    answer = come_back(as_user(mallory), code="c", state=state)

    assert answer.status_code == 400
    assert "Acme" not in text(answer)
    assert SocialConnection.objects.count() == 0


def test_a_state_of_another_person_is_refused_even_in_the_same_session(acme, mallory, browser, tiktok):
    state = begin(browser, acme)["state"]

    with pytest.raises(ConnectError) as caught:
        oauth.finish(
            provider_name="tiktok",
            params={"state": state, "code": "c"},
            user=mallory,
            session_key=browser.session.session_key,
            now=timezone.now(),
        )

    assert caught.value.failure == Failure.STATE_FOREIGN
    assert caught.value.workspace is None


def test_a_role_lost_meanwhile_is_noticed(acme, alice, browser, tiktok):
    state = begin(browser, acme)["state"]
    Membership.objects.filter(user=alice).update(role=Role.EDITOR)

    answer = come_back(browser, code="c", state=state)

    assert answer.status_code == 403
    assert "Your role in the workspace changed" in text(answer)
    assert len(tiktok.calls) == 0


def test_a_membership_lost_meanwhile_is_noticed(acme, alice, browser, tiktok):
    state = begin(browser, acme)["state"]
    Membership.objects.filter(user=alice).delete()

    answer = come_back(browser, code="c", state=state)

    assert answer.status_code == 403
    assert "Acme" not in text(answer)
    assert len(tiktok.calls) == 0


def test_a_callback_without_a_login_asks_for_one(client, acme, browser):
    state = begin(browser, acme)["state"]

    answer = come_back(client, code="c", state=state)

    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")


def test_a_verifier_that_does_not_open_any_more_is_the_operators_matter(acme, browser, tiktok, settings):
    state = begin(browser, acme)["state"]
    settings.ENCRYPTION_KEYS = ["b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb3Q="]

    answer = come_back(browser, code="c", state=state)

    assert answer.status_code == 503
    assert "encryption keys were changed" in text(answer)


def test_without_credentials_connecting_says_what_is_missing(acme, browser, settings):
    settings.TIKTOK_CLIENT_SECRET = ""
    provider_for.cache_clear()

    answer = browser.post("/w/acme/connections/connect/tiktok/")

    assert answer.status_code == 503
    assert "TIKTOK_CLIENT_SECRET" in text(answer)
    assert "is not set up yet" in text(browser.get("/w/acme/connections/"))
    provider_for.cache_clear()


def test_an_unknown_provider_is_not_found(acme, browser):
    assert browser.post("/w/acme/connections/connect/vine/").status_code == 404
    assert browser.get("/connections/vine/callback/").status_code == 404
    assert browser.get("/connections/vine/help/").status_code == 404


def test_neither_code_nor_state_nor_tokens_are_logged(acme, browser, account, caplog):
    caplog.set_level("DEBUG")
    account.post(TOKEN_URL, json=grant())
    query = begin(browser, acme)

    come_back(browser, code="the-secret-code", state=query["state"])

    ours = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("connections"))
    assert "connected workspace=" in ours
    assert "the-secret-code" not in ours
    assert query["state"] not in ours
    assert "act." not in ours
    assert "rft." not in ours
