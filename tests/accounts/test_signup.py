"""Signing up."""

from __future__ import annotations

import re

import pytest
from allauth.account.models import EmailAddress
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from accounts import forms
from accounts.models import Membership, Role, User, Workspace

pytestmark = pytest.mark.django_db

NEWCOMER = {"name": "Nora Nord", "email": "nora@example.com", "password1": "a long enough secret"}
SENT = "/accounts/confirm-email/"


def sign_up(client, **changes):
    return client.post(reverse("account_signup"), NEWCOMER | changes)


def test_signup_makes_the_account_and_a_workspace_of_its_own(client):
    answer = sign_up(client)

    membership = Membership.objects.select_related("user", "workspace").get()
    assert answer.status_code == 302
    assert (membership.user.email, membership.user.name) == ("nora@example.com", "Nora Nord")
    assert membership.role == Role.OWNER
    assert membership.workspace.name == "Nora Nord's workspace"
    assert re.fullmatch(r"nora-nords-workspace-[0-9a-f]{6}", membership.workspace.slug)


def test_signup_lets_the_newcomer_in_and_lands_on_the_posts(client):
    answer = client.post(reverse("account_signup"), NEWCOMER, follow=True)

    assert answer.status_code == 200
    assert answer.request["PATH_INFO"] == reverse("publishing:post_list", args=[Workspace.objects.get().slug])


def test_signup_sends_a_link_that_confirms_the_address(client, mailoutbox):
    sign_up(client)
    link = re.search(r"http://testserver(\S+)", mailoutbox[0].body).group(1)

    page = client.get(link)
    client.post(link)

    assert "nora@example.com" in page.content.decode()
    assert EmailAddress.objects.get().verified


def test_signup_asks_to_confirm_until_it_is_done(client):
    sign_up(client)

    before = client.get(reverse("profile")).content.decode()
    EmailAddress.objects.update(verified=True)
    after = client.get(reverse("profile")).content.decode()

    assert "Confirm your e-mail address" in before
    assert "Confirm your e-mail address" not in after


def test_signup_with_verification_mandatory_waits_for_the_link(client, settings):
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"

    answer = sign_up(client)

    assert answer.url == SENT
    assert client.get(reverse("profile")).status_code == 302


@pytest.mark.parametrize("verification", ["optional", "mandatory"])
def test_signup_with_a_taken_address_tells_only_its_owner(client, alice, mailoutbox, settings, verification):
    settings.ACCOUNT_EMAIL_VERIFICATION = verification

    answer = client.post(reverse("account_signup"), NEWCOMER | {"email": "Alice@Example.com"}, follow=True)

    words = answer.content.decode()
    assert answer.request["PATH_INFO"] == SENT
    assert "already" not in words
    assert "alice" not in words.lower()
    assert [mail.to for mail in mailoutbox] == [["alice@example.com"]]
    assert "password" in mailoutbox[0].body
    assert User.objects.count() == 1


def test_signup_answers_a_new_and_a_taken_address_alike(alice, settings):
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"

    answers = [
        Client().post(reverse("account_signup"), NEWCOMER | {"email": email}, follow=True)
        for email in ("new@example.com", "alice@example.com")
    ]

    new, taken = (
        (
            one.redirect_chain,
            {name: one.headers[name] for name in one.headers if name != "Expires"},
            cookies_of(one.client),
            plain(one.text),
        )
        for one in answers
    )
    assert new == taken


def cookies_of(client):
    """All that a browser is told of its cookies, less their values and the second in which they end."""
    return {
        name: {key: value for key, value in cookie.items() if key != "expires"}
        for name, cookie in client.cookies.items()
    }


def plain(text):
    return re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"|"X-CSRFToken": "[^"]+"', "", text)


def test_signup_with_a_taken_address_is_not_a_way_to_flood_its_owner(client, alice, mailoutbox):
    for _ in range(3):
        sign_up(client, email="alice@example.com")

    assert len(mailoutbox) == 1


def test_signup_that_loses_the_race_for_an_address_answers_as_if_it_had_been_taken(
    client, alice, mailoutbox, monkeypatch
):
    monkeypatch.setattr(forms.AllauthSignupForm, "validate_unique_email", lambda self, value: value)

    answer = sign_up(client, email="alice@example.com")

    assert answer.url == SENT
    assert mailoutbox[0].to == ["alice@example.com"]


def test_signup_leaves_nothing_behind_when_the_workspace_cannot_be_made(client, monkeypatch):
    def refuse(**_):
        raise IntegrityError("no workspace today")

    monkeypatch.setattr(forms, "create_personal_workspace", refuse)

    with pytest.raises(IntegrityError):
        sign_up(client)

    assert (User.objects.count(), Workspace.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"name": ""}, "This field is required", id="no name"),
        pytest.param({"name": "x" * 101}, "at most 100", id="a name too long"),
        pytest.param({"email": "nora"}, "valid email", id="no address"),
        pytest.param({"password1": "short1x"}, "too short", id="a short password"),
        pytest.param({"password1": "password123"}, "too common", id="a common password"),
        pytest.param({"password1": "73519462078"}, "entirely numeric", id="only digits"),
    ],
)
def test_signup_says_in_place_what_is_wrong_and_keeps_the_rest(client, changes, words):
    answer = sign_up(client, **changes)

    page = answer.content.decode()
    assert words in page
    assert (NEWCOMER | changes)["email"] in page
    assert "a long enough secret" not in page
    assert not User.objects.exists()


def test_signup_twice_under_one_name_gives_two_slugs(client):
    sign_up(client)
    client.logout()

    sign_up(client, email="other@example.com")

    assert Workspace.objects.filter(slug__startswith="nora-nords-workspace").count() == 2


def test_signup_is_limited_by_address(client):
    answers = [client.post(reverse("account_signup"), {"email": "x"}) for _ in range(21)]

    assert answers[19].status_code == 200
    assert answers[20].status_code == 429
    assert "Too many tries" in answers[20].content.decode()
