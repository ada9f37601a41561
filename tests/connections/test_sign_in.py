"""Signing up and in with TikTok: TikTok's answers faked at the wire, and once more against the local TikTok."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import responses
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.conf import settings as django_settings
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts.invitations import invite
from accounts.models import AuditEvent, Role, User
from connections.models import SocialConnection
from connections.providers import provider_for
from connections.sign_in.flow import callback_url
from tests.accounts.conftest import PASSWORD
from tests.accounts.pages import Page, without_tokens
from tests.connections.conftest import TOKEN_URL, USER_URL, enveloped, flat_error, grant

pytestmark = pytest.mark.django_db

OPEN_ID = "-000creator"


@pytest.fixture(autouse=True)
def switched_on(settings) -> Iterator[None]:
    settings.TIKTOK_SIGN_IN = True
    settings.TIKTOK_CLIENT_KEY, settings.TIKTOK_CLIENT_SECRET = "the-key", "the-secret"
    provider_for.cache_clear()
    yield
    provider_for.cache_clear()


@pytest.fixture
def tiktok() -> Iterator[responses.RequestsMock]:
    """TikTok, with its two answers that a sign-in needs."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as wire:
        wire.post(TOKEN_URL, json=grant(scope="user.info.basic"))
        wire.get(USER_URL, json=enveloped({"user": {"open_id": OPEN_ID, "display_name": "Nora Moves"}}))
        yield wire


def leave(browser, path="/accounts/tiktok/login/", **form) -> dict[str, str]:
    """Press the button; return what TikTok is asked."""
    answer = browser.post(path, form)
    assert answer.status_code == 302, answer.content.decode()[:500]
    assert answer.url.startswith(django_settings.TIKTOK_AUTHORIZE_URL)
    return dict(parse_qsl(urlsplit(answer.url).query))


def come_back(browser, **query):
    return browser.get("/accounts/tiktok/callback/", query)


def sign_in(browser, **form):
    return come_back(browser, code="a-code", state=leave(browser, **form)["state"])


def link_to(user: User, uid: str = OPEN_ID, *, verified: bool = True) -> SocialAccount:
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=verified)
    return SocialAccount.objects.create(
        user=user, provider="tiktok", uid=uid, extra_data={"display_name": "Nora"}
    )


def is_in(browser) -> bool:
    return browser.get("/profile/").status_code == 200


def events(action: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action))


# --- Signing up -------------------------------------------------------------------------------------------------------


def give_address(browser, email="nora@example.com", name="Nora"):
    return browser.post(reverse("socialaccount_signup"), {"name": name, "email": email})


def open_link_in_mail(browser) -> None:
    path = urlsplit(re.findall(r"http\S+", str(mail.outbox[-1].body))[0]).path
    browser.post(path)


def test_newcomer_gives_an_address_confirms_it_and_is_in(client, tiktok):
    answer = sign_in(client)
    assert answer.url == reverse("socialaccount_signup")
    page = client.get(answer.url).content.decode()
    assert "Nora Moves" in page
    assert Page(page).inline_code == []
    assert Page(page).unlabelled() == []

    assert give_address(client).url == reverse("account_email_verification_sent")
    assert not is_in(client)
    assert sign_in(client).url == reverse("account_email_verification_sent")
    open_link_in_mail(client)

    assert sign_in(client).url == reverse("home")
    user = User.objects.get()
    assert (user.email, user.name, user.has_usable_password()) == ("nora@example.com", "Nora", False)
    assert user.memberships.count() == 1
    assert SocialAccount.objects.get().uid == OPEN_ID


def test_signing_in_connects_nothing_and_keeps_no_token(client, tiktok, alice):
    link_to(alice)

    sign_in(client)

    assert is_in(client)
    assert not SocialConnection.objects.exists()
    assert not SocialToken.objects.exists()
    kept = [repr(dict(client.session.items()))]
    kept += [repr(row) for row in SocialAccount.objects.values()]
    assert "act.new-access" not in "".join(kept)
    assert "rft.new-refresh" not in "".join(kept)
    assert not [call for call in tiktok.calls if "revoke" in str(call.request.url)]


