from __future__ import annotations

import json
import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from connections.errors import (
    AuthorizationError,
    ConfigurationError,
    RateLimitError,
    ResponseError,
    TransportError,
)
from connections.providers.tiktok.oauth import code_challenge, new_code_verifier
from tests.connections.providers.tiktok.wire import (
    ACCESS_TOKEN,
    API,
    CLIENT_SECRET,
    GRANT,
    LOG_ID,
    REFRESH_TOKEN,
)

TOKEN_URL = f"{API}/v2/oauth/token/"
REVOKE_URL = f"{API}/v2/oauth/revoke/"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "13d31e961a1ad8ec2f16b10c4c982e0876a878ad6df144566ee1894acb70f9c3"


def query_of(url):
    return {key: values[0] for key, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}


def form_of(call):
    return query_of("?" + call.request.body.decode())


def test_code_challenge_is_hex_and_not_base64url():
    assert code_challenge(VERIFIER) == CHALLENGE


def test_new_code_verifier_is_legal_and_fresh():
    verifiers = {new_code_verifier() for _ in range(20)}

    assert len(verifiers) == 20
    assert all(re.fullmatch(r"[A-Za-z0-9\-._~]{43,128}", verifier) for verifier in verifiers)


def test_authorize_url_asks_for_the_scopes_with_commas_and_always_shows_the_page(authorizer):
    url = authorizer.authorize_url(state="s t&te", code_verifier=None)

    assert url.startswith("https://www.tiktok.com/v2/auth/authorize/?")
    assert query_of(url) == {
        "client_key": "aw123",
        "scope": "user.info.basic,user.info.profile,user.info.stats,video.list,video.upload,video.publish",
        "response_type": "code",
        "redirect_uri": "https://app.example.com/connections/tiktok/callback/",
        "state": "s t&te",
        "disable_auto_auth": "1",
    }


def test_authorize_url_carries_the_challenge_and_not_the_verifier(authorizer):
    url = authorizer.authorize_url(state="s", code_verifier=VERIFIER)

    query = query_of(url)
    assert (query["code_challenge"], query["code_challenge_method"]) == (CHALLENGE, "S256")
    assert VERIFIER not in url


def test_authorize_url_never_carries_the_secret(authorizer):
    assert CLIENT_SECRET not in authorizer.authorize_url(state="s", code_verifier=VERIFIER)


@pytest.mark.parametrize(
    ("pkce", "redirect_uri", "expected"),
    [
        ("auto", "http://127.0.0.1:8000/cb/", True),
        ("auto", "http://localhost:3455/cb/", True),
        ("auto", "https://app.example.com/cb/", False),
        ("auto", "https://localhost.example.com/cb/", False),
        ("on", "https://app.example.com/cb/", True),
        ("off", "http://127.0.0.1:8000/cb/", False),
    ],
)
def test_uses_pkce_by_setting_and_redirect_uri(make_provider, pkce, redirect_uri, expected):
    assert make_provider(pkce=pkce, redirect_uri=redirect_uri).uses_pkce is expected


def test_exchange_code_encodes_the_decoded_code_once_as_a_form(authorizer, wire):
    wire.post(TOKEN_URL, json=GRANT)

    authorizer.exchange_code(code="abc*1!4608.va", code_verifier=None)

    request = wire.calls[0].request
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert "Authorization" not in request.headers
    assert b"code=abc%2A1%214608.va" in request.body
    assert form_of(wire.calls[0]) == {
        "client_key": "aw123",
        "client_secret": CLIENT_SECRET,
        "code": "abc*1!4608.va",
        "grant_type": "authorization_code",
        "redirect_uri": "https://app.example.com/connections/tiktok/callback/",
    }


def test_exchange_code_sends_the_verifier_where_there_is_one(authorizer, wire):
    wire.post(TOKEN_URL, json=GRANT)

    authorizer.exchange_code(code="c", code_verifier=VERIFIER)

    assert form_of(wire.calls[0])["code_verifier"] == VERIFIER


def test_exchange_code_returns_the_grant_with_the_stated_lifetimes(authorizer, wire):
    wire.post(TOKEN_URL, json=GRANT)

    grant = authorizer.exchange_code(code="c", code_verifier=None)

    assert grant.account_id == "-000abcDEF_1"
    assert (grant.access_token, grant.refresh_token) == (ACCESS_TOKEN, REFRESH_TOKEN)
    assert grant.expires_in == timedelta(hours=2)
    assert grant.refresh_expires_in == timedelta(days=180)
    assert grant.scopes == ("user.info.basic", "video.publish")


def test_grant_shows_no_token_in_its_repr(authorizer, wire):
    wire.post(TOKEN_URL, json=GRANT)

    shown = repr(authorizer.exchange_code(code="c", code_verifier=None))

    assert "act." not in shown
    assert "rft." not in shown


