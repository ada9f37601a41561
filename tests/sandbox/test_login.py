"""The authorize page: https://developers.tiktok.com/doc/login-kit-web and …/login-kit-desktop"""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from tests.sandbox.client import (
    ALL_SCOPES,
    VERIFIER,
    authorize,
    authorize_query,
    code_of,
    connect,
    exchange,
    flat_error,
    token_call,
)
from tests.sandbox.process import CLIENT_KEY, CLIENT_SECRET, REDIRECT_URI

WEB_APP = {
    "client_key": "awweb0000000000",
    "client_secret": "web-secret",
    "platform": "web",
    "redirect_uris": ["https://app.example.com/cb/"],
}


def test_consent_page_offers_creators_and_scopes(sandbox):
    page = authorize(sandbox)

    assert page.status_code == 200
    assert 'value="demo.private"' in page.text
    assert 'name="grant" value="video.publish" checked' in page.text
    assert "a local stand-in for TikTok" in page.text


@pytest.mark.quirk(1)
def test_client_id_is_not_a_name_for_client_key(sandbox):
    page = authorize(sandbox, client_key=None, client_id=CLIENT_KEY)
    form = {"client_id": CLIENT_KEY, "client_secret": CLIENT_SECRET, "grant_type": "client_credentials"}
    token = requests.post(f"{sandbox.url}/v2/oauth/token/", data=form, timeout=10)

    assert page.status_code == 400
    assert "<code>client_key</code>" in page.text
    assert flat_error(token)[:2] == (400, "invalid_request")


@pytest.mark.quirk(2)
def test_callback_says_scopes_and_token_says_scope_with_what_was_granted(sandbox):
    back = sandbox.consent(authorize_query(), "demo.public", grant=["video.upload"])

    token = exchange(sandbox, back["code"]).json()

    assert back["scopes"] == "user.info.basic,video.upload"
    assert "scope" not in back
    assert token["scope"] == "user.info.basic,video.upload"


@pytest.mark.quirk(2)
def test_scopes_separated_by_spaces_are_refused(sandbox):
    assert "<code>scope</code>" in authorize(sandbox, scope="user.info.basic video.publish").text


def test_unticked_scope_is_missing_from_the_token(sandbox, client_for):
    client = client_for("demo.private", ["user.info.basic", "video.upload"])

    assert code_of(client.creator_info()) == (401, "scope_not_authorized")


@pytest.mark.quirk(3)
def test_code_holds_star_and_bang_and_arrives_percent_encoded(sandbox):
    form = {**authorize_query(), "creator": "demo.public", "decision": "allow"}
    location = requests.post(
        f"{sandbox.url}/v2/auth/authorize/", data=form, allow_redirects=False, timeout=10
    ).headers["Location"]
    raw = re.search(r"code=([^&]+)", location)[1]
    decoded = dict(parse_qsl(urlsplit(location).query))["code"]

    assert re.search(r"%2A\d%21\d+\.va$", raw)
    assert flat_error(exchange(sandbox, raw))[1] == "invalid_grant"
    assert exchange(sandbox, decoded).json()["access_token"]


@pytest.mark.quirk(4)
def test_hex_challenge_of_the_documented_vector_passes(sandbox):
    challenge = "13d31e961a1ad8ec2f16b10c4c982e0876a878ad6df144566ee1894acb70f9c3"
    back = sandbox.consent(authorize_query(code_challenge=challenge), "demo.public")

    assert exchange(sandbox, back["code"]).json()["token_type"] == "Bearer"