def test_pending_sign_up_keeps_no_token_in_the_session(client, tiktok):
    sign_in(client)

    kept = repr(dict(client.session.items()))

    assert OPEN_ID in kept
    assert "act." not in kept
    assert "rft." not in kept


def test_address_of_somebody_else_gets_the_same_answer_as_a_free_one(tiktok, alice):
    answers = []
    for email in ("nobody@example.com", alice.email, alice.email.upper()):
        browser = Client()
        sign_in(browser)
        answer = give_address(browser, email)
        shown = without_tokens(browser.get(answer.url).content.decode())
        answers.append((answer.status_code, answer.url, shown.lower().replace(email.lower(), "…")))
        SocialAccount.objects.all().delete()

    assert answers[0] == answers[1] == answers[2]
    assert [m.subject for m in mail.outbox if m.to == [alice.email]] == ["Your Broadside account"]
    assert User.objects.filter(email__iexact=alice.email).get() == alice


def test_address_of_somebody_else_is_not_linked_to(client, tiktok, alice):
    sign_in(client)
    give_address(client, alice.email)

    assert not SocialAccount.objects.filter(user=alice).exists()
    assert not is_in(client)


@pytest.mark.parametrize("form", [{"name": "", "email": "n@example.com"}, {"name": "N", "email": "nonsense"}])
def test_bad_sign_up_form_is_shown_again_with_what_was_typed(client, tiktok, form):
    sign_in(client)

    answer = client.post(reverse("socialaccount_signup"), form)

    assert answer.status_code == 200
    assert form["email"] in answer.content.decode()
    assert not User.objects.exists()


def test_two_sign_ups_of_one_tiktok_account_make_one_account(tiktok):
    one, two = Client(), Client()
    sign_in(one)
    sign_in(two)
    give_address(one, "one@example.com")

    answer = give_address(two, "two@example.com")

    assert answer.url == reverse("account_login")
    assert "has an account here already" in two.get(answer.url).content.decode()
    assert User.objects.get().email == "one@example.com"


def test_sign_up_page_without_a_tiktok_answer_leads_to_log_in(client):
    assert client.get(reverse("socialaccount_signup")).url == reverse("account_login")
    assert give_address(client).url == reverse("account_login")


def test_invited_person_who_comes_by_tiktok_joins_and_needs_no_second_mail(client, tiktok, alice, acme):
    invite(actor=alice.memberships.get(), email="nora@example.com", role=Role.EDITOR)
    client.get(re.findall(r"http://testserver(/invitation/\S+)", str(mail.outbox[-1].body))[0])
    sign_in(client)

    give_address(client)

    user = User.objects.get(email="nora@example.com")
    assert [one.workspace for one in user.memberships.all()] == [acme]
    assert is_in(client)


def test_reset_password_drops_a_link_made_before_the_address_was_confirmed(client, tiktok):
    """Somebody opened an account on a stranger's address. The stranger takes it over, and is alone in it."""
    intruder = Client()
    sign_in(intruder)
    give_address(intruder, "victim@example.com")
    client.post(reverse("account_reset_password"), {"email": "victim@example.com"})
    key = urlsplit(re.findall(r"http\S+", mail.outbox[-1].body)[0]).path
    form = client.get(key, follow=True).redirect_chain[-1][0]
    client.post(form, {"password1": "a long new phrase 7", "password2": "a long new phrase 7"})
    EmailAddress.objects.update(verified=True)

    sign_in(intruder)

    assert not is_in(intruder)
    assert not SocialAccount.objects.exists()
    assert events("sign_in_method.unlinked")


# --- Signing in -------------------------------------------------------------------------------------------------------


def test_who_is_linked_is_in_at_once_and_goes_where_they_were_headed(client, tiktok, alice):
    link_to(alice)

    answer = sign_in(client, next="/workspaces/")

    assert answer.url == "/workspaces/"
    assert is_in(client)
    (event,) = events("sign_in")
    assert event.actor_id == alice.pk
    assert event.details == {"steps": ["TikTok"]}


def test_second_step_is_asked_for_after_tiktok(client, tiktok, alice):
    from allauth.mfa.totp.internal.auth import TOTP

    link_to(alice)
    TOTP.activate(alice, "JBSWY3DPEHPK3PXP")

    answer = sign_in(client)

    assert answer.url == reverse("mfa_authenticate")
    assert not is_in(client)


