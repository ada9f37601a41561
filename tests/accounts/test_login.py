"""Logging in and out."""

from __future__ import annotations

import re

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from django.urls import reverse

from tests.accounts.conftest import PASSWORD

pytestmark = pytest.mark.django_db


def log_in(client, email="alice@example.com", password=PASSWORD, *, ip="127.0.0.1", **more):
    return client.post(
        reverse("account_login"), {"login": email, "password": password, **more}, REMOTE_ADDR=ip
    )


@pytest.mark.parametrize("email", ["alice@example.com", "ALICE@Example.com"])
def test_login_takes_address_and_password_whatever_the_case(client, alice, email):
    answer = log_in(client, email)

    assert answer.url == reverse("home")
    assert client.get(reverse("profile")).status_code == 200


def test_login_goes_on_to_where_one_was_going(client, alice):
    wanted = client.get(reverse("profile"))

    answer = client.post(
        wanted.url, {"login": "alice@example.com", "password": PASSWORD, "next": "/profile/"}
    )

    assert wanted.url == "/accounts/login/?next=/profile/"
    assert answer.url == "/profile/"


def test_login_never_leads_to_another_site(client, alice):
    answer = log_in(client, next="https://elsewhere.example/")

    assert answer.url == reverse("home")


@pytest.mark.parametrize("email", ["alice@example.com", "nobody@example.com"])
def test_login_says_the_same_for_a_wrong_password_and_an_unknown_address(client, alice, email):
    answer = log_in(client, email, "not the password")

    words = answer.content.decode()
    assert answer.status_code == 200
    assert "match" in words
    assert email in words
    assert "not the password" not in words
    assert client.get(reverse("profile")).status_code == 302


def test_login_is_refused_to_an_account_that_is_switched_off(client, alice):
    alice.is_active = False
    alice.save(update_fields=["is_active"])

    log_in(client)

    assert client.get(reverse("profile")).status_code == 302


def test_login_stops_a_guesser_and_says_so(client, alice):
    answers = [log_in(client, password=f"guess {number}") for number in range(6)]

    assert "Too many failed log-ins" in answers[5].content.decode()
    assert log_in(client).status_code == 200


def test_logout_takes_a_button_not_a_link(client, alice):
    client.force_login(alice)

    asked = client.get(reverse("account_logout"))
    still_in = client.get(reverse("profile"))
    client.post(reverse("account_logout"))

    assert "Log out?" in asked.content.decode()
    assert still_in.status_code == 200
    assert client.get(reverse("profile")).status_code == 302


# --- From where -------------------------------------------------------------------------------------------------------


def guess(client, number, **came_from):
    """A wrong password for another person each time, so that only the limit by address counts."""
    answer = client.post(
        reverse("account_login"), {"login": f"n{number}@example.com", "password": "x"}, **came_from
    )
    return "Too many failed log-ins" in answer.text


@pytest.fixture
def behind_a_proxy(monkeypatch):
    """As TRUST_PROXY_HEADERS sets it: the last address of X-Forwarded-For is the one that the proxy saw."""
    monkeypatch.setattr("allauth.app_settings.AppSettings.TRUSTED_PROXY_COUNT", 1)


def test_forged_forwarding_header_gives_no_more_tries(client, db):
    held_up = [guess(client, n, headers={"X-Forwarded-For": f"198.51.100.{n}"}) for n in range(11)]

    assert held_up == [False] * 10 + [True]


def test_forged_part_of_a_proxys_header_gives_no_more_tries(client, db, behind_a_proxy):
    held_up = [
        guess(client, n, headers={"X-Forwarded-For": f"198.51.100.{n}, 203.0.113.9"}) for n in range(11)
    ]

    assert held_up == [False] * 10 + [True]


def test_people_behind_one_proxy_do_not_share_their_tries(client, db, behind_a_proxy):
    for number in range(11):
        guess(client, number, headers={"X-Forwarded-For": "203.0.113.9"})

    assert not guess(client, 11, headers={"X-Forwarded-For": "203.0.113.10"})


def test_addresses_of_one_ipv6_network_count_as_one(client, db):
    held_up = [guess(client, n, REMOTE_ADDR=f"2001:db8::{n:x}") for n in range(11)]

    assert held_up == [False] * 10 + [True]


def test_spelling_of_an_address_gives_no_more_tries(client, alice):
    spellings = [
        "alice@example.com",
        "ALICE@example.com",
        " alice@example.com ",
        "Alice@Example.COM",
        "aLICE@example.com",
    ]
    for number, email in enumerate(spellings):
        log_in(client, email, "wrong", ip=f"198.51.100.{number}")

    assert "Too many failed log-ins" in log_in(client, "alicE@example.com").text


# --- Who has an account -----------------------------------------------------------------------------------------------


PASSING = {"Content-Length", "Expires"}
"""Headers that hold the length of the address, and the time."""


def told(path, data, email):
    """All that an answer tells a visitor, less what differs each time and the address they typed."""
    visitor = Client()
    answer = visitor.post(path, data | {next(iter(data)): email}, follow=True)
    words = re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"|"X-CSRFToken": "[^"]+"', "", answer.text)
    cookies = {
        name: {key: value for key, value in cookie.items() if key != "expires"}
        for name, cookie in visitor.cookies.items()
    }
    headers = {name: value for name, value in answer.headers.items() if name not in PASSING}
    return answer.redirect_chain, answer.status_code, headers, cookies, words.replace(email, "")


@pytest.mark.parametrize("is_confirmed", [True, False])
@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/accounts/login/", {"login": "", "password": "a wrong one"}),
        ("/accounts/password/reset/", {"email": ""}),
    ],
)
def test_answer_does_not_tell_whether_there_is_an_account(alice, path, data, is_confirmed):
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=is_confirmed)

    assert told(path, data, "alice@example.com") == told(path, data, "nobody@example.com")


def test_account_that_is_switched_off_is_told_of_to_its_person_alone(client, alice):
    type(alice).objects.filter(pk=alice.pk).update(is_active=False)
    data = {"login": "", "password": "a wrong one"}

    assert told("/accounts/login/", data, alice.email) == told("/accounts/login/", data, "nobody@example.com")
    assert (
        "switched off"
        in client.post(
            "/accounts/login/", data | {"login": alice.email, "password": PASSWORD}, follow=True
        ).text
    )
