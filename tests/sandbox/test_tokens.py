"""Token management: https://developers.tiktok.com/doc/oauth-user-access-token-management"""

from __future__ import annotations

import re

import pytest
import requests

from tests.sandbox.client import (
    authorize_query,
    code_of,
    connect,
    exchange,
    flat_error,
    refresh,
    revoke,
    token_call,
)
from tests.sandbox.process import CLIENT_KEY, CLIENT_SECRET, REDIRECT_URI

FIELDS = {
    "open_id",
    "scope",
    "access_token",
    "expires_in",
    "refresh_token",
    "refresh_expires_in",
    "token_type",
}


@pytest.fixture
def code(sandbox):
    return sandbox.consent(authorize_query(), "demo.public")["code"]


@pytest.mark.quirk(9)
@pytest.mark.parametrize("path", ["/v2/oauth/token/", "/v2/oauth/revoke/"])
@pytest.mark.parametrize(
    "content_type", ["application/json", "application/x-www-form-urlencoded, text/plain", None]
)
def test_other_content_type_gives_http_200_with_an_error(sandbox, path, content_type):
    headers = {"Content-Type": content_type} if content_type else {}

    answer = requests.post(f"{sandbox.url}{path}", data=b'{"client_key": "x"}', headers=headers, timeout=10)

    assert flat_error(answer) == (
        200,
        "invalid_request",
        "Only `application/x-www-form-urlencoded` is accepted as Content-Type.",
    )


@pytest.mark.quirk(10)
def test_errors_are_flat_and_carry_a_log_id(sandbox):
    answer = refresh(sandbox, "rft.unknown")

    assert set(answer.json()) == {"error", "error_description", "log_id"}
    assert re.fullmatch(r"\d{14}[0-9A-F]{20}", answer.json()["log_id"])
    assert answer.headers["x-tt-logid"] == answer.json()["log_id"]


@pytest.mark.quirk(10)
@pytest.mark.parametrize(("always_200", "status"), [(False, 400), (True, 200)])
def test_error_status_follows_the_switch(sandbox, always_200, status):
    sandbox.settings(oauth_errors_always_200=always_200)

    assert refresh(sandbox, "rft.unknown").status_code == status


@pytest.mark.quirk(11)
def test_redirect_mismatch_is_invalid_request(sandbox, code):
    assert flat_error(exchange(sandbox, code, redirect_uri=REDIRECT_URI + "x")) == (
        400,
        "invalid_request",
        "Redirect_uri is not matched with the uri when requesting code.",
    )


def test_code_is_good_once(sandbox, code):
    first, second = exchange(sandbox, code), exchange(sandbox, code)

    assert "access_token" in first.json()
    assert flat_error(second) == (400, "invalid_grant", "Authorization code is expired.")


def test_code_runs_out(sandbox, code):
    sandbox.settings(clock_offset=601)

    assert flat_error(exchange(sandbox, code))[1] == "invalid_grant"


def test_code_belongs_to_its_app(sandbox, code):
    other = {"client_key": "awother", "client_secret": "other"}
    sandbox.control("POST", "/apps", other)

    assert flat_error(exchange(sandbox, code, **other))[1] == "invalid_grant"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"client_secret": ""}, (400, "invalid_request", "Client secret is missed in request."), id="none"
        ),
        pytest.param(
            {"client_secret": "no"}, (401, "invalid_client", "Client key or secret is incorrect."), id="wrong"
        ),
        pytest.param(
            {"client_key": "awno"},
            (401, "invalid_client", "Client key or secret is incorrect."),
            id="unknown key",
        ),
        pytest.param(
            {"client_key": ""}, (400, "invalid_request", "The request parameters are malformed."), id="no key"
        ),
    ],
)
def test_credentials_are_checked(sandbox, fields, expected):
    assert flat_error(token_call(sandbox, grant_type="client_credentials", **fields)) == expected


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({}, "invalid_request"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
    ],
)
def test_incomplete_token_calls_are_refused(sandbox, fields, error):
    assert flat_error(token_call(sandbox, **fields))[1] == error


@pytest.mark.quirk(12)
@pytest.mark.parametrize(
    ("profile", "access", "refreshing"),
    [("2026-11", 7_200, 15_552_000), ("legacy", 86_400, 31_536_000)],
)
def test_lifetimes_follow_the_profile(sandbox, profile, access, refreshing):
    sandbox.settings(lifetimes=profile)

    token = connect(sandbox)

    assert (token["expires_in"], token["refresh_expires_in"]) == (access, refreshing)


