"""Logging in and out."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.accounts.conftest import PASSWORD

pytestmark = pytest.mark.django_db


def log_in(client, email="alice@example.com", password=PASSWORD, **more):
    return client.post(reverse("account_login"), {"login": email, "password": password, **more})


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