def test_person_who_is_switched_off_is_told_and_stays_out(client, tiktok, alice):
    link_to(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)

    answer = sign_in(client)

    assert answer.url == reverse("account_inactive")
    assert "switched off" in client.get(answer.url).content.decode()
    assert not is_in(client)
    (event,) = events("sign_in.failed")
    assert event.details == {"user_id": str(alice.pk), "reason": "switched off"}


def test_unconfirmed_address_has_to_be_confirmed_first(client, tiktok, alice):
    link_to(alice, verified=False)

    assert sign_in(client).url == reverse("account_email_verification_sent")
    assert not is_in(client)


def test_tiktok_is_asked_for_the_basics_only(client):
    query = leave(client)

    assert query["scope"] == "user.info.basic"
    assert query["client_key"] == "the-key"
    assert query["redirect_uri"] == callback_url()
    assert query["disable_auto_auth"] == "1"


def test_proof_key_is_hex_and_its_verifier_comes_with_the_code(client, tiktok, settings):
    settings.TIKTOK_PKCE = "on"
    provider_for.cache_clear()
    query = leave(client)

    come_back(client, code="a-code", state=query["state"])

    sent = dict(parse_qsl(tiktok.calls[0].request.body.decode()))
    assert hashlib.sha256(sent["code_verifier"].encode()).hexdigest() == query["code_challenge"]
    assert sent["redirect_uri"] == callback_url()


def test_neither_state_nor_verifier_is_readable_in_the_session(client, settings):
    settings.TIKTOK_PKCE = "on"
    provider_for.cache_clear()

    query = leave(client)

    kept = dict(client.session.items())
    (stashed, _, _) = next(iter(kept["socialaccount_states"].values()))
    assert query["state"] not in repr(kept)
    assert len(query["state"]) >= 43
    assert re.fullmatch(r"[0-9a-f]+:gAAAA.*", stashed["sealed_verifier"])


def test_look_at_the_address_starts_nothing(client):
    assert client.get("/accounts/tiktok/login/").url == reverse("account_login")
    assert client.get("/accounts/tiktok/link/").status_code in {302, 405}


def test_start_needs_a_token_of_ours_against_forged_forms():
    assert Client(enforce_csrf_checks=True).post("/accounts/tiktok/login/").status_code == 403


def test_who_is_in_already_is_not_sent_away(client, alice):
    client.force_login(alice)

    assert client.post("/accounts/tiktok/login/").url == reverse("home")


def test_answer_for_a_tab_that_logged_in_meanwhile_changes_nobody(client, tiktok, alice, mallory):
    link_to(mallory)
    state = leave(client)["state"]
    client.post(reverse("account_login"), {"login": alice.email, "password": PASSWORD})

    come_back(client, code="a-code", state=state)

    assert client.get("/profile/").context["user"] == alice


# --- What goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["", "forged", "' OR 1=1 --", "\x00", "é" * 500])
def test_forged_state_is_ignored(client, tiktok, alice, state):
    link_to(alice)
    leave(client)

    answer = come_back(client, code="a-code", state=state)

    assert answer.status_code == 400
    assert "was not started here" in answer.content.decode()
    assert not tiktok.calls
    assert not is_in(client)


def test_state_is_good_once(client, tiktok, alice):
    link_to(alice)
    state = leave(client)["state"]
    come_back(client, code="a-code", state=state)
    client.post(reverse("account_logout"))

    assert come_back(client, code="a-code", state=state).status_code == 400
    assert not is_in(client)


def test_state_of_another_browser_is_ignored(client, tiktok, alice):
    """An intruder may not log a victim's browser in to the intruder's account."""
    link_to(alice)
    state = leave(Client())["state"]

    assert come_back(client, code="a-code", state=state).status_code == 400
    assert not is_in(client)


def test_state_is_over_after_ten_minutes(client, tiktok, alice, monkeypatch):
    import time

    link_to(alice)
    state = leave(client)["state"]
    later = time.time() + 601
    monkeypatch.setattr("allauth.socialaccount.internal.statekit.time.time", lambda: later)

    assert come_back(client, code="a-code", state=state).status_code == 400


