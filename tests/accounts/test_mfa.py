"""The second step: authenticator app, recovery codes, passkeys (their ceremony is in tests/browser/test_csp.py)."""

from __future__ import annotations

import json
import time

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from connections import second_factors
from connections.crypto import DecryptionError, key_id
from connections.keys import key_health
from tests.accounts.conftest import PASSWORD
from tests.accounts.pages import Page

pytestmark = pytest.mark.django_db


def log_in(client, email="alice@example.com", **more):
    return client.post(reverse("account_login"), {"login": email, "password": PASSWORD, **more})


def code_for(secret: str, at: float | None = None) -> str:
    """What an authenticator app shows (RFC 6238: 30 seconds, six digits)."""
    return format_hotp_value(hotp_value(secret, int((at or time.time()) // 30)))


@pytest.fixture
def alices(client, alice) -> Client:
    """Alice's browser, after a real log-in, with a confirmed address."""
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=True)
    log_in(client)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


@pytest.fixture
def secret(alices) -> str:
    """Her authenticator app's secret, once it is set up."""
    page = alices.get(reverse("mfa_activate_totp"))
    secret = page.context["form"].secret
    answer = alices.post(reverse("mfa_activate_totp"), {"code": code_for(secret)})
    assert answer.url == reverse("mfa_view_recovery_codes")
    return secret


def recovery_codes(client) -> list[str]:
    return client.get(reverse("mfa_view_recovery_codes")).context["unused_codes"]


def enter(browser, code):
    return browser.post(reverse("mfa_authenticate"), {"code": code})


def let_the_last_code_be_forgotten():
    from django.core.cache import cache

    cache.clear()


@pytest.mark.parametrize("name", ["mfa_index", "mfa_activate_totp", "mfa_add_webauthn", "mfa_list_webauthn"])
def test_page_is_sound(alices, name):
    answer = alices.get(reverse(name))

    page = Page(answer.content.decode())
    assert answer.status_code == 200
    assert page.inline_code == []
    assert page.repeated_ids() == []
    assert page.unlabelled() == []


def test_app_is_set_up_with_a_drawing_and_a_key_to_type(alices):
    html = alices.get(reverse("mfa_activate_totp")).content.decode()

    assert '<svg width="' in html
    assert "data:image" not in html  # which img-src would have to allow


def test_wrong_code_sets_nothing_up(alices, alice):
    answer = alices.post(reverse("mfa_activate_totp"), {"code": "000000"})

    assert "That code is not right" in answer.content.decode()
    assert not Authenticator.objects.filter(user=alice).exists()


def test_second_step_waits_for_a_confirmed_address(client, alice):
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=False)
    log_in(client)

    answer = client.get(reverse("mfa_activate_totp"), follow=True)

    assert "Confirm your e-mail address first" in answer.content.decode()
    assert answer.redirect_chain


def test_password_alone_no_longer_lets_in(secret, client):
    browser = Client()

    answer = log_in(browser)

    assert answer.url == reverse("mfa_authenticate")
    assert Page(browser.get(answer.url).content.decode()).inline_code == []
    assert browser.get(reverse("profile")).status_code == 302


def test_code_lets_in_and_leads_where_one_was_going(secret):
    browser = Client()
    let_the_last_code_be_forgotten()
    log_in(browser, next="/profile/")

    answer = enter(browser, code_for(secret))

    assert answer.url == "/profile/"
    assert browser.get("/profile/").status_code == 200


def test_second_step_never_leads_to_another_site(secret):
    browser = Client()
    let_the_last_code_be_forgotten()
    log_in(browser, next="https://elsewhere.example/")

    assert enter(browser, code_for(secret)).url == reverse("home")


def test_code_of_an_hour_ago_does_not_let_in(secret):
    browser = Client()
    let_the_last_code_be_forgotten()
    log_in(browser)

    answer = enter(browser, code_for(secret, time.time() - 3600))

    assert "That code is not right" in answer.content.decode()
    assert browser.get("/profile/").status_code == 302


def test_code_is_taken_once(secret):
    let_the_last_code_be_forgotten()
    code = code_for(secret)
    first, second = Client(), Client()
    log_in(first)
    log_in(second)
    enter(first, code)

    enter(second, code)

    assert first.get("/profile/").status_code == 200
    assert second.get("/profile/").status_code == 302


def test_codes_cannot_be_tried_without_end(secret):
    browser = Client()
    let_the_last_code_be_forgotten()
    log_in(browser)

    for _ in range(5):
        enter(browser, "000000")
    answer = enter(browser, code_for(secret))

    assert "Too many" in answer.content.decode()
    assert browser.get("/profile/").status_code == 302


def test_recovery_code_lets_in_once(alices, secret):
    code = recovery_codes(alices)[0]
    first, second = Client(), Client()
    log_in(first)
    log_in(second)

    enter(first, code)
    enter(second, code)

    assert first.get("/profile/").status_code == 200
    assert second.get("/profile/").status_code == 302
    assert len(recovery_codes(alices)) == 9


def test_new_recovery_codes_end_the_old_ones(alices, secret):
    old = recovery_codes(alices)[0]
    alices.post(reverse("mfa_generate_recovery_codes"))
    browser = Client()
    log_in(browser)

    enter(browser, old)

    assert browser.get("/profile/").status_code == 302
    assert old not in recovery_codes(alices)


def test_recovery_codes_can_be_kept_as_a_file(alices, secret):
    answer = alices.get(reverse("mfa_download_recovery_codes"))

    assert answer["Content-Type"].startswith("text/plain")
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer.content.decode().split() == recovery_codes(alices)


def test_app_is_turned_off_after_asking_and_said_by_mail(alices, alice, secret, mailoutbox):
    mailoutbox.clear()
    asked = alices.get(reverse("mfa_deactivate_totp"))

    alices.post(reverse("mfa_deactivate_totp"))

    assert "Turn the authenticator app off?" in asked.content.decode()
    assert not Authenticator.objects.filter(user=alice).exists()
    assert [mail.subject for mail in mailoutbox] == ["Your authenticator app was turned off"]
    assert "was turned off" in mailoutbox[0].body


def test_change_of_the_second_step_asks_who_it_is_once_the_log_in_is_old(alices, alice):
    session = alices.session
    session["account_authentication_methods"][-1]["at"] -= 3600
    session.save()

    answer = alices.get(reverse("mfa_activate_totp"))

    assert answer.url.startswith(reverse("account_reauthenticate"))


def test_pages_about_the_second_step_are_closed_to_visitors(client, db):
    for name in ("mfa_index", "mfa_activate_totp", "mfa_view_recovery_codes", "usersessions_list"):
        assert client.get(reverse(name)).status_code == 302


def test_nobody_removes_the_key_of_another(secret, alice, mallory):
    key = Authenticator.objects.create(
        user=alice, type="webauthn", data={"name": "Key", "credential": {"clientExtensionResults": {}}}
    )
    browser = Client()
    EmailAddress.objects.create(user=mallory, email=mallory.email, primary=True, verified=True)
    log_in(browser, "mallory@example.com")
    browser.post(reverse("account_reauthenticate"), {"password": PASSWORD})

    answer = browser.post(reverse("mfa_remove_webauthn", kwargs={"pk": key.pk}))

    assert answer.status_code == 404
    assert Authenticator.objects.filter(pk=key.pk).exists()


RESPONSE = {"clientDataJSON": "e30", "authenticatorData": "AAAA", "signature": "AAAA", "userHandle": "AAAA"}


@pytest.mark.parametrize(
    "credential",
    [
        "no JSON",
        "[]",
        json.dumps({"id": "x"}),
        json.dumps({"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {}}),
        json.dumps({"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": RESPONSE}),
        json.dumps({"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": [1]}),
    ],
)
@pytest.mark.parametrize("name", ["mfa_login_webauthn", "mfa_authenticate"])
def test_forged_passkey_is_refused(secret, name, credential):
    browser = Client()
    if name == "mfa_authenticate":
        log_in(browser)
    else:
        browser.get(reverse("mfa_login_webauthn"), headers={"Accept": "application/json"})

    answer = browser.post(reverse(name), {"credential": credential})

    assert answer.status_code in {200, 302}
    assert browser.get("/profile/").status_code == 302


def test_forged_new_passkey_is_refused(alices, alice):
    alices.get(reverse("mfa_add_webauthn"))

    answer = alices.post(reverse("mfa_add_webauthn"), {"name": "x", "credential": '{"id": "x"}'})

    assert answer.status_code == 200
    assert not Authenticator.objects.filter(user=alice).exists()


def test_secrets_of_the_second_step_are_stored_sealed(alices, secret):
    codes = recovery_codes(alices)
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(data::text, ' ') FROM mfa_authenticator")
        (stored,) = cursor.fetchone()

    assert secret not in stored
    assert not any(code in stored for code in codes)
    with pytest.raises(DecryptionError):
        second_factors.MFAAdapter().decrypt(secret)


def test_rotation_moves_the_secrets_of_the_second_step(alices, secret, settings, capsys):
    old = list(settings.ENCRYPTION_KEYS)
    new = Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, *old]
    before = key_health()

    call_command("rotate_encryption_keys")

    settings.ENCRYPTION_KEYS = [new]
    let_the_last_code_be_forgotten()
    browser = Client()
    log_in(browser)
    enter(browser, code_for(secret))
    assert before.rows[second_factors.CONTEXT] == {key_id(old[0]): 2}
    assert key_health().rows[second_factors.CONTEXT] == {key_id(new): 2}
    assert browser.get("/profile/").status_code == 200


def test_rehearsed_rotation_changes_nothing(secret, settings):
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]
    before = second_factors.rows_by_key()

    assert second_factors.reseal(dry_run=True) == (2, 0)
    assert second_factors.rows_by_key() == before


def test_lost_key_of_the_second_step_is_told(secret, settings):
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]

    assert "mfa_authenticator.data holds a value that does not open" in key_health().problem
    assert second_factors.reseal() == (0, 2)
