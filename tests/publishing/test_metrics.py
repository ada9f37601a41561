"""/metrics: who may read it, that Prometheus can, and that each figure is right."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from django.db import OperationalError
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from config import heartbeat
from connections.models import ConnectionStatus
from publishing import health, scan_counts
from publishing.attempts import note
from publishing.states import DeliveryState, HoldReason

pytestmark = pytest.mark.django_db

TOKEN = "a-token-for-the-monitor"


@pytest.fixture
def token(settings):
    settings.METRICS_TOKEN = TOKEN
    return TOKEN


@pytest.fixture
def read(client, token):
    """Return a function that reads the page as Prometheus does: a value for each name and label."""

    def get() -> dict[tuple[str, str], float]:
        answer = client.get("/metrics", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        families = text_string_to_metric_families(answer.content.decode())
        return {
            (sample.name.removeprefix("broadside_"), next(iter(sample.labels.values()), "")): sample.value
            for family in families
            for sample in family.samples
        }

    return get


def test_without_a_token_in_the_settings_there_is_no_such_page(client, settings):
    assert settings.METRICS_TOKEN == ""

    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer pâté",
    ],
)
def test_without_the_right_token_nothing_is_told(client, token, header, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = client.get("/metrics", headers={"Authorization": header})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert b"broadside" not in answer.content


def test_operator_logged_in_needs_the_token_too(client, token, alice):
    alice.is_staff = alice.is_superuser = True
    alice.save()
    client.force_login(alice)

    assert client.get("/metrics").status_code == 401


def test_only_reading_is_allowed(client, token):
    answer = client.post("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})

    assert answer.status_code == 405


def test_answer_is_of_the_type_that_prometheus_reads_and_is_not_kept(client, token):
    answer = client.get("/metrics", headers={"Authorization": f"bearer {TOKEN}"})

    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert "no-store" in answer.headers["Cache-Control"]


def test_each_figure_is_right(read, acme, rival, settings, make_delivery, make_connection):
    now = timezone.now()
    make_delivery(acme, wake_at=now - timedelta(seconds=100))
    make_delivery(rival, wake_at=now - timedelta(seconds=10))
    held = make_delivery(acme, state=DeliveryState.HELD, hold_reason=HoldReason.UNCONFIRMED, wake_at=None)
    note(held, "start", "spam_risk", log_id="x")
    note(held, "start", 'odd "code"\\')
    make_connection(acme, status=ConnectionStatus.NEEDS_REAUTH)
    make_connection(acme, refresh_expires_at=now + timedelta(days=3))
    heartbeat.record_worker("host:1")
    heartbeat.record_worker("host:2")
    heartbeat.record_dispatcher()
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as client:
        client.rpush("polls", "a", "b", "c")

    figures = read()

    assert figures["deliveries", "scheduled"] == 2
    assert figures["deliveries", "held"] == 1
    assert figures["deliveries", "published"] == 0
    assert figures["deliveries_held", "unconfirmed"] == 1
    assert figures["deliveries_due", ""] == 2
    assert figures["deliveries_stuck", ""] == 1
    assert 100 <= figures["oldest_due_seconds", ""] < 160
    assert figures["errors_24h", "spam_risk"] == 1
    assert figures["errors_24h", 'odd "code"\\'] == 1
    assert figures["connections", "needs_reauth"] == 1
    assert figures["connections", "active"] == 4
    assert figures["connections_ending", ""] == 1
    assert figures["workers", ""] == 2
    assert figures["queue_depth", "polls"] == 3
    assert figures["queue_depth", "uploads"] == 0
    assert 0 <= figures["heartbeat_age_seconds", "dispatcher"] < 30
    assert ("heartbeat_age_seconds", "beat") not in figures
    assert figures["redis_up", ""] == figures["database_up", ""] == 1
    assert figures["notice_emails_waiting", ""] == 0


def test_without_redis_the_database_is_still_told_of(read, acme, settings, make_delivery):
    make_delivery(acme)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    figures = read()

    assert figures["redis_up", ""] == 0
    assert figures["deliveries", "scheduled"] == 1
    assert not [name for name, _ in figures if name in {"workers", "queue_depth"}]


def test_redis_that_goes_away_in_the_middle_leaves_the_rest(read, acme, monkeypatch, make_delivery):
    def fail() -> None:
        raise redis.ConnectionError("gone")

    make_delivery(acme)
    monkeypatch.setattr(scan_counts, "read", fail)

    figures = read()

    assert figures["deliveries", "scheduled"] == 1
    assert not [name for name, _ in figures if name.startswith("scans")]


def test_metrics_hold_no_word_of_any_tenant(client, token, acme, make_delivery, make_connection):
    connection = make_connection(
        acme,
        account_label="Harbor Label",
        creator_info={"nickname": "Harbor Nick", "username": "harbor.user"},
    )
    delivery = make_delivery(
        acme,
        connection=connection,
        caption="zebra plan",
        publish_id="v_pub_file~v2-1.7000000000000000001",
        state=DeliveryState.HELD,
        hold_reason=HoldReason.UNCONFIRMED,
        reason_message="zebra reason",
    )
    note(delivery, "start", "spam_risk", message="zebra words", log_id="log-of-acme")

    text = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).content.decode()

    assert 'code="spam_risk"' in text
    hidden = [
        *("zebra", "Harbor", "harbor", "v_pub_file", "log-of-acme", "act.", "rft.", "clip.mp4"),
        *(acme.slug, acme.name, str(acme.pk), str(delivery.pk), str(connection.pk)),
        connection.provider_account_id,
    ]
    assert [word for word in hidden if word in text] == []


def test_without_the_database_redis_is_still_told_of(read, monkeypatch):
    def fail(*_: object) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(health, "count_errors", fail)
    heartbeat.record_worker("host:1")

    figures = read()

    assert figures["database_up", ""] == 0
    assert figures["workers", ""] == 1
    assert not [name for name, _ in figures if name.startswith("deliveries")]


def test_broker_of_another_kind_gives_no_depth_rather_than_a_wrong_one(read, settings):
    settings.CELERY_BROKER_URL = "amqp://127.0.0.1:1//"

    assert not [name for name, _ in read() if name == "queue_depth"]


def test_reading_takes_few_queries(client, token, acme, make_delivery, django_assert_max_num_queries):
    for _ in range(5):
        note(make_delivery(acme), "start", "spam_risk")

    with django_assert_max_num_queries(14):
        client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
