"""What the database keeps of a session opens none, and tells nothing of what is in it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from django.db import connection as database
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.sessions import SessionStore, StoredKey, stored
from accounts.tasks import forget_expired_sessions
from tests.accounts.conftest import PASSWORD

pytestmark = pytest.mark.django_db
COOKIE = django_settings.SESSION_COOKIE_NAME


@pytest.fixture
def here(alice) -> Client:
    """Alice's browser, logged in with her password."""
    browser = Client()
    browser.post(reverse("account_login"), {"login": alice.email, "password": PASSWORD})
    return browser


def _columns(table: str) -> str:
    with database.cursor() as cursor:
        cursor.execute(f"SELECT t::text FROM {table} t")  # noqa: S608  # the test's own names
        return "\n".join(row[0] for row in cursor.fetchall())


def test_the_cookie_stands_in_no_table(here):
    cookie = here.cookies[COOKIE].value

    assert cookie not in _columns("django_session")
    assert cookie not in _columns("usersessions_usersession")
    assert Session.objects.count() == UserSession.objects.count() == 1


@pytest.mark.parametrize("table", ["django_session", "usersessions_usersession"])
def test_what_the_database_holds_is_no_cookie(here, table):
    with database.cursor() as cursor:
        cursor.execute(f"SELECT session_key FROM {table}")  # noqa: S608  # the test's own names
        (key,) = cursor.fetchone()
    thief = Client()
    thief.cookies[COOKIE] = key

    assert thief.get("/profile/").status_code == 302
    assert here.get("/profile/").status_code == 200


def test_the_data_of_a_session_do_not_stand_there_in_the_clear(here):
    session = here.session
    session["mfa.totp.secret"] = "JBSWY3DPEHPK3PXP"
    session.save()

    row = Session.objects.get()
    assert "JBSWY3DPEHPK3PXP" not in str(row.get_decoded())
    assert "JBSWY3DPEHPK3PXP" not in row.session_data
    assert SessionStore(here.cookies[COOKIE].value)["mfa.totp.secret"] == "JBSWY3DPEHPK3PXP"


def test_data_moved_to_another_session_are_nothing(here, mallory):
    theirs = Client()
    theirs.force_login(mallory)
    mine = Session.objects.get(session_key=str(stored(here.cookies[COOKIE].value)))
    Session.objects.filter(session_key=str(stored(theirs.cookies[COOKIE].value))).update(
        session_data=mine.session_data
    )

    assert theirs.get("/profile/").status_code == 302


def test_altered_data_end_the_session_without_an_error(here):
    Session.objects.update(session_data="gAAAA-no-such-token")

    assert here.get("/profile/").status_code == 302


def test_another_secret_key_opens_no_session_unless_the_old_one_is_a_fallback(here, settings):
    old, settings.SECRET_KEY = (
        settings.SECRET_KEY,
        "a wholly different secret key, long enough for anybody's taste",
    )

    assert SessionStore(here.cookies[COOKIE].value).load() == {}
    settings.SECRET_KEY_FALLBACKS = [old]
    assert SessionStore(here.cookies[COOKIE].value).load() != {}


def test_a_stored_key_equals_the_key_that_it_was_made_from_and_nothing_else():
    key = stored("abcdefgh12345678")

    assert key == "abcdefgh12345678"
    assert key != "abcdefgh12345679"
    assert key != str(key)
    assert key == StoredKey(str(key))
    assert stored(key) is key
    assert len({key, stored("abcdefgh12345678")}) == 1


def test_a_session_that_was_logged_out_is_gone_from_the_table(here):
    here.post(reverse("account_logout"))

    assert not Session.objects.exists()
    assert here.get("/profile/").status_code == 302


def test_logging_in_again_in_the_same_browser_lists_one_session(here, alice):
    here.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    here.get("/profile/")

    assert UserSession.objects.filter(user=alice).count() == 1


def test_the_asynchronous_doors_store_the_same():
    async def walk() -> str:
        store = SessionStore()
        await store.aset("answer", 42)
        await store.asave()
        key = str(store.session_key)
        assert await store.aexists(key)
        assert await SessionStore(key).aget("answer") == 42
        return key

    key = async_to_sync(walk)()
    assert Session.objects.get().session_key == str(stored(key)) != key
    async_to_sync(SessionStore(key).adelete)()
    assert not Session.objects.exists()


def test_what_is_over_is_forgotten_and_the_rest_stays(here, mallory):
    over = Client()
    over.post(reverse("account_login"), {"login": mallory.email, "password": PASSWORD})
    key = str(stored(over.cookies[COOKIE].value))
    Session.objects.filter(session_key=key).update(expire_date=timezone.now() - timedelta(minutes=1))

    assert forget_expired_sessions() == 2

    assert here.get("/profile/").status_code == 200
    assert Session.objects.count() == UserSession.objects.count() == 1
    assert forget_expired_sessions() == 0
