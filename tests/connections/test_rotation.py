"""Moving to a new encryption key while the product works: locks, kills, new fields, and who tells how far it is."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from io import StringIO

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from cryptography.fernet import Fernet
from django.apps import apps as django_apps
from django.core.management import CommandError, call_command
from django.db import connection as database
from django.db import models, transaction
from django.test.utils import isolate_apps
from django.utils import timezone

from config.doctor.findings import Level
from config.doctor.setup import check_system
from connections import keys
from connections.crypto import EncryptedTextField, key_id, open_sealed, seal
from connections.keys import encrypted_columns, key_health, outdated_values, rotate
from connections.models import OAuthRequest, SocialConnection
from connections.second_factors import MFAAdapter
from tests.publishing.conftest import make_delivery, make_video  # noqa: F401  # fixtures
from tests.publishing.processes import ROOT

ACCESS = next(column for column in encrypted_columns() if column.field == "access_token")


@pytest.fixture
def new_key(settings):
    """Return a function that puts a new key before the present ones."""

    def add() -> str:
        key = Fernet.generate_key().decode()
        settings.ENCRYPTION_KEYS = [key, *settings.ENCRYPTION_KEYS]
        return key

    return add


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(90)
def test_a_rotation_killed_in_the_middle_goes_on_where_it_was(acme, make_connection, process_env, settings):
    first = make_connection(acme)
    _copy(first, 600)
    old = settings.ENCRYPTION_KEYS[0]
    new = Fernet.generate_key().decode()
    env = process_env | {"ENCRYPTION_KEYS": f"{new},{old}"}
    command = [sys.executable, "manage.py", "rotate_encryption_keys", "--batch", "2"]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        next(line for line in process.stdout if " of 601" in line)
        process.kill()
    settings.ENCRYPTION_KEYS = [new, old]
    moved = key_health().rows["social_connections.access_token"]
    assert process.returncode == -9
    assert 0 < moved[key_id(new)] < 601
    assert key_health().is_ok

    again = subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True)

    settings.ENCRYPTION_KEYS = [new]
    progress = [line for line in again.stdout.splitlines() if "access_token" in line and " of 601" in line]
    shown = int(progress[0].split(": ")[1].split()[0])
    assert moved[key_id(new)] < shown <= moved[key_id(new)] + 2
    assert progress[-1].split(": ")[1].startswith("601 of 601")
    assert key_health().is_ok
    assert outdated_values() == 0
    opened = {open_sealed(row, "access_token") for row in SocialConnection.objects.all()}
    assert opened == {"act.old-access"}


def _copy(row: SocialConnection, count: int) -> None:
    copies = []
    for number in range(count):
        copy = SocialConnection(
            workspace_id=row.workspace_id, provider="tiktok", provider_account_id=f"copy-{number}"
        )
        copy.access_token = seal(copy, "access_token", "act.old-access")
        copies.append(copy)
    SocialConnection.objects.bulk_create(copies)


@pytest.mark.django_db(transaction=True)
def test_a_row_that_somebody_holds_stops_none_of_the_others(acme, make_connection, new_key):
    held, *_ = (make_connection(acme) for _ in range(4))
    new_key()
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            SocialConnection.objects.select_for_update().get(pk=held.pk)
            is_held.set()
            may_go.wait(20)
        database.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert is_held.wait(20)
    seen = []

    def on_progress(result: keys.Rotation) -> None:
        seen.append((result.done, result.handled))
        may_go.set()

    result = rotate(ACCESS, on_progress=on_progress)

    holder.join(20)
    assert seen[0] == (3, 3)
    assert (result.done, result.overtaken) == (4, 0)
    assert outdated_values() == 4  # the refresh tokens, which this was not about
    assert all(open_sealed(row, "access_token") == "act.old-access" for row in SocialConnection.objects.all())


@pytest.mark.django_db
def test_every_kind_of_stored_secret_is_moved(
    acme,
    alice,
    make_connection,
    make_delivery,  # noqa: F811
    settings,
    new_key,
):
    row = make_connection(acme)
    delivery = make_delivery(acme, connection=row)
    delivery.upload_url = seal(delivery, "upload_url", "https://upload.example/?upload_token=x")
    delivery.save()
    request = OAuthRequest(
        workspace=acme, user=alice, provider="tiktok", state_hash="s", expires_at=timezone.now()
    )
    request.code_verifier = seal(request, "code_verifier", "verifier")
    request.save()
    secret = MFAAdapter().encrypt("JBSWY3DPEHPK3PXP")
    Authenticator.objects.create(user=alice, type=Authenticator.Type.TOTP, data={"secret": secret})
    RecoveryCodes.activate(alice)
    filled = {name for name, counts in key_health().rows.items() if counts}
    assert filled == {"mfa_authenticator.data", *map(str, encrypted_columns())}, (
        "fill the new column here too"
    )
    new = new_key()
    assert outdated_values() == 6

    call_command("rotate_encryption_keys", stdout=StringIO())

    settings.ENCRYPTION_KEYS = [new]
    assert outdated_values() == 0
    assert key_health().is_ok
    assert {key for counts in key_health().rows.values() for key in counts} == {key_id(new)}


@pytest.mark.django_db(transaction=True)
def test_a_new_sealed_field_is_covered_without_a_word(settings, new_key, monkeypatch):
    with isolate_apps("connections") as apps:

        class Webhook(models.Model):  # noqa: DJ008  # gone in a moment
            id = models.BigAutoField(primary_key=True)
            signing_secret = EncryptedTextField(null=True, db_column="secret")

            class Meta:
                app_label = "connections"

    monkeypatch.setattr(keys, "apps", apps)
    with database.schema_editor() as editor:
        editor.create_model(Webhook)
    try:
        row = Webhook.objects.create(pk=7)
        row.signing_secret = seal(row, "signing_secret", "whsec-1")
        row.save()
        Webhook.objects.create(pk=8)
        new = new_key()
        assert outdated_values() == 1

        call_command("rotate_encryption_keys", stdout=StringIO())

        settings.ENCRYPTION_KEYS = [new]
        row.refresh_from_db()
        assert open_sealed(row, "signing_secret") == "whsec-1"
    finally:
        with database.schema_editor() as editor:
            editor.delete_model(Webhook)


def test_no_text_column_named_like_a_secret_is_stored_open():
    """A secret in a field of another type would be readable, and be left behind by a rotation. Hashes are no secret."""
    named_like_one = re.compile("token|secret|verifier|upload_url")
    covered = {(column.model._meta.db_table, column.field) for column in encrypted_columns()}
    found = {
        (model._meta.db_table, field.name)
        for model in django_apps.get_models()
        if model.__module__.split(".")[0] in {"accounts", "connections", "publishing", "config"}
        for field in model._meta.local_concrete_fields
        if isinstance(field, models.CharField | models.TextField)
        and named_like_one.search(field.name)
        and not field.name.endswith("_hash")
    }

    assert found == covered


@pytest.mark.django_db
def test_the_doctor_tells_how_many_values_still_need_an_old_key(acme, make_connection, new_key):
    make_connection(acme)
    assert not any("old key" in finding.text for finding in check_system())
    new_key()

    (finding,) = [finding for finding in check_system() if "old key" in finding.text]

    assert finding.text == "2 stored values are still under an old key. (connections.I001)"
    assert finding.level == Level.NOTE
    assert "manage.py rotate_encryption_keys" in finding.advice


@pytest.mark.django_db
def test_the_metrics_tell_it_too(client, acme, make_connection, new_key, settings):
    settings.METRICS_TOKEN = "a-token-for-the-monitor"
    make_connection(acme)

    def read() -> list[str]:
        page = client.get("/metrics", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"})
        return [line for line in page.content.decode().splitlines() if "under_old_keys" in line]

    assert "broadside_secrets_under_old_keys 0.0" in read()
    new_key()
    assert "broadside_secrets_under_old_keys 2.0" in read()


@pytest.mark.django_db
def test_batches_of_nothing_are_refused():
    with pytest.raises(CommandError, match="--batch must be 1 or more"):
        call_command("rotate_encryption_keys", batch=0, stdout=StringIO())