def test_state_of_a_connect_is_none_of_a_sign_in(client, tiktok, alice, acme):
    client.force_login(alice)
    answer = client.post("/w/acme/connections/connect/tiktok/")
    state = dict(parse_qsl(urlsplit(answer.url).query))["state"]

    assert come_back(client, code="a-code", state=state).status_code == 400
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"error": "access_denied"}, 200, "You canceled"),
        ({"error": "access_denied", "error_type": "non_sandbox_target"}, 200, "not among the test accounts"),
        ({"error": "server_error"}, 503, "TikTok had a fault"),
        ({"error": "<script>alert(1)</script>"}, 200, "did not let you in"),
        ({}, 400, "makes no sense"),
    ],
)
def test_refusal_by_tiktok_has_a_page_that_says_what_to_do(client, tiktok, query, status, words):
    answer = come_back(client, state=leave(client)["state"], **query)

    page = answer.content.decode()
    assert answer.status_code == status
    assert words in page
    assert "<script>alert" not in page
    assert Page(page).inline_code == []
    assert reverse("account_login") in Page(page).links()


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (requests.ConnectionError("gone"), 503, "could not be reached"),
        (requests.ReadTimeout("slow"), 503, "could not be reached"),
        ({"status": 500, "body": "oops"}, 503, "had a fault"),
        ({"json": flat_error("invalid_grant")}, 400, "its own code back"),
        ({"json": flat_error("invalid_client"), "status": 401}, 503, "credentials"),
        ({"body": "[]"}, 503, "had a fault"),
    ],
)
def test_trouble_with_the_code_has_a_page(client, tiktok, alice, answer, status, words):
    link_to(alice)
    tiktok.remove("POST", TOKEN_URL)
    tiktok.post(TOKEN_URL, **answer) if isinstance(answer, dict) else tiktok.post(TOKEN_URL, body=answer)

    shown = sign_in(client)

    assert shown.status_code == status
    assert words in shown.content.decode()
    assert not is_in(client)
    (event,) = events("sign_in.failed")
    assert event.details["method"] == "TikTok"
    assert event.ip == "127.0.0.1"


def test_token_of_one_account_and_name_of_another_let_nobody_in(client, tiktok, alice):
    link_to(alice)
    tiktok.replace("GET", USER_URL, json=enveloped({"user": {"open_id": "-other", "display_name": "X"}}))

    assert sign_in(client).status_code == 503
    assert not is_in(client)


def test_changed_encryption_key_is_said(client, tiktok, settings):
    from cryptography.fernet import Fernet

    state = leave(client)["state"]
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]

    answer = come_back(client, code="a-code", state=state)

    assert answer.status_code == 503
    assert "encryption key changed" in answer.content.decode()


def test_change_of_mind_is_no_failed_sign_in(client, tiktok):
    come_back(client, state=leave(client)["state"], error="access_denied")

    assert not events("sign_in.failed")


def test_answers_are_taken_only_so_often_from_one_address(client):
    statuses = [come_back(client, code="x", state="forged").status_code for _ in range(31)]

    assert statuses[-1] == 429
    assert set(statuses[:30]) == {400}


# --- Linking ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def alices(client, alice) -> Client:
    """Alice's browser, a moment after she gave her password."""
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=True)
    client.post(reverse("account_login"), {"login": alice.email, "password": PASSWORD})
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


def link(browser):
    return come_back(browser, code="a-code", state=leave(browser, "/accounts/tiktok/link/")["state"])


def unlink(browser, account):
    return browser.post(reverse("socialaccount_connections"), {"account": account.pk})


def test_link_is_made_from_the_profile_and_told_by_mail(alices, alice, tiktok):
    answer = link(alices)

    assert answer.url == reverse("socialaccount_connections")
    assert "You can log in with that TikTok account now." in alices.get(answer.url).content.decode()
    assert SocialAccount.objects.get().user == alice
    assert mail.outbox[-1].to == [alice.email]
    assert "Nora Moves" in mail.outbox[-1].body
    (event,) = events("sign_in_method.linked")
    assert (event.actor_id, event.details) == (alice.pk, {"method": "tiktok"})