def test_refresh_sends_the_refresh_token_and_returns_the_new_pair(authorizer, wire):
    wire.post(TOKEN_URL, json=GRANT | {"refresh_token": "rft.new"})

    grant = authorizer.refresh(refresh_token=REFRESH_TOKEN)

    assert form_of(wire.calls[0]) == {
        "client_key": "aw123",
        "client_secret": CLIENT_SECRET,
        "grant_type": "refresh_token",
        "refresh_token": REFRESH_TOKEN,
    }
    assert grant.refresh_token == "rft.new"


@pytest.mark.parametrize("body", ["{}", "", "null"])
def test_revoke_sends_the_access_token_and_parses_nothing(authorizer, wire, body):
    wire.post(REVOKE_URL, body=body)

    authorizer.revoke(access_token=ACCESS_TOKEN)

    assert form_of(wire.calls[0]) == {
        "client_key": "aw123",
        "client_secret": CLIENT_SECRET,
        "token": ACCESS_TOKEN,
    }


@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("invalid_grant", AuthorizationError),
        ("access_denied", AuthorizationError),
        ("invalid_client", ConfigurationError),
        ("unauthorized_client", ConfigurationError),
        ("invalid_request", ConfigurationError),
        ("invalid_scope", ConfigurationError),
        ("unsupported_grant_type", ConfigurationError),
        ("server_error", TransportError),
        ("temporarily_unavailable", TransportError),
        ("rate_limit_exceeded", RateLimitError),
    ],
)
def test_flat_errors_count_whatever_the_status(authorizer, wire, error, kind, status):
    body = {"error": error, "error_description": "Said by TikTok.", "log_id": LOG_ID}
    wire.post(TOKEN_URL, json=body, status=status)

    with pytest.raises(kind) as caught:
        authorizer.refresh(refresh_token=REFRESH_TOKEN)

    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.log_id) == (error, LOG_ID)
    assert caught.value.message == "Said by TikTok."


def test_an_enveloped_error_on_the_token_endpoint_is_a_failure_too(authorizer, wire):
    wire.post(TOKEN_URL, json={"error": {"code": "internal_error", "message": "", "log_id": LOG_ID}})

    with pytest.raises(TransportError):
        authorizer.refresh(refresh_token=REFRESH_TOKEN)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_5xx_is_transport_and_says_that_something_may_have_happened(authorizer, wire, status):
    wire.post(TOKEN_URL, body="<html>bad gateway</html>", status=status)

    with pytest.raises(TransportError) as caught:
        authorizer.refresh(refresh_token=REFRESH_TOKEN)

    assert caught.value.http_status == status
    assert not caught.value.nothing_happened


def test_a_401_without_a_code_does_not_blame_the_person(authorizer, wire):
    wire.post(TOKEN_URL, body="", status=401)

    with pytest.raises(ConfigurationError):
        authorizer.refresh(refresh_token=REFRESH_TOKEN)


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param({"access_token": None}, id="no access token"),
        pytest.param({"access_token": ""}, id="empty access token"),
        pytest.param({"access_token": "act.a\r\nX: y"}, id="line break in the access token"),
        pytest.param({"refresh_token": ""}, id="empty refresh token"),
        pytest.param({"open_id": ""}, id="empty open_id"),
        pytest.param({"open_id": None}, id="no open_id"),
        pytest.param({"open_id": 5}, id="open_id as a number"),
        pytest.param({"expires_in": None}, id="no lifetime"),
        pytest.param({"expires_in": 0}, id="no time left"),
        pytest.param({"expires_in": "soon"}, id="lifetime in words"),
        pytest.param({"expires_in": True}, id="boolean lifetime"),
        pytest.param({"expires_in": 10**40}, id="endless lifetime"),
        pytest.param({"refresh_expires_in": -1}, id="negative refresh lifetime"),
        pytest.param({"scope": None}, id="no scope"),
        pytest.param({"scope": ["a"]}, id="scope as a list"),
        pytest.param({"token_type": "mac"}, id="another token type"),
    ],
)
def test_a_grant_with_something_missing_is_no_grant(authorizer, wire, spoilt):
    wire.post(TOKEN_URL, json=GRANT | spoilt)

    with pytest.raises(ResponseError):
        authorizer.exchange_code(code="c", code_verifier=None)


@pytest.mark.parametrize("body", ["", "null", "[]", "<html>", "{", '"act.x"', "[" * 100_000])
def test_a_success_that_is_no_json_object_is_a_response_error(authorizer, wire, body):
    wire.post(TOKEN_URL, body=body)

    with pytest.raises(ResponseError):
        authorizer.exchange_code(code="c", code_verifier=None)


def test_refresh_expiry_may_be_unstated(authorizer, wire):
    wire.post(TOKEN_URL, body=json.dumps({k: v for k, v in GRANT.items() if k != "refresh_expires_in"}))

    assert authorizer.refresh(refresh_token="r").refresh_expires_in is None


def test_revoke_of_a_dead_token_says_so(authorizer, wire):
    wire.post(
        REVOKE_URL, json={"error": "invalid_grant", "error_description": "", "log_id": LOG_ID}, status=400
    )

    with pytest.raises(AuthorizationError):
        authorizer.revoke(access_token=ACCESS_TOKEN)