@pytest.mark.quirk(4)
def test_base64url_challenge_passes_consent_and_fails_at_the_exchange(sandbox):
    digest = hashlib.sha256(VERIFIER.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    back = sandbox.consent(authorize_query(code_challenge=challenge), "demo.public")

    assert flat_error(exchange(sandbox, back["code"])) == (
        400,
        "invalid_request",
        "Code verifier or code challenge is invalid.",
    )


@pytest.mark.parametrize("verifier", ["", "a" * 42, "a" * 129, "wrong-" + "a" * 43])
def test_wrong_verifier_fails_at_the_exchange(sandbox, verifier):
    back = sandbox.consent(authorize_query(), "demo.public")

    assert flat_error(exchange(sandbox, back["code"], code_verifier=verifier))[1] == "invalid_request"


@pytest.mark.quirk(5)
def test_desktop_app_needs_a_challenge(sandbox):
    page = authorize(sandbox, code_challenge=None, code_challenge_method=None)

    assert page.status_code == 400
    assert "<code>code_challenge</code>" in page.text


@pytest.mark.quirk(5)
def test_only_s256_is_a_challenge_method(sandbox):
    assert "<code>code_challenge</code>" in authorize(sandbox, code_challenge_method="plain").text


@pytest.mark.quirk(5)
def test_web_app_needs_no_challenge_and_ignores_a_stray_verifier(sandbox):
    sandbox.control("POST", "/apps", WEB_APP)
    query = authorize_query(
        client_key=WEB_APP["client_key"],
        redirect_uri="https://app.example.com/cb/",
        code_challenge=None,
        code_challenge_method=None,
    )
    back = sandbox.consent(query, "demo.public")

    token = token_call(
        sandbox,
        client_key=WEB_APP["client_key"],
        client_secret=WEB_APP["client_secret"],
        grant_type="authorization_code",
        code=back["code"],
        redirect_uri="https://app.example.com/cb/",
        code_verifier=VERIFIER,
    ).json()

    assert token["access_token"].startswith("act.")


@pytest.mark.quirk(6)
@pytest.mark.parametrize(
    ("platform", "uri"),
    [
        pytest.param("web", "http://app.example.com/cb/", id="web is https only"),
        pytest.param("web", "/cb/", id="absolute only"),
        pytest.param("web", "https://app.example.com/cb/?a=1", id="no query"),
        pytest.param("web", "https://app.example.com/cb/#a", id="no fragment"),
        pytest.param("web", "https://app.example.com/" + "a" * 512, id="under 512 characters"),
        pytest.param("desktop", "http://app.example.com:80/cb/", id="desktop is loopback only"),
        pytest.param("desktop", "http://localhost/cb/", id="desktop needs a port"),
    ],
)
def test_redirect_uri_that_cannot_be_registered(sandbox, platform, uri):
    app = {**WEB_APP, "platform": platform, "redirect_uris": [uri]}

    with pytest.raises(requests.HTTPError, match="400"):
        sandbox.control("POST", "/apps", app)


@pytest.mark.quirk(6)
def test_app_has_at_most_ten_redirect_uris(sandbox):
    uris = [f"https://app.example.com/{n}/" for n in range(11)]

    with pytest.raises(requests.HTTPError, match="at most 10"):
        sandbox.control("POST", "/apps", {**WEB_APP, "redirect_uris": uris})


@pytest.mark.quirk(6)
@pytest.mark.parametrize(
    ("uri", "status"),
    [
        pytest.param("http://localhost:3455/cb/", 200, id="equal"),
        pytest.param("http://localhost:3455/cb", 400, id="trailing slash missing"),
        pytest.param("http://127.0.0.1:3455/cb/", 400, id="other name for the same host"),
        pytest.param("http://127.0.0.1:4711/any/", 200, id="wildcard port"),
        pytest.param("http://127.0.0.1:4711/any/more", 400, id="wildcard is only for the port"),
        pytest.param("http://127.0.0.1:47x11/any/", 400, id="port is a number"),
    ],
)
def test_redirect_uri_matches_letter_by_letter(sandbox, uri, status):
    uris = ["http://localhost:3455/cb/", "http://127.0.0.1:*/any/"]
    sandbox.control("POST", "/apps", {"client_key": CLIENT_KEY, "redirect_uris": uris})

    assert authorize(sandbox, redirect_uri=uri).status_code == status


@pytest.mark.parametrize("uri", ["https://evil.example.com/cb/", "http://127.0.0.1/cb/", "nonsense"])
def test_app_without_registered_uris_takes_loopback_only(sandbox, uri):
    assert "<code>redirect_uri</code>" in authorize(sandbox, redirect_uri=uri).text


@pytest.mark.quirk(7)
@pytest.mark.parametrize(
    ("changes", "item"),
    [
        ({"client_key": "awunknown"}, "client_key"),
        ({"redirect_uri": "https://elsewhere.example.com/"}, "redirect_uri"),
        ({"scope": "video.publish,research.data.basic"}, "scope"),
        ({"scope": None}, "scope"),
        ({"response_type": "token"}, "response_type"),
        ({"code_challenge": None}, "code_challenge"),
    ],
)
def test_bad_request_ends_on_tiktoks_own_page_that_names_the_item(sandbox, changes, item):
    page = authorize(sandbox, **changes)

    assert page.status_code == 400
    assert "Location" not in page.headers
    assert "Something went wrong" in page.text
    assert f"<code>{item}</code>" in page.text


@pytest.mark.quirk(8)
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        pytest.param({}, 302, id="returning user is bounced back"),
        pytest.param({"disable_auto_auth": "0"}, 302, id="same when asked for"),
        pytest.param({"disable_auto_auth": "1"}, 200, id="page is forced"),
    ],
)
def test_returning_user_sees_the_page_only_if_auto_auth_is_off(sandbox, changes, status):
    connect(sandbox, "demo.private")
    cookie = {"Cookie": "sandbox_creator=demo.private"}

    answer = requests.get(
        f"{sandbox.url}/v2/auth/authorize/",
        params=authorize_query(**changes),
        headers=cookie,
        allow_redirects=False,
        timeout=10,
    )

    assert answer.status_code == status


