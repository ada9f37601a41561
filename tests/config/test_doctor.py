"""`manage.py doctor` tells the truth in plain words, and shows no secret."""

from datetime import UTC, datetime
from io import StringIO
from types import SimpleNamespace

import pytest
import requests
import responses
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from config import heartbeat
from config.doctor.tiktok import judge_redirect_uri

pytestmark = pytest.mark.django_db
API = "https://open.tiktokapis.com"


@pytest.fixture
def tiktok():
    """A TikTok that answers, with its clock right."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as wire:
        date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        wire.get(API, status=404, headers={"Date": date})
        yield wire


@pytest.fixture
def healthy(tiktok, settings):
    """Everything in order, a worker and the beat included."""
    settings.BASE_URL = "http://127.0.0.1:8000"
    heartbeat.record_worker("somewhere:1")
    heartbeat.record_beat()


def _doctor():
    """Run the command; give its exit status and what it printed."""
    out = StringIO()
    try:
        call_command("doctor", stdout=out, no_color=True)
    except SystemExit as stop:
        return SimpleNamespace(status=stop.code, text=out.getvalue())
    return SimpleNamespace(status=0, text=out.getvalue())


def test_doctor_finds_a_healthy_house_healthy(healthy):
    report = _doctor()

    assert "✗" not in report.text
    assert report.status == 0
    assert "PostgreSQL 18 answers" in report.text
    assert "Working: somewhere:1" in report.text
    assert "http://127.0.0.1:8000/connections/tiktok/callback/" in report.text


def test_doctor_shows_no_secret(healthy, settings, servers):
    text = _doctor().text

    secrets = [settings.SECRET_KEY, *settings.ENCRYPTION_KEYS, settings.TIKTOK_CLIENT_SECRET]
    secrets += [settings.TIKTOK_CLIENT_KEY, servers.password, servers.redis.password]
    assert not [secret for secret in secrets if secret in text]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SECRET_KEY", "short", "SECRET_KEY can be guessed"),
        ("SECRET_KEY", "a" * 60, "SECRET_KEY can be guessed"),
        ("ENCRYPTION_KEYS", [], "ENCRYPTION_KEYS is not set"),
        ("ENCRYPTION_KEYS", ["not-a-key"], "number 1 is not a Fernet key"),
        ("TIKTOK_CLIENT_KEY", "", "TIKTOK_CLIENT_KEY not set"),
        ("TIKTOK_CLIENT_SECRET", "", "TIKTOK_CLIENT_SECRET not set"),
        ("TIKTOK_AUTHORIZE_URL", "http://127.0.0.1:1/v2/auth/authorize/", "both, or neither"),
        ("TIKTOK_REDIRECT_URI", "http://example.com/cb/", "must be https"),
        ("BASE_URL", "http://example.com", "passwords and sessions would travel in the clear"),
        ("REDIS_URL", "redis://:hunter22@127.0.0.1:1/0", "Redis does not answer"),
        ("CELERY_BROKER_URL", "redis://:hunter22@127.0.0.1:1/9", "The broker does not answer"),
    ],
)
def test_doctor_says_what_is_wrong_and_fails(healthy, settings, name, value, words):
    setattr(settings, name, value)

    report = _doctor()

    assert words in report.text
    assert report.status == 1
    assert "hunter22" not in report.text


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DEBUG", True, "DEBUG is on"),
        ("ALLOWED_HOSTS", ["*"], "takes every name"),
        ("TIKTOK_PKCE", "off", "PKCE is off"),
    ],
)
def test_doctor_notes_what_a_person_should_know(healthy, settings, name, value, words):
    setattr(settings, name, value)

    report = _doctor()

    assert words in report.text
    assert report.status == 0


@pytest.mark.parametrize(
    ("base", "words"),
    [
        (
            "https://broadside.example.com",
            "TikTok if you want events at once: https://broadside.example.com/webhooks/tiktok/",
        ),
        ("http://127.0.0.1:8000", "No webhooks: TikTok sends them to public https addresses only"),
    ],
)
def test_doctor_shows_the_webhook_address(healthy, settings, base, words):
    settings.BASE_URL = base

    assert words in _doctor().text


def test_doctor_shows_the_address_for_logging_in_where_people_may(healthy, settings):
    address = f"{settings.BASE_URL}/accounts/tiktok/callback/"
    assert address not in _doctor().text

    settings.TIKTOK_SIGN_IN = True

    assert address in _doctor().text


def test_doctor_misses_worker_and_beat(tiktok):
    report = _doctor()

    assert "No worker has given a sign of life" in report.text
    assert "The beat is not heard" in report.text
    assert report.status == 1


def test_doctor_names_the_first_pending_migration(healthy):
    [(app, name)] = MigrationLoader(connection).graph.leaf_nodes("accounts")
    MigrationRecorder(connection).record_unapplied(app, name)

    report = _doctor()

    assert f"from {app}.{name} on" in report.text
    assert report.status == 1


@pytest.mark.django_db(transaction=True)
def test_doctor_survives_a_database_that_is_away(healthy, monkeypatch):
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", 1)

    report = _doctor()

    connection.close()
    assert "The database does not answer" in report.text
    assert "Redis 6" in report.text
    assert report.status == 1


def test_doctor_notices_storage_that_takes_nothing(healthy, settings, tmp_path):
    (tmp_path / "file").touch()
    settings.MEDIA_ROOT = tmp_path / "file" / "media"

    report = _doctor()

    assert "Media cannot be stored" in report.text
    assert report.status == 1


def test_doctor_notices_an_unreachable_tiktok(healthy, tiktok):
    tiktok.replace(responses.GET, API, body=requests.ConnectTimeout("act.secretsecret"))

    report = _doctor()

    assert f"{API} cannot be reached (ConnectTimeout)" in report.text
    assert report.status == 1


@pytest.mark.parametrize(
    ("date", "words"),
    [
        ("Sat, 01 Jan 2000 00:00:00 GMT", "clock and TikTok's differ"),
        ("nonsense", "answers"),
        ("", "answers"),
    ],
)
def test_doctor_compares_the_clocks(healthy, tiktok, date, words):
    tiktok.replace(responses.GET, API, status=404, headers={"Date": date})

    report = _doctor()

    assert words in report.text
    assert "agrees" not in report.text
    assert report.status == 0


@pytest.mark.parametrize(
    ("uri", "platform", "problem"),
    [
        ("https://app.example.com/connections/tiktok/callback/", "Web", None),
        ("http://localhost:3455/cb/", "Desktop", None),
        ("http://127.0.0.1:8000/cb/", "Desktop", None),
        ("http://app.example.com/cb/", "Web", "https"),
        ("http://localhost/cb/", "Desktop", "port"),
        ("https://app.example.com/cb/?a=1", "Web", "query"),
        ("https://app.example.com/cb/#top", "Web", "fragment"),
        ("https://app.example.com/" + "a" * 488, "Web", "512"),
        ("/cb/", "Web", "absolute"),
        ("http://localhost:99999/cb/", "Desktop", "port"),
    ],
)
def test_redirect_uri_is_judged_by_tiktoks_rules(uri, platform, problem):
    found_platform, problems = judge_redirect_uri(uri)

    assert found_platform == platform
    assert bool(problems) == bool(problem)
    assert (problem or "") in " ".join(words for words, _ in problems)


def test_redirect_uri_of_511_characters_is_still_allowed():
    assert judge_redirect_uri("https://app.example.com/" + "a" * 487) == ("Web", [])
