"""Secrets at rest: sealed, bound to their place, and in the charge of keys that are known to be right."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core import checks, serializers
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection as database

from connections import keys
from connections.checks import encryption_keys_are_well_formed, encryption_keys_open_what_is_stored
from connections.crypto import DecryptionError, Keyring, Sealed, key_id, keyring, open_sealed, seal
from connections.keys import encrypted_columns, key_health, rotate
from connections.models import OAuthRequest, SocialConnection
from publishing.models import Delivery

ACCESS = next(column for column in encrypted_columns() if column.field == "access_token")


@pytest.fixture
def new_key(settings):
    """Put a new key before the present one."""
    key = Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [key, *settings.ENCRYPTION_KEYS]
    return key


@pytest.mark.django_db
def test_a_sealed_value_opens_only_in_its_row_and_column(acme, make_connection):
    row, other = make_connection(acme), make_connection(acme)

    other.access_token = row.access_token
    with pytest.raises(DecryptionError, match="another row or column"):
        open_sealed(other, "access_token")
    row.refresh_token = row.access_token
    with pytest.raises(DecryptionError, match="another row or column"):
        open_sealed(row, "refresh_token")
    assert open_sealed(row, "access_token") == "act.old-access"


@pytest.mark.django_db
def test_a_ciphertext_moved_in_the_database_gives_no_token(acme, make_connection):
    from connections.errors import ConfigurationError
    from connections.tokens import fresh_access_token

    row, other = make_connection(acme), make_connection(acme)
    SocialConnection.objects.filter(pk=other.pk).update(access_token=row.access_token)

    with pytest.raises(ConfigurationError):
        fresh_access_token(other)


@pytest.mark.django_db
def test_an_altered_value_does_not_open(acme, make_connection):
    row = make_connection(acme)
    text = str(row.access_token)
    row.access_token = Sealed(text[:40] + ("A" if text[40] != "A" else "B") + text[41:])

    with pytest.raises(DecryptionError, match="altered"):
        open_sealed(row, "access_token")


@pytest.mark.django_db
def test_a_plain_value_cannot_be_stored(acme, make_connection):
    row = make_connection(acme)
    row.access_token = "act.plain"

    with pytest.raises(TypeError, match="sealed"):
        row.save()


@pytest.mark.django_db
def test_an_object_shows_no_secret(acme, make_connection):
    row = SocialConnection.objects.get(pk=make_connection(acme).pk)

    shown = repr(row) + str(row) + repr(row.__dict__) + repr(row.access_token)

    assert "act." not in shown
    assert str(row.access_token) not in shown


@pytest.mark.django_db
def test_a_dump_holds_only_ciphertexts(acme, make_connection):
    make_connection(acme)

    dumped = serializers.serialize("json", SocialConnection.objects.all())

    assert "old-access" not in dumped
    assert json.loads(dumped)[0]["fields"]["access_token"].split(":")[1].startswith("gAAAA")


@pytest.mark.parametrize(
    "keys", [[], ["short"], ["not base64 !!"], [Fernet.generate_key().decode(), "x" * 44]]
)
def test_missing_or_malformed_keys_are_refused_without_showing_them(keys, settings):
    settings.ENCRYPTION_KEYS = keys

    with pytest.raises(ImproperlyConfigured) as caught:
        Keyring(keys)
    (error,) = encryption_keys_are_well_formed()

    assert error.id == "connections.E001"
    assert not any(key in str(caught.value) + error.msg for key in keys)
    assert key_health().problem


def test_a_ring_shows_ids_and_no_keys():
    key = Fernet.generate_key().decode()

    assert repr(Keyring([key])) == f"<Keyring {key_id(key)}>"


@pytest.mark.django_db
def test_a_wrong_key_is_found_by_the_database_check(acme, make_connection, settings):
    row = make_connection(acme)
    assert encryption_keys_open_what_is_stored(databases=["default"]) == []
    used = str(row.access_token).partition(":")[0]
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]

    (error,) = encryption_keys_open_what_is_stored(databases=["default"])

    assert error.id == "connections.E002"
    assert f"social_connections.access_token holds a value that does not open: key {used}" in error.msg
    assert encryption_keys_open_what_is_stored() == []


UNSEALED = [
    pytest.param(lambda good: "act.plaintext-of-old", id="never sealed"),
    pytest.param(lambda good: f"ab:{good}", id="something before it"),
    pytest.param(lambda good: good[:5], id="cut in the key id"),
    pytest.param(lambda good: f"00000000{good[8:]}", id="another key id"),
]
DAMAGED = [
    pytest.param(lambda good: good[:9], id="cut after the key id"),
    pytest.param(lambda good: good[:40], id="cut in the middle"),
    pytest.param(lambda good: good[:-4], id="cut at the end"),
    pytest.param(lambda good: f"{good[:9]}é{good[10:]}", id="letters beyond ASCII"),
]


@pytest.fixture
def put_in_place(acme, make_connection):
    """Write another text where a token was sealed; return the row. A newer row is whole."""

    def put(text_for):
        row = make_connection(acme)
        make_connection(acme)
        SocialConnection.objects.filter(pk=row.pk).update(
            access_token=Sealed(text_for(str(row.access_token)))
        )
        row.refresh_from_db()
        return row

    return put


@pytest.mark.django_db
@pytest.mark.parametrize("text_for", UNSEALED + DAMAGED)
def test_what_stands_in_place_of_a_sealed_value_does_not_open_and_is_not_shown(put_in_place, text_for):
    row = put_in_place(text_for)

    with pytest.raises(DecryptionError) as caught:
        open_sealed(row, "access_token")

    health = key_health()
    assert "act." not in f"{caught.value} {health}"
    assert sum(health.rows["social_connections.access_token"].values()) == 2


@pytest.mark.django_db
@pytest.mark.parametrize("text_for", UNSEALED)
def test_what_was_not_sealed_with_a_known_key_is_found_at_the_start(put_in_place, text_for):
    put_in_place(text_for)

    (error,) = encryption_keys_open_what_is_stored(databases=["default"])

    assert error.id == "connections.E002"
    assert "social_connections.access_token holds a value that does not open" in error.msg
    assert rotate(ACCESS, dry_run=True).unreadable == 1


@pytest.mark.django_db
def test_the_checks_are_registered(acme, make_connection, settings):
    make_connection(acme)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]

    found = {message.id for message in checks.run_checks(databases=["default"])}

    assert "connections.E002" in found


@pytest.mark.django_db
def test_the_health_counts_rows_by_key_and_column(acme, make_connection, new_key, settings):
    make_connection(acme)
    new, old = (key_id(key) for key in settings.ENCRYPTION_KEYS)
    settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[1:]
    make_connection(acme)
    settings.ENCRYPTION_KEYS = [new_key, *settings.ENCRYPTION_KEYS]

    health = key_health()

    assert health.is_ok
    assert health.key_ids == (new, old)
    assert health.rows["social_connections.access_token"] == {new: 1, old: 1}
    assert health.rows["oauth_requests.code_verifier"] == {}
    assert health.outdated == 2


def test_every_encrypted_column_is_covered():
    assert {(column.model, column.field) for column in encrypted_columns()} >= {
        (SocialConnection, "access_token"),
        (SocialConnection, "refresh_token"),
        (OAuthRequest, "code_verifier"),
        (Delivery, "upload_url"),
    }


@pytest.mark.django_db
def test_rotating_moves_everything_to_the_first_key_so_that_the_old_one_can_go(
    acme, make_connection, settings
):
    rows = [make_connection(acme) for _ in range(5)]
    new = Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, *settings.ENCRYPTION_KEYS]
    out = StringIO()

    call_command("rotate_encryption_keys", batch=2, stdout=out)

    settings.ENCRYPTION_KEYS = [new]
    rows[4].refresh_from_db()
    assert open_sealed(rows[4], "access_token") == "act.old-access"
    assert open_sealed(rows[4], "refresh_token") == "rft.old-refresh"
    assert key_health().outdated == 0
    assert "social_connections.access_token: 4 of 5" in out.getvalue()
    assert "social_connections.access_token: 5 re-encrypted" in out.getvalue()
    assert new not in out.getvalue()


@pytest.mark.django_db
def test_rotating_again_finds_nothing_to_do(acme, make_connection, settings):
    make_connection(acme)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]
    assert rotate(ACCESS).done == 1

    again = rotate(ACCESS)
    assert (again.total, again.already, again.done) == (1, 1, 0)


@pytest.mark.django_db
def test_a_rotation_that_was_stopped_goes_on_where_it_was(acme, make_connection, settings, monkeypatch):
    monkeypatch.setattr("connections.keys.BATCH", 1)
    for _ in range(3):
        make_connection(acme)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]

    def stop(result):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate(ACCESS, on_progress=stop)

    result = rotate(ACCESS)
    assert (result.total, result.already, result.done) == (3, 1, 2)


@pytest.mark.django_db
def test_a_token_refreshed_during_the_rotation_is_not_overwritten(
    acme, make_connection, settings, monkeypatch
):
    row = make_connection(acme)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]

    def refresh_between_read_and_write(instance, field):
        SocialConnection.objects.filter(pk=row.pk).update(
            access_token=seal(row, "access_token", "act.refreshed-meanwhile")
        )
        return open_sealed(instance, field)

    monkeypatch.setattr("connections.keys.open_sealed", refresh_between_read_and_write)

    result = rotate(ACCESS)

    row.refresh_from_db()
    assert (result.done, result.overtaken) == (0, 1)
    assert open_sealed(row, "access_token") == "act.refreshed-meanwhile"


@pytest.mark.django_db
def test_two_rotations_at_once_do_the_work_once_and_every_value_opens(
    acme, make_connection, settings, monkeypatch
):
    rows = [make_connection(acme) for _ in range(5)]
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]
    second = []
    read = keys._open_batch

    def read_and_be_overtaken(batch, field, result):
        opened = read(batch, field, result)
        if result.done and not second:
            second.append(None)
            second[0] = rotate(ACCESS, batch_rows=2)
        return opened

    monkeypatch.setattr(keys, "_open_batch", read_and_be_overtaken)
    first = rotate(ACCESS, batch_rows=2)

    assert (first.done, first.overtaken, second[0].done) == (2, 2, 3)
    assert key_health().rows["social_connections.access_token"] == {keyring().primary_id: 5}
    for row in rows:
        row.refresh_from_db()
        assert open_sealed(row, "access_token").startswith("act.")


@pytest.mark.django_db
def test_a_dry_run_counts_and_writes_nothing(acme, make_connection, settings):
    row = make_connection(acme)
    before = str(row.access_token)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]
    out = StringIO()

    call_command("rotate_encryption_keys", "--dry-run", stdout=out)

    row.refresh_from_db()
    assert str(row.access_token) == before
    assert "social_connections.access_token: 1 to re-encrypt" in out.getvalue()


@pytest.mark.django_db
def test_a_value_that_does_not_open_is_left_and_reported(acme, make_connection, settings):
    lost, kept = make_connection(acme), make_connection(acme)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]
    SocialConnection.objects.filter(pk=lost.pk).update(access_token=kept.access_token)

    with pytest.raises(CommandError, match="1 stored values do not open"):
        call_command("rotate_encryption_keys", stdout=StringIO())

    with database.cursor() as cursor:
        cursor.execute("SELECT access_token FROM social_connections WHERE id = %s", [lost.pk])
        assert cursor.fetchone()[0] == str(kept.access_token)
    kept.refresh_from_db()
    assert str(kept.access_token).startswith(key_id(settings.ENCRYPTION_KEYS[0]))


def test_rotating_without_keys_says_what_is_missing(settings):
    settings.ENCRYPTION_KEYS = []

    with pytest.raises(CommandError, match="ENCRYPTION_KEYS is not set"):
        call_command("rotate_encryption_keys", stdout=StringIO())
