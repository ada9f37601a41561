"""/healthz and /readyz: true answers, no session, nothing told but which part fails."""

import pytest
from django.db import connection

from config import heartbeat
from stack.ports import hidden_port

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker():
    """A worker that has just given a sign of life."""
    heartbeat.record_worker("somewhere:1")


def test_healthz_answers_without_the_database(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = client.get("/healthz")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}


def test_readyz_is_ready_when_every_part_works(client, worker):
    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "parts": {"database": "ok", "broker": "ok", "storage": "ok", "worker": "ok"},
    }
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_takes_no_session_and_sets_none(client, alice, worker, path, django_assert_max_num_queries):
    client.force_login(alice)

    with django_assert_max_num_queries(1) as queries:  # readyz's own SELECT 1
        answer = client.get(path)

    assert "session" not in str(queries.captured_queries)
    assert not answer.cookies


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_asked_over_plain_http_behind_a_redirect_to_https(client, worker, settings, path):
    settings.SECURE_SSL_REDIRECT = True

    assert client.get(path).status_code == 200


def test_readyz_fails_without_a_worker(client):
    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["parts"] == {"database": "ok", "broker": "ok", "storage": "ok", "worker": "failed"}


def test_readyz_fails_when_the_worker_fell_silent(client, worker, monkeypatch):
    monkeypatch.setattr(heartbeat, "STALE_SECONDS", 0)

    assert client.get("/readyz").json()["parts"]["worker"] == "failed"


def test_readyz_fails_without_redis_and_hides_its_address(client, settings):
    settings.REDIS_URL = f"redis://:hunter22@127.0.0.1:{hidden_port()}/0"

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["parts"] == {
        "database": "ok",
        "broker": "failed",
        "storage": "ok",
        "worker": "failed",
    }
    assert "127.0.0.1" not in answer.text
    assert "hunter22" not in answer.text


def test_readyz_fails_without_a_broker_of_its_own(client, worker, settings):
    settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{hidden_port()}/0"

    answer = client.get("/readyz")

    assert answer.json()["parts"] == {"database": "ok", "broker": "failed", "storage": "ok", "worker": "ok"}


def test_readyz_fails_when_media_cannot_be_written(client, settings, tmp_path, worker):
    (tmp_path / "file").touch()
    settings.MEDIA_ROOT = tmp_path / "file" / "media"

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["parts"]["storage"] == "failed"
    assert str(tmp_path) not in answer.text


def test_readyz_leaves_no_file_behind(client, settings, worker):
    client.get("/readyz")

    assert not [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()]


@pytest.mark.django_db(transaction=True)
def test_readyz_fails_without_the_database(client, worker, monkeypatch, request):
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", hidden_port())

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["parts"] == {"database": "failed", "broker": "ok", "storage": "ok", "worker": "ok"}
    connection.close()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_refuses_to_be_posted_to(client, path):
    assert client.post(path).status_code == 405