def test_returning_user_who_never_granted_a_scope_sees_the_page(sandbox):
    connect(sandbox, "demo.private", scope="user.info.basic")

    answer = requests.get(
        f"{sandbox.url}/v2/auth/authorize/",
        params=authorize_query(scope=ALL_SCOPES),
        headers={"Cookie": "sandbox_creator=demo.private"},
        allow_redirects=False,
        timeout=10,
    )

    assert answer.status_code == 200


def test_cancel_comes_back_as_access_denied_with_the_state(sandbox):
    form = {**authorize_query(state="a b&c=d"), "creator": "demo.public", "decision": "cancel"}

    answer = requests.post(f"{sandbox.url}/v2/auth/authorize/", data=form, allow_redirects=False, timeout=10)
    back = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))

    assert answer.headers["Location"].startswith(f"{REDIRECT_URI}?")
    assert (back["error"], back["state"]) == ("access_denied", "a b&c=d")
    assert "code" not in back


@pytest.mark.quirk(53)
def test_creator_who_is_no_target_user_comes_back_with_non_sandbox_target(sandbox):
    back = sandbox.consent(authorize_query(), "demo.stranger")

    assert (back["error"], back["error_type"]) == ("access_denied", "non_sandbox_target")
    assert "code" not in back


@pytest.mark.quirk(53)
def test_non_target_can_end_on_the_error_page_instead(sandbox):
    sandbox.settings(non_target_answer="page")
    form = {**authorize_query(), "creator": "demo.stranger", "decision": "allow"}

    page = requests.post(f"{sandbox.url}/v2/auth/authorize/", data=form, allow_redirects=False, timeout=10)

    assert "<code>non_sandbox_target</code>" in page.text


@pytest.mark.quirk(53)
def test_target_users_bind_only_keys_that_begin_with_sb(sandbox):
    sandbox.control("POST", "/apps", WEB_APP)
    query = authorize_query(client_key=WEB_APP["client_key"], redirect_uri="https://app.example.com/cb/")

    assert "code" in sandbox.consent(query, "demo.stranger")


@pytest.mark.quirk(54)
def test_review_and_audit_are_separate_gates(sandbox, client_for):
    client = client_for("demo.public")
    audit_gate = code_of(client.init(privacy_level="SELF_ONLY"))
    sandbox.control(
        "POST", "/apps", {"client_key": CLIENT_KEY, "client_secret": CLIENT_SECRET, "approved": False}
    )
    review_gate = authorize(sandbox)

    assert audit_gate == (403, "unaudited_client_can_only_post_to_private_accounts")
    assert "<code>client_key</code>" in review_gate.text
    assert "error=unauthorized_client" in review_gate.text
