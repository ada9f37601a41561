"""Signing in with the local TikTok, over real HTTP, beside a connection of the same account."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.test import Client
from django.urls import reverse

from connections import services
from connections.models import ConnectionStatus, SocialConnection
from connections.providers import provider_for
from connections.services import TestOutcome
from connections.tokens import refresh_now
from tests.connections.conftest import begin
from tests.connections.conftest import come_back as come_back_from_connect
from tests.connections.test_sign_in import come_back, is_in, leave
from tests.sandbox.conftest import sandbox, sandbox_process  # noqa: F401  # fixtures
from tests.sandbox.process import CLIENT_KEY, CLIENT_SECRET, REDIRECT_URI

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack]


@pytest.fixture(autouse=True)
def local_tiktok(sandbox, settings) -> Iterator[None]:  # noqa: F811
    settings.TIKTOK_AUTHORIZE_URL = f"{sandbox.url}/v2/auth/authorize/"
    settings.TIKTOK_API_URL = sandbox.url
    settings.TIKTOK_CLIENT_KEY, settings.TIKTOK_CLIENT_SECRET = CLIENT_KEY, CLIENT_SECRET
    settings.BASE_URL, settings.TIKTOK_REDIRECT_URI = "http://127.0.0.1:9", REDIRECT_URI
    settings.TIKTOK_SIGN_IN = True
    provider_for.cache_clear()
    yield
    provider_for.cache_clear()


def sign_in(sandbox, browser, creator="demo.public"):  # noqa: F811
    return come_back(browser, **sandbox.consent(leave(browser), creator))


def linked(sandbox, user):  # noqa: F811
    """Sign up as the user would have, and give the link to them."""
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    browser = Client()
    assert sign_in(sandbox, browser).url == reverse("socialaccount_signup")
    uid = browser.session["socialaccount_sociallogin"]["account"]["uid"]
    SocialAccount.objects.create(user=user, provider="tiktok", uid=uid)


def test_creator_signs_in_with_a_hex_proof_key_and_the_basics(sandbox, alice, client):  # noqa: F811
    linked(sandbox, alice)

    query = leave(client)
    come_back(client, **sandbox.consent(query, "demo.public"))

    assert is_in(client)
    assert query["scope"] == "user.info.basic"
    assert len(query["code_challenge"]) == 64  # hex of SHA-256; base64 would have 43
    assert SocialAccount.objects.get().extra_data == {"display_name": "Public creator"}


def test_connection_of_the_same_account_goes_on_as_before(sandbox, alice, acme, client):  # noqa: F811
    client.force_login(alice)
    come_back_from_connect(client, **sandbox.consent(begin(client, acme), "demo.public"))
    before = SocialConnection.objects.get()
    linked(sandbox, alice)

    sign_in(sandbox, Client())

    row = SocialConnection.objects.get()
    assert (row.status, row.scopes, row.access_token) == (
        ConnectionStatus.ACTIVE,
        before.scopes,
        before.access_token,
    )
    assert services.test_connection(row).outcome == TestOutcome.OK
    refresh_now(row)
    row.refresh_from_db()
    assert row.scopes == before.scopes


def test_code_works_once_at_tiktok(sandbox, alice):  # noqa: F811
    linked(sandbox, alice)
    one, two = Client(), Client()
    first = sandbox.consent(leave(one), "demo.public")
    come_back(one, **first)
    state = leave(two)["state"]

    answer = come_back(two, code=first["code"], state=state)

    assert answer.status_code == 400
    assert "its own code back" in answer.content.decode()
    assert not is_in(two)


def test_cancel_on_the_consent_page_is_told_as_one(sandbox, client):  # noqa: F811
    query = leave(client)
    sent_back = requests.post(
        f"{sandbox.url}/v2/auth/authorize/",
        data=query | {"creator": "demo.public", "decision": "cancel"},
        allow_redirects=False,
        timeout=10,
    ).headers["Location"]

    answer = come_back(client, **dict(parse_qsl(urlsplit(sent_back).query)))

    assert "You canceled" in answer.content.decode()


def test_tiktok_that_is_down_is_told_as_such(sandbox, alice, client):  # noqa: F811
    linked(sandbox, alice)
    query = sandbox.consent(leave(client), "demo.public")
    sandbox.fault({"endpoint": "token"}, {"status": 503})

    answer = come_back(client, **query)

    assert answer.status_code == 503
    assert not is_in(client)


def test_account_that_is_no_target_user_is_told_so(sandbox, client):  # noqa: F811
    assert "not among the test accounts" in sign_in(sandbox, client, "demo.stranger").content.decode()
