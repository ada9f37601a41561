"""Resetting and changing the password."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from tests.accounts.conftest import PASSWORD
from tests.accounts.pages import without_tokens

pytestmark = pytest.mark.django_db

NEW = "another long secret"


def ask(client, email="alice@example.com"):
    return client.post(reverse("account_reset_password"), {"email": email}, follow=True)


def open_link(client, mail):
    link = re.search(r"http://testserver(/accounts/password/reset/key/\S+)", mail.body).group(1)
    return client.get(link, follow=True)


def test_password_reset_sends_a_link_that_sets_a_new_one(client, alice, mailoutbox):
    ask(client)
    form = open_link(client, mailoutbox[0])

    client.post(form.request["PATH_INFO"], {"password1": NEW, "password2": NEW})

    alice.refresh_from_db()
    assert alice.check_password(NEW)


def test_password_reset_tells_the_owner_that_it_happened(client, alice, mailoutbox):
    ask(client)
    form = open_link(client, mailoutbox[0])

    client.post(form.request["PATH_INFO"], {"password1": NEW, "password2": NEW})

    assert mailoutbox[1].to == ["alice@example.com"]
    assert "was reset" in mailoutbox[1].body


def test_password_reset_link_works_once(client, alice, mailoutbox):
    ask(client)
    form = open_link(client, mailoutbox[0])
    client.post(form.request["PATH_INFO"], {"password1": NEW, "password2": NEW})
    client.logout()

    again = open_link(client, mailoutbox[0])

    assert "This link no longer works" in again.content.decode()


def test_password_reset_shows_the_same_page_for_an_unknown_address(client, alice, mailoutbox):
    known = ask(client)
    unknown = ask(client, "nobody@example.com")

    assert known.request["PATH_INFO"] == unknown.request["PATH_INFO"]
    assert without_tokens(known.content.decode()) == without_tokens(unknown.content.decode())
    assert "no account with this address" in mailoutbox[1].body


def test_password_reset_refuses_a_weak_password_in_place(client, alice, mailoutbox):
    ask(client)
    form = open_link(client, mailoutbox[0])

    answer = client.post(form.request["PATH_INFO"], {"password1": "short", "password2": "short"})

    alice.refresh_from_db()
    assert "too short" in answer.content.decode()
    assert alice.check_password(PASSWORD)


def test_password_change_needs_the_present_one(client, alice):
    client.force_login(alice)

    answer = client.post(
        reverse("account_change_password"), {"oldpassword": "wrong", "password1": NEW, "password2": NEW}
    )

    alice.refresh_from_db()
    assert "not your current password" in answer.content.decode()
    assert alice.check_password(PASSWORD)


def test_password_change_keeps_this_browser_logged_in_and_puts_others_out(client, alice, browse):
    other = browse(alice)
    client.force_login(alice)

    client.post(
        reverse("account_change_password"), {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    )

    assert client.get(reverse("profile")).status_code == 200
    assert other.get(reverse("profile")).status_code == 302
