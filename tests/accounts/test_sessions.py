"""The list of sessions, and ending those elsewhere."""

from __future__ import annotations

import pytest
from allauth.usersessions.models import UserSession
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.templatetags.signin import browser_name
from tests.accounts.conftest import PASSWORD
from tests.accounts.pages import Page

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.0 Mobile/15E148 Safari/604.1"
)


def log_in(email="alice@example.com", agent=FIREFOX) -> Client:
    browser = Client(HTTP_USER_AGENT=agent)
    browser.post(reverse("account_login"), {"login": email, "password": PASSWORD})
    return browser


@pytest.mark.django_db
def test_sessions_are_listed_with_what_tells_them_apart(alice):
    here, _ = log_in(), log_in(agent=IPHONE)

    html = here.get(reverse("usersessions_list")).content.decode()

    assert "Firefox on Linux" in html
    assert "Safari on iPhone" in html
    assert html.count("This browser") == 1
    assert "127.0.0.1" in html
    assert Page(html).inline_code == []


@pytest.mark.django_db
def test_other_sessions_are_ended_and_this_one_stays(alice):
    here, there = log_in(), log_in(agent=IPHONE)

    answer = here.post(reverse("usersessions_list"), follow=True)

    assert "All your other sessions are logged out." in answer.content.decode()
    assert there.get("/profile/").status_code == 302
    assert here.get("/profile/").status_code == 200


@pytest.mark.django_db
def test_ending_touches_nobody_elses_sessions(alice, mallory):
    here, theirs = log_in(), log_in("mallory@example.com")

    here.post(reverse("usersessions_list"))

    assert theirs.get("/profile/").status_code == 200


def row_of(browser) -> UserSession:
    return UserSession.objects.get(session_key=browser.session.session_key)


def end(browser, row):
    return browser.post(reverse("session_end", args=[row.pk]), follow=True)


@pytest.mark.django_db
def test_one_other_session_is_ended_and_the_rest_stay(alice, acme):
    here, phone, desk = log_in(), log_in(agent=IPHONE), log_in()

    answer = end(here, row_of(phone))

    assert "Safari on iPhone is logged out." in answer.content.decode()
    assert phone.get("/profile/").status_code == 302
    assert here.get("/profile/").status_code == 200
    assert desk.get("/profile/").status_code == 200
    event = AuditEvent.objects.get(action="session.ended", workspace_id=acme.pk)
    assert (event.actor_id, event.ip) == (alice.pk, "127.0.0.1")
    assert event.details == {"browser": "Safari on iPhone", "last_ip": "127.0.0.1"}


@pytest.mark.django_db
def test_each_other_session_has_its_button(alice):
    here, phone = log_in(), log_in(agent=IPHONE)

    page = Page(here.get(reverse("usersessions_list")).content.decode())

    actions = [form.get("action") for form in page.all("form")]
    assert reverse("session_end", args=[row_of(phone).pk]) in actions
    assert reverse("session_end", args=[row_of(here).pk]) not in actions


@pytest.mark.django_db
def test_nobody_ends_the_session_of_somebody_else(alice, mallory):
    here, theirs = log_in(), log_in("mallory@example.com")

    assert end(here, row_of(theirs)).status_code == 404
    assert theirs.get("/profile/").status_code == 200


@pytest.mark.django_db
def test_own_session_is_not_ended_from_the_list(alice):
    here = log_in()

    assert "That is this browser." in end(here, row_of(here)).content.decode()
    assert here.get("/profile/").status_code == 200


@pytest.mark.django_db
def test_session_that_is_gone_already_answers_404(alice):
    here, phone = log_in(), log_in(agent=IPHONE)
    row = row_of(phone)
    end(here, row)

    assert end(here, row).status_code == 404


@pytest.mark.django_db
def test_ending_a_session_takes_a_post(alice):
    here, phone = log_in(), log_in(agent=IPHONE)

    assert here.get(reverse("session_end", args=[row_of(phone).pk])).status_code == 405
    assert phone.get("/profile/").status_code == 200


@pytest.mark.django_db
def test_only_session_offers_nothing_to_end(alice):
    html = log_in().get(reverse("usersessions_list")).content.decode()

    assert "You are logged in nowhere else." in html
    assert "Log out all others" not in html


@pytest.mark.django_db
def test_changed_password_ends_other_sessions(alice):
    here, there = log_in(), log_in(agent=IPHONE)
    here.post(reverse("account_reauthenticate"), {"password": PASSWORD})

    new = "another long phrase 7"
    here.post(
        reverse("account_change_password"), {"oldpassword": PASSWORD, "password1": new, "password2": new}
    )

    assert there.get("/profile/").status_code == 302
    assert here.get("/profile/").status_code == 200


@pytest.mark.django_db
def test_session_that_began_before_it_was_listed_can_be_ended_too(alice):
    here, there = log_in(), Client()
    there.force_login(alice)
    UserSession.objects.exclude(session_key=here.session.session_key).delete()
    there.get("/profile/")

    here.post(reverse("usersessions_list"))

    assert there.get("/profile/").status_code == 302


@pytest.mark.django_db
def test_use_is_noted_every_few_minutes_only(alice, django_assert_num_queries):
    browser = log_in()
    browser.get("/profile/")
    first = UserSession.objects.get()

    browser.get("/profile/")
    assert UserSession.objects.get().last_seen_at == first.last_seen_at

    cache.clear()
    browser.get("/profile/")
    assert UserSession.objects.get().last_seen_at > first.last_seen_at


@pytest.mark.django_db
def test_health_check_with_a_cookie_looks_at_no_session(alice, django_assert_num_queries):
    browser = log_in()

    with django_assert_num_queries(0):
        assert browser.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (IPHONE, "Safari on iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.0", "A browser"),
        ("", "A browser"),
    ],
)
def test_browser_is_named(agent, words):
    assert browser_name(agent) == words