@pytest.mark.quirk(12)
def test_access_token_dies_when_its_time_is_up(sandbox, client):
    before = code_of(client.creator_info())
    sandbox.settings(clock_offset=7201)

    assert before == (200, "ok")
    assert code_of(client.creator_info()) == (401, "access_token_invalid")


@pytest.mark.quirk(13)
def test_refresh_rotates_and_kills_the_old_token_at_once(sandbox):
    first = connect(sandbox)

    second = refresh(sandbox, first["refresh_token"]).json()

    assert second["refresh_token"] != first["refresh_token"]
    assert flat_error(refresh(sandbox, first["refresh_token"])) == (
        400,
        "invalid_grant",
        "Refresh token is invalid or expired.",
    )
    assert set(refresh(sandbox, second["refresh_token"]).json()) == FIELDS


@pytest.mark.quirk(13)
@pytest.mark.parametrize(("restarts", "remaining"), [(True, 15_552_000), (False, 15_552_000 - 1000)])
def test_rotation_restarts_or_keeps_the_end_date(sandbox, restarts, remaining):
    sandbox.settings(rotation_restarts_lifetime=restarts)
    token = connect(sandbox)
    sandbox.settings(clock_offset=1000)

    refreshed = refresh(sandbox, token["refresh_token"]).json()

    assert refreshed["refresh_expires_in"] == pytest.approx(remaining, abs=5)


def test_without_rotation_the_refresh_token_stays(sandbox):
    sandbox.settings(rotation=False)
    token = connect(sandbox)

    refreshed = refresh(sandbox, token["refresh_token"]).json()

    assert refreshed["refresh_token"] == token["refresh_token"]
    assert refreshed["access_token"] != token["access_token"]


def test_refresh_keeps_the_granted_scopes(sandbox):
    token = connect(sandbox, scope="user.info.basic,video.upload")

    assert refresh(sandbox, token["refresh_token"]).json()["scope"] == "user.info.basic,video.upload"


@pytest.mark.quirk(14)
def test_revoke_takes_the_access_token_and_answers_with_nothing(sandbox):
    token = connect(sandbox)

    by_refresh = revoke(sandbox, token["refresh_token"])
    answer = revoke(sandbox, token["access_token"])

    assert by_refresh.json()["error"] == "invalid_grant"
    assert (answer.status_code, answer.json()) == (200, {})
    assert flat_error(refresh(sandbox, token["refresh_token"]))[1] == "invalid_grant"


def test_revoke_needs_the_secret(sandbox):
    token = connect(sandbox)

    assert flat_error(revoke(sandbox, token["access_token"], client_secret=""))[1] == "invalid_request"
    assert "access_token" in refresh(sandbox, token["refresh_token"]).json()


@pytest.mark.quirk(15)
def test_open_id_is_opaque_and_belongs_to_the_app_but_union_id_does_not(sandbox, client_for):
    sandbox.control("POST", "/apps", {"client_key": "awother", "client_secret": "other"})
    ours = client_for()
    ids = ours.user_info("open_id,union_id").json()["data"]["user"]
    ours.pair = sandbox.control("POST", "/tokens", {"creator": "demo.public", "client_key": "awother"})
    theirs = ours.user_info("open_id,union_id").json()["data"]["user"]

    assert ids["open_id"].startswith("-")
    assert ids["open_id"] != theirs["open_id"]
    assert ids["union_id"] == theirs["union_id"]


@pytest.mark.quirk(16)
def test_tokens_carry_their_prefixes(sandbox):
    token = connect(sandbox)
    client_token = token_call(sandbox, grant_type="client_credentials").json()

    assert token["access_token"].startswith("act.")
    assert token["refresh_token"].startswith("rft.")
    assert client_token["access_token"].startswith("clt.")
    assert (client_token["expires_in"], "refresh_token" in client_token) == (7200, False)


def test_client_token_is_no_user_token(sandbox, client):
    client.pair = token_call(sandbox, grant_type="client_credentials").json()

    assert code_of(client.creator_info()) == (401, "access_token_invalid")


def test_token_answer_is_flat(sandbox):
    assert set(connect(sandbox)) == FIELDS


def test_basic_auth_is_no_substitute_for_the_form_fields(sandbox):
    answer = requests.post(
        f"{sandbox.url}/v2/oauth/token/",
        data={"grant_type": "client_credentials"},
        auth=(CLIENT_KEY, CLIENT_SECRET),
        timeout=10,
    )

    assert flat_error(answer)[:2] == (400, "invalid_request")
