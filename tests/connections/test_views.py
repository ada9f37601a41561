"""The pages of connections: who may see and do what, and what they say."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests
import responses
from django.core.files.base import ContentFile
from django.urls import reverse
from django.utils import timezone

from connections.models import ConnectionStatus, SocialConnection
from tests.connections.conftest import (
    CREATOR_URL,
    REVOKE_URL,
    TOKEN_URL,
    USER_URL,
    flat_error,
    picture,
    refusal,
)

pytestmark = pytest.mark.django_db


def text(answer):
    return answer.content.decode()


def address(name, slug="acme", pk=None):
    arguments = {
        "list": {"slug": slug},
        "connect": {"slug": slug, "provider": "tiktok"},
        "help": {"provider": "tiktok"},
        "callback": {"provider": "tiktok"},
    }.get(name, {"slug": slug, "pk": pk})
    return reverse(f"connections:{name}", kwargs=arguments)


@pytest.fixture
def row(acme, make_connection):
    connection = make_connection(
        acme,
        provider_account_id="-000creator",
        is_primary=True,
        profile={"account_id": "-000creator", "username": "noramoves", "display_name": "Nora Moves"},
    )
    connection.avatar.save("x-abc.jpg", ContentFile(picture("JPEG")))
    return connection


def test_an_empty_workspace_is_told_what_to_do(acme, browser):
    page = text(browser.get(address("list")))

    assert "Connect your first TikTok account" in page
    assert address("connect") in page
    assert address("help") in page


def test_an_editor_of_an_empty_workspace_is_told_whom_to_ask(acme, erin, as_user):
    page = text(as_user(erin).get(address("list")))

    assert "Ask an admin or owner" in page
    assert address("connect") not in page


def test_a_card_says_what_the_account_is_and_may(browser, row):
    SocialConnection.objects.update(account_label="Main", scopes=["user.info.basic", "video.publish"])

    page = text(browser.get(address("list")))

    assert "Main" in page
    assert "Nora Moves" in page
    assert "@noramoves" in page
    assert "Primary" in page
    assert "Post videos to your profile" in page
    assert "Send drafts to your TikTok inbox: not allowed" in page
    assert "Videos can&#x27;t be sent to the inbox as drafts." in page
    assert f"{address('avatar', pk=row.pk)}?v=" in page


def test_the_list_shows_no_token_and_asks_the_provider_nothing(browser, row, tiktok):
    page = text(browser.get(address("list")))

    assert "act." not in page
    assert "rft." not in page
    assert str(row.access_token) not in page
    assert len(tiktok.calls) == 0


def test_the_list_takes_as_many_queries_for_ten_as_for_one(
    acme, alice, browser, row, make_connection, django_assert_max_num_queries
):
    from django.db import connection as database
    from django.test.utils import CaptureQueriesContext

    SocialConnection.objects.update(connected_by=alice)
    with CaptureQueriesContext(
        database,
    ) as one:
        browser.get(address("list"))
    for _ in range(9):
        make_connection(acme, connected_by=alice)

    with django_assert_max_num_queries(len(one)):
        browser.get(address("list"))


def test_a_lost_connection_says_why_and_offers_to_reconnect(browser, row):
    SocialConnection.objects.update(status=ConnectionStatus.NEEDS_REAUTH, status_reason="TikTok said no.")

    page = text(browser.get(address("list")))

    assert "TikTok said no." in page
    assert "Reconnect" in page


def test_a_permission_that_ends_soon_is_pointed_out(browser, row):
    SocialConnection.objects.update(refresh_expires_at=timezone.now() + timedelta(days=13))
    assert "Reconnect before then" in text(browser.get(address("list")))

    SocialConnection.objects.update(refresh_expires_at=timezone.now() + timedelta(days=15))
    assert "Reconnect before then" not in text(browser.get(address("list")))


def test_a_disconnected_account_stays_in_the_list_of_those(browser, row, account):
    account.post(REVOKE_URL, json={})

    answer = browser.post(address("disconnect", pk=row.pk), follow=True)

    assert "Nora Moves is disconnected, and TikTok has withdrawn our access." in text(answer)
    assert "Disconnected accounts (1)" in text(answer)
    assert "Connect your first TikTok account" in text(answer)


def test_a_revocation_that_failed_says_how_to_do_it_in_the_app(browser, row, tiktok):
    tiktok.post(REVOKE_URL, body=requests.ConnectionError("x"))

    answer = browser.post(address("disconnect", pk=row.pk), follow=True)

    assert "could not be told" in text(answer)
    assert "Apps and services permissions" in text(answer)


def test_a_shared_account_says_that_another_workspace_uses_it(browser, row, rival, make_connection, tiktok):
    make_connection(rival, provider_account_id=row.provider_account_id)

    answer = browser.post(address("disconnect", pk=row.pk), follow=True)

    assert "Another workspace still uses the account." in text(answer)
    assert "Rival" not in text(answer)


def test_disconnecting_what_is_disconnected_says_so(browser, row):
    SocialConnection.objects.update(status="revoked", access_token="", refresh_token="", is_primary=False)

    assert "is disconnected already" in text(browser.post(address("disconnect", pk=row.pk), follow=True))


def test_a_label_that_is_too_long_keeps_what_was_typed(browser, row):
    answer = browser.post(address("label", pk=row.pk), {"account_label": "x" * 61})

    assert answer.status_code == 200
    assert "x" * 61 in text(answer)
    assert "at most 60" in text(answer)


def test_a_label_is_shown_escaped(browser, row):
    answer = browser.post(address("label", pk=row.pk), {"account_label": "<script>x</script>"}, follow=True)

    assert "<script>x" not in text(answer)
    assert SocialConnection.objects.get().account_label == "<script>x</script>"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ({"status": 500}, "could not be reached or had a problem"),
        ({"status": 401, "json": refusal("scope_not_authorized")}, "asks that you reconnect"),
    ],
)
def test_a_test_that_fails_says_what_to_do(browser, row, tiktok, reply, words):
    tiktok.get(USER_URL, **reply)

    assert words in text(browser.post(address("test", pk=row.pk), follow=True))


def test_a_test_that_works_says_so(browser, row, account):
    assert "It works: TikTok answered just now." in text(
        browser.post(address("test", pk=row.pk), follow=True)
    )


def test_refreshing_the_profile_shows_the_new_name(browser, row, account):
    SocialConnection.objects.update(profile={}, profile_fetched_at=timezone.now())

    answer = browser.post(address("refresh", pk=row.pk), follow=True)

    assert "The profile of Nora Moves is up to date." in text(answer)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ({"status": 429, "json": refusal("rate_limit_exceeded")}, "TikTok asks us to slow down."),
        ({"status": 401, "json": refusal("scope_not_authorized")}, "Reconnect this account"),
    ],
)
def test_a_profile_that_cannot_be_refreshed_says_why(browser, row, tiktok, reply, words):
    tiktok.get(USER_URL, **reply)

    assert words in text(browser.post(address("refresh", pk=row.pk), follow=True))


def test_a_ban_does_not_keep_the_profile_from_being_refreshed(browser, row, account):
    SocialConnection.objects.update(profile={}, profile_fetched_at=timezone.now())
    account.replace(
        responses.POST, CREATOR_URL, status=403, json=refusal("spam_risk_user_banned_from_posting")
    )

    words = text(browser.post(address("refresh", pk=row.pk), follow=True))

    assert "The profile of Nora Moves is up to date." in words
    assert "Nothing can be posted to it right now. TikTok has barred this account from posting." in words


def test_refreshing_a_dead_connection_asks_to_reconnect(browser, row, expired, tiktok):
    SocialConnection.objects.update(**expired)
    tiktok.post(TOKEN_URL, status=400, json=flat_error("invalid_grant"))

    answer = browser.post(address("refresh", pk=row.pk), follow=True)

    assert "TikTok no longer accepts this connection." in text(answer)


def test_a_primary_that_was_disconnected_meanwhile_is_refused_in_words(browser, row):
    SocialConnection.objects.update(status="revoked", access_token="", refresh_token="", is_primary=False)

    assert "is disconnected" in text(browser.post(address("primary", pk=row.pk), follow=True))


def test_an_avatar_is_private_to_the_members(browser, row):
    answer = browser.get(address("avatar", pk=row.pk))

    assert answer["Content-Type"] == "image/jpeg"
    assert answer["Cache-Control"] == "private, max-age=3600"
    assert answer.content == picture("JPEG")


def test_an_avatar_that_is_gone_from_storage_is_not_found(browser, row):
    row.avatar.storage.delete(row.avatar.name)

    assert browser.get(address("avatar", pk=row.pk)).status_code == 404


@pytest.mark.parametrize(
    "item", ["client_key", "redirect_uri", "scope", "code_challenge", "non_sandbox_target"]
)
def test_the_help_page_explains_each_item_of_tiktoks_error_page(acme, browser, item):
    assert f"<code>{item}</code>" in text(browser.get(address("help")))


def test_no_page_needs_inline_script_or_style(browser, row):
    for name in ("list", "label", "disconnect", "connected", "help"):
        page = text(browser.get(address(name, pk=row.pk)))
        assert " style=" not in page
        assert "<style" not in page
        assert "onclick" not in page
