"""A backup in the hands of somebody who has no keys: nothing in it opens, and nothing in it lets them in.

A real dump is restored into another database and opened with other keys, as a thief would; then every value in it is
tried against the running product.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import Invitation, User
from config.startup import refuse_insecure_start
from connections.crypto import DecryptionError, open_sealed, seal
from connections.keys import encrypted_columns
from connections.models import OAuthRequest
from connections.second_factors import SECRETS, MFAAdapter
from tests.connections.conftest import begin
from tests.leaks import (
    Secrets,
    database_url,
    dump_database,
    learn_settings,
    live_with_secrets,
    postgres_program,
)
from tests.publishing.conftest import make_connection, make_delivery, make_video  # noqa: F401  # fixtures

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]
COOKIE = django_settings.SESSION_COOKIE_NAME
STOLEN = "stolen"


@pytest.fixture
def secrets(
    acme,
    alice,
    erin,
    vic,
    make_delivery,  # noqa: F811
) -> Secrets:
    """Everything that could open a door, in use: sessions, second steps, links on their way, tokens."""
    known = Secrets()
    browser = live_with_secrets(known, workspace=acme, owner=alice, settling=erin, forgetful=vic)
    known.learn("oauth state", begin(browser, acme)["state"])
    delivery = make_delivery(acme)
    delivery.upload_url = seal(
        delivery, "upload_url", "https://upload.example/v/?upload_token=a-token-of-its-own"
    )
    delivery.save()
    known.learn("upload url", open_sealed(delivery, "upload_url"))
    known.learn("access token", open_sealed(delivery.connection, "access_token"))
    known.learn("refresh token", open_sealed(delivery.connection, "refresh_token"))
    known.learn("pkce verifier", open_sealed(OAuthRequest.objects.get(), "code_verifier"))
    learn_settings(known)
    return known


@pytest.fixture
def stolen(secrets) -> Iterator[str]:
    """The name of a database into which a dump of the product's was restored."""
    dump = dump_database("--format=custom")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {STOLEN}")
    try:
        command: list[str | Path] = [
            postgres_program("pg_restore"),
            "--no-owner",
            "--exit-on-error",
            "-d",
            database_url(STOLEN),
        ]
        subprocess.run(command, input=dump, check=True, capture_output=True)
        yield STOLEN
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {STOLEN} WITH (FORCE)")


@contextmanager
def _thieves_place(settings, name: str) -> Iterator[None]:
    """Our code on the stolen database, with keys of the thief's."""
    own = connection.settings_dict["NAME"], settings.ENCRYPTION_KEYS, settings.SECRET_KEY
    connection.close()
    connection.settings_dict["NAME"] = name
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    settings.SECRET_KEY = "the thief's own secret key, long enough to start a site with"
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"], settings.ENCRYPTION_KEYS, settings.SECRET_KEY = own


def _every_text() -> set[str]:
    """Every text in every column of the database that is open now."""
    found: set[str] = set()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
            "AND data_type IN ('text', 'character varying', 'jsonb')"
        )
        for table, column in cursor.fetchall():
            cursor.execute(f'SELECT DISTINCT "{column}"::text FROM "{table}" WHERE "{column}" IS NOT NULL')  # noqa: S608
            found.update(row[0] for row in cursor.fetchall())
    return found


def test_no_secret_is_to_be_read_in_a_dump(secrets):
    dump = dump_database("--inserts").decode()

    assert secrets.count("session") == 3
    assert secrets.count("recovery code") == 10
    assert "nora@example.com" in dump
    assert secrets.found_in(dump) == []


def test_a_restored_backup_opens_nothing_without_the_keys(stolen, settings):
    with _thieves_place(settings, stolen):
        opened, refused = [], 0
        for column in encrypted_columns():
            for row in column.model._base_manager.exclude(**{column.field: ""}):
                with pytest.raises(DecryptionError):
                    open_sealed(row, column.field)
                refused += 1
        for factor in Authenticator.objects.all():
            for name in SECRETS:
                if sealed := factor.data.get(name):
                    with pytest.raises(DecryptionError):
                        MFAAdapter().decrypt(sealed)
                    refused += 1
        opened = [row.get_decoded() for row in Session.objects.all()]
        with pytest.raises(SystemExit, match=r"connections\.E002"):
            refuse_insecure_start()

    assert refused == 6  # a token pair, an upload URL, a verifier, an app's secret, the recovery codes' seed
    assert opened == [{}] * 3


def test_nothing_in_a_backup_is_a_session_of_the_running_product(stolen, settings):
    with _thieves_place(settings, stolen):
        loot = _every_text()
    assert len(loot) > 50

    for value in loot:
        thief = Client()
        thief.cookies[COOKIE] = value
        try:
            answer = thief.get("/profile/")
        except ValueError:  # no cookie can look like this
            continue
        assert answer.status_code == 302, value


def test_no_link_can_be_made_from_a_backup(stolen, settings, alice):
    with _thieves_place(settings, stolen):
        hashes = list(Invitation.objects.values_list("token_hash", flat=True))
        hashes += OAuthRequest.objects.values_list("state_hash", flat=True)
        forged = [default_token_generator.make_token(user) for user in User.objects.all()]
        owner = user_pk_to_url_str(User.objects.get(pk=alice.pk))

    assert len(hashes) == 2
    for value in hashes:
        thief = Client()
        assert thief.get(reverse("invitation_open", args=[value]), follow=True).status_code == 404
        browser = Client()
        browser.force_login(alice)
        answer = browser.get("/connections/tiktok/callback/", {"state": value, "code": "any-code"})
        assert answer.status_code == 400
    for token in forged:
        page = Client().get(reverse("account_reset_password_from_key", args=[owner, token]), follow=True)
        assert "This link no longer works" in page.content.decode()


def test_the_owner_with_the_keys_gets_everything_back(stolen, settings, secrets):
    keys, key = settings.ENCRYPTION_KEYS, settings.SECRET_KEY
    with _thieves_place(settings, stolen):
        settings.ENCRYPTION_KEYS, settings.SECRET_KEY = keys, key
        opened = {
            open_sealed(row, column.field)
            for column in encrypted_columns()
            for row in column.model._base_manager.exclude(**{column.field: ""})
        }
        browser = Client()
        browser.cookies[COOKIE] = next(v for name, v in secrets.known.items() if name.startswith("session "))
        assert browser.get("/profile/").status_code == 200

    assert opened <= set(secrets.known.values())
    assert len(opened) == 4
