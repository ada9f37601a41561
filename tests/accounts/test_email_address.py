"""Changing the e-mail address."""

from __future__ import annotations

import re

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import reverse

from tests.accounts.conftest import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture
def alices(alice):
    """Her browser, in which she has just given her password."""
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=True)
    client = Client()
    client.force_login(alice)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


def change(client, email):
    return client.post(reverse("account_email"), {"email": email, "action_add": ""})


def test_email_change_takes_effect_once_the_new_address_is_confirmed(alices, alice, mailoutbox):
    change(alices, "new@example.com")
    alice.refresh_from_db()
    before = alice.email
    [mail] = [mail for mail in mailoutbox if mail.to == ["new@example.com"]]

    alices.post(re.search(r"http://testserver(\S+)", mail.body).group(1))

    alice.refresh_from_db()
    assert (before, alice.email) == ("alice@example.com", "new@example.com")
    assert [mail.subject for mail in mailoutbox if mail.to == ["alice@example.com"]] == [
        "Your e-mail address was changed"
    ]


def test_email_change_can_be_called_off(alices, alice):
    change(alices, "new@example.com")
    assert EmailAddress.objects.filter(email="new@example.com").exists()

    alices.post(reverse("account_email"), {"email": "new@example.com", "action_remove": ""})

    assert [address.email for address in EmailAddress.objects.filter(user=alice)] == ["alice@example.com"]


def test_email_change_does_not_tell_that_an_address_is_taken(alices, alice, vic):
    free = change(alices, "free@example.com")
    taken = change(alices, vic.email)

    alice.refresh_from_db()
    assert (free.status_code, free.url) == (taken.status_code, taken.url)
    assert alice.email == "alice@example.com"


def test_email_change_refuses_what_is_no_address(alices):
    answer = change(alices, "new@")

    assert "valid email" in answer.content.decode()


def test_email_change_asks_for_the_password_and_then_goes_on(client, alice, mailoutbox):
    client.force_login(alice)

    asked = change(client, "new@example.com")
    before = [mail.to for mail in mailoutbox]
    client.post(asked.url, {"password": PASSWORD, "next": reverse("account_email")})

    assert asked.url.startswith(reverse("account_reauthenticate"))
    assert before == []
    assert ["new@example.com"] in [mail.to for mail in mailoutbox]


def test_email_change_with_a_wrong_password_changes_nothing(client, alice, mailoutbox):
    client.force_login(alice)
    asked = change(client, "new@example.com")

    answer = client.post(asked.url, {"password": "wrong"})

    assert "That is not your password." in answer.content.decode()
    assert mailoutbox == []


def test_email_confirmation_link_that_is_wrong_says_so(client):
    answer = client.get(reverse("account_confirm_email", args=["not-a-key"]))

    assert answer.status_code == 200
    assert "This link does not work" in answer.content.decode()


def test_email_page_says_before_anything_is_typed_that_a_second_step_is_in_the_way(alices, alice):
    page = alices.get(reverse("account_email")).content.decode()
    assert "Change address" in page
    Authenticator.objects.create(user=alice, type=Authenticator.Type.TOTP, data={"secret": "x"})

    page = alices.get(reverse("account_email")).content.decode()

    assert "turn that off first" in page
    assert "Change address" not in page