def test_link_asks_for_the_password_first(client, alice, tiktok):
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=True)
    client.force_login(alice)

    asked = link(client)
    assert asked.url == reverse("account_reauthenticate")
    assert not SocialAccount.objects.exists()

    client.post(asked.url, {"password": PASSWORD})
    assert SocialAccount.objects.get().user == alice


def test_link_needs_somebody_who_is_in(client):
    assert reverse("account_login") in client.post("/accounts/tiktok/link/").url


def test_account_that_is_linked_elsewhere_stays_there(alices, mallory, tiktok):
    link_to(mallory)

    answer = link(alices)

    assert "linked to another account here" in alices.get(answer.url).content.decode()
    assert SocialAccount.objects.get().user == mallory


def test_link_begun_by_one_person_is_not_finished_by_another(alices, mallory, tiktok):
    state = leave(alices, "/accounts/tiktok/link/")["state"]
    kept = alices.session["socialaccount_states"]
    alices.force_login(mallory)
    session = alices.session
    session["socialaccount_states"] = kept
    session.save()

    assert come_back(alices, code="a-code", state=state).status_code == 400
    assert not SocialAccount.objects.exists()


def test_unlink_is_told_by_mail_and_shuts_the_door(alices, alice, tiktok):
    link(alices)

    unlink(alices, SocialAccount.objects.get())

    assert not SocialAccount.objects.exists()
    assert "can no longer be used" in mail.outbox[-1].body
    assert events("sign_in_method.unlinked")[0].actor_id == alice.pk
    assert sign_in(Client()).url == reverse("socialaccount_signup")


def test_only_way_in_is_kept(client, tiktok, alice):
    account = link_to(alice)
    alice.set_unusable_password()
    alice.save()
    sign_in(client)

    answer = unlink(client, account)

    assert "Set a password first" in answer.content.decode()
    assert SocialAccount.objects.exists()


def test_nobody_unlinks_for_somebody_else(alices, mallory):
    theirs = link_to(mallory)

    unlink(alices, theirs)

    assert SocialAccount.objects.filter(pk=theirs.pk).exists()


def test_person_without_a_password_gets_one_by_mail(client, tiktok, alice):
    link_to(alice)
    alice.set_unusable_password()
    alice.save()

    client.post(reverse("account_reset_password"), {"email": alice.email})

    assert mail.outbox[-1].to == [alice.email]
    assert "/password/reset/key/" in mail.outbox[-1].body


def test_page_of_methods_is_sound(alices, tiktok):
    link(alices)

    page = Page(alices.get(reverse("socialaccount_connections")).content.decode())

    assert page.inline_code == []
    assert page.repeated_ids() == []
    assert page.unlabelled() == []


# --- The switch -------------------------------------------------------------------------------------------------------


def test_buttons_are_there_with_the_switch_on_only(client, alice, settings):
    for is_on in (True, False):
        settings.TIKTOK_SIGN_IN = is_on
        shown = [client.get(path).content.decode() for path in ("/accounts/login/", "/accounts/signup/")]
        assert all(("Continue with TikTok" in page) is is_on for page in shown)
        inside = Client()
        inside.force_login(alice)
        assert ("Sign-in methods" in inside.get("/profile/").content.decode()) is is_on


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(
    "path",
    [
        "/accounts/tiktok/login/",
        "/accounts/tiktok/link/",
        "/accounts/tiktok/callback/",
        "/accounts/tiktok/signup/",
        "/accounts/sign-in-methods/",
        "/accounts/3rdparty/",
        "/accounts/3rdparty/login/error/",
        "/accounts/social/connections/",
        "/accounts/tiktok/login/callback/",
    ],
)
def test_no_door_is_there_with_the_switch_off(client, alice, settings, method, path):
    settings.TIKTOK_SIGN_IN = False
    client.force_login(alice)

    assert getattr(client, method)(path).status_code == 404


def test_admin_offers_no_place_for_secrets_and_tokens(alice, client):
    operator = User.objects.create_superuser("op@example.com", "an operator's secret")
    client.force_login(operator)

    assert client.get("/admin/socialaccount/socialapp/").status_code == 404
    assert client.get("/admin/socialaccount/socialtoken/").status_code == 404
    assert client.get("/admin/socialaccount/socialaccount/").status_code == 200
    assert client.get("/admin/socialaccount/socialaccount/add/").status_code == 403
