"""The life of a connection against the local TikTok, over real HTTP: connect, use, refresh, lose, heal, disconnect."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from django.utils import timezone
from PIL import Image

from connections import services
from connections.crypto import open_sealed
from connections.errors import AuthorizationError
from connections.models import ConnectionStatus, SocialConnection
from connections.profiles import creator_info_for
from connections.providers import provider_for
from connections.services import Revocation, TestOutcome
from connections.tokens import fresh_access_token
from tests.connections.conftest import begin, come_back
from tests.connections.test_tokens import run_in_threads
from tests.sandbox.conftest import sandbox, sandbox_process  # noqa: F401  # fixtures
from tests.sandbox.process import CLIENT_KEY, CLIENT_SECRET, REDIRECT_URI

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack]


@pytest.fixture(autouse=True)
def local_tiktok(sandbox, settings) -> Iterator[None]:  # noqa: F811
    """Point the product at the sandbox, with nothing but its settings."""
    settings.TIKTOK_AUTHORIZE_URL = f"{sandbox.url}/v2/auth/authorize/"
    settings.TIKTOK_API_URL = sandbox.url
    settings.TIKTOK_CLIENT_KEY = CLIENT_KEY
    settings.TIKTOK_CLIENT_SECRET = CLIENT_SECRET
    settings.TIKTOK_REDIRECT_URI = REDIRECT_URI
    provider_for.cache_clear()
    yield
    provider_for.cache_clear()


def connect(sandbox, client, workspace, creator="demo.public", grant=None):  # noqa: F811
    answer = sandbox.consent(begin(client, workspace), creator, grant)
    return come_back(client, **answer)


def token_calls(sandbox):  # noqa: F811
    return sandbox.control("GET", "/requests", endpoint="token")["entries"]


def test_an_account_is_connected_with_its_profile_and_picture(sandbox, acme, browser):  # noqa: F811
    answer = connect(sandbox, browser, acme)

    row = SocialConnection.objects.get()
    assert answer["Location"] == "/w/acme/connections/"
    assert row.username == "demo.public"
    assert row.nickname == "Public creator"
    assert set(row.scopes) == set(provider_for("tiktok").requested_scopes)
    assert creator_info_for(row).max_duration == timedelta(minutes=10)
    assert timedelta(hours=1) < row.access_expires_at - timezone.now() <= timedelta(hours=2)
    with row.avatar.open() as file, Image.open(file) as image:
        assert image.format == "JPEG"
    assert services.test_connection(row).outcome == TestOutcome.OK


def test_several_creators_live_in_one_workspace(sandbox, acme, browser):  # noqa: F811
    for creator in ("demo.public", "demo.private", "demo.quiet"):
        connect(sandbox, browser, acme, creator)

    assert {row.username for row in SocialConnection.objects.all()} == {
        "demo.public",
        "demo.private",
        "demo.quiet",
    }
    assert SocialConnection.objects.get(is_primary=True).username == "demo.public"


def test_unticked_scopes_come_out_as_they_were_ticked(sandbox, acme, browser):  # noqa: F811
    answer = connect(sandbox, browser, acme, grant=["video.upload"])

    row = SocialConnection.objects.get()
    assert row.scopes == ["user.info.basic", "video.upload"]
    assert answer["Location"].endswith("/connected/")
    assert row.nickname == "Public creator"


def test_a_cancel_on_the_consent_page_is_told_as_one(sandbox, acme, browser):  # noqa: F811
    query = begin(browser, acme)
    sent_back = requests.post(
        f"{sandbox.url}/v2/auth/authorize/",
        data=query | {"creator": "demo.public", "decision": "cancel"},
        allow_redirects=False,
        timeout=10,
    ).headers["Location"]

    answer = come_back(browser, **dict(parse_qsl(urlsplit(sent_back).query)))

    assert "You canceled" in answer.content.decode()
    assert not SocialConnection.objects.exists()


def test_an_account_that_is_no_target_user_is_told_so(sandbox, acme, browser):  # noqa: F811
    answer = connect(sandbox, browser, acme, "demo.stranger")

    assert "not among the test accounts" in answer.content.decode()
    assert not SocialConnection.objects.exists()


def test_a_wrong_secret_is_told_to_be_the_operators_matter(sandbox, acme, browser, settings):  # noqa: F811
    settings.TIKTOK_CLIENT_SECRET = "wrong"
    provider_for.cache_clear()

    answer = connect(sandbox, browser, acme)

    assert "does not accept this service’s credentials" in answer.content.decode()
    assert not SocialConnection.objects.exists()


def test_parallel_users_of_an_expired_token_cost_one_rotation(sandbox, acme, browser):  # noqa: F811
    connect(sandbox, browser, acme)
    row = SocialConnection.objects.get()
    sandbox.control("POST", "/creators/demo.public/tokens/expire")
    SocialConnection.objects.update(access_expires_at=timezone.now() - timedelta(seconds=1))
    before = len(token_calls(sandbox))
    given, lock = set(), threading.Lock()

    def use() -> None:
        token = fresh_access_token(SocialConnection.objects.get(pk=row.pk))
        with lock:
            given.add(token)

    run_in_threads(20, use)

    assert len(given) == 1
    assert len(token_calls(sandbox)) - before == 1
    assert services.test_connection(row).outcome == TestOutcome.OK


def test_a_token_that_died_early_is_healed_in_the_middle_of_a_call(sandbox, acme, browser):  # noqa: F811
    connect(sandbox, browser, acme)
    row = SocialConnection.objects.get()
    sandbox.control("POST", "/creators/demo.public/tokens/expire")

    assert creator_info_for(row, force=True).username == "demo.public"
    assert row.token_generation == 2


def test_an_app_removed_by_the_creator_needs_reconnecting_and_heals(
    sandbox,  # noqa: F811
    acme,
    browser,
    notices,
):
    connect(sandbox, browser, acme)
    row = SocialConnection.objects.get()
    sandbox.control("POST", "/creators/demo.public/disconnect")

    with pytest.raises(AuthorizationError):
        creator_info_for(row, force=True)
    assert row.status == ConnectionStatus.NEEDS_REAUTH

    connect(sandbox, browser, acme)
    row.refresh_from_db()
    assert row.is_active
    assert [kind for kind, _ in notices] == ["usable", "lost", "usable"]


def test_disconnecting_takes_the_app_out_of_the_creators_list(sandbox, acme, browser):  # noqa: F811
    connect(sandbox, browser, acme)
    row = SocialConnection.objects.get()
    token = open_sealed(row, "access_token")

    result = services.disconnect(row)

    answer = requests.get(
        f"{sandbox.url}/v2/user/info/?fields=open_id",
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )
    assert result.revocation == Revocation.REVOKED
    assert answer.status_code == 401
    assert [grant["active"] for grant in sandbox.control("GET", "/tokens")["grants"]] == [False]


def test_tokens_of_one_minute_are_not_refreshed_at_each_use(sandbox, acme, browser):  # noqa: F811
    sandbox.settings(access_seconds=60)
    connect(sandbox, browser, acme)
    row = SocialConnection.objects.get()
    before = len(token_calls(sandbox))

    for _ in range(5):
        fresh_access_token(row)

    assert len(token_calls(sandbox)) == before
