"""Webhooks at the door, in the table and acted on."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import responses
from django.db import connection as database
from django.dispatch import receiver
from django.utils import timezone
from kombu.exceptions import OperationalError

from config import celery_app
from connections import services, tasks, webhooks
from connections.crypto import open_sealed
from connections.errors import AuthorizationError
from connections.lifecycle import mark_disconnected, mark_needs_reauth
from connections.models import ConnectionStatus, WebhookEvent
from connections.providers import provider_for
from connections.signals import publish_reported
from connections.tokens import fresh_access_token
from tests.connections.conftest import REVOKE_URL, TOKEN_URL, USER_URL, flat_error, grant, refusal, user_info
from tests.connections.webhook_wire import (
    ACCOUNT,
    PUBLISH_ID,
    SECRET,
    completed,
    deliver,
    event_body,
    removed,
    sign,
)

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(days=3)


@pytest.fixture(autouse=True)
def _fresh_view():
    webhooks.forget_arrivals()
    yield
    webhooks.forget_arrivals()


@pytest.fixture
def told():
    """What publishing hears: the jobs in order. It answers that it knows each of them."""
    heard = []

    @receiver(publish_reported)
    def hear(provider, publish_id, **_):
        heard.append((provider, publish_id))
        return 1

    yield heard
    publish_reported.disconnect(hear)


@pytest.fixture
def connected(make_connection, acme):
    """An account that was connected long ago."""
    return make_connection(acme, provider_account_id=ACCOUNT, connected_at=timezone.now() - LONG_AGO)


def process_all():
    return [webhooks.process(pk) for pk in WebhookEvent.objects.order_by("id").values_list("id", flat=True)]


def age(**delta):
    WebhookEvent.objects.update(received_at=timezone.now() - timedelta(**delta))


# --- the door ---------------------------------------------------------------------------------------------------------


def test_receive_stores_a_signed_event_and_answers_200(django_assert_num_queries):
    body = completed(create_time=1795000000)

    with django_assert_num_queries(1):
        answer = deliver(body)

    [event] = WebhookEvent.objects.all()
    assert (answer.status_code, answer.content) == (200, b"")
    assert (event.provider, event.kind, event.publish_id) == ("tiktok", "publish", PUBLISH_ID)
    assert event.occurred_at == datetime.fromtimestamp(1795000000, UTC)
    assert event.body == body.decode()
    assert event.processed_at is None


def test_receive_sends_the_event_to_a_worker():
    deliver(completed())

    [event] = WebhookEvent.objects.all()
    with celery_app.connection_for_read() as broker, broker.SimpleQueue("default") as queue:
        message = queue.get(timeout=5)
        message.ack()
    assert message.headers["task"] == "connections.tasks.process_webhook_event"
    assert message.payload[1] == {"event_id": event.pk}


def test_receive_stores_the_event_although_the_broker_is_down(monkeypatch, told):
    def refuse(**_):
        raise OperationalError("down")

    monkeypatch.setattr(tasks.process_webhook_event, "apply_async", refuse)

    assert deliver(completed()).status_code == 200

    age(minutes=1)
    assert webhooks.sweep() == 1
    assert told == [("tiktok", PUBLISH_ID)]


@pytest.mark.parametrize(
    ("signing", "status"),
    [
        pytest.param({"header": ""}, 401, id="unsigned"),
        pytest.param({"secret": "guessed"}, 401, id="forged"),
        pytest.param({"header": sign(b"another body")}, 401, id="signature of another body"),
        pytest.param({"at": time.time() - 73 * 3600}, 403, id="stale"),
        pytest.param({"at": time.time() + 1000}, 403, id="from the future"),
    ],
)
def test_receive_refuses_without_touching_the_database(django_assert_num_queries, signing, status):
    with django_assert_num_queries(0):
        answer = deliver(completed(), **signing)

    assert answer.status_code == status
    assert not WebhookEvent.objects.exists()


def test_receive_refuses_another_apps_event(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert deliver(completed(client_key="sbother000000000")).status_code == 403


@pytest.mark.parametrize(("size", "status"), [(64 * 1024, 200), (64 * 1024 + 1, 413)])
def test_receive_takes_64_kib_and_no_byte_more(size, status):
    body = event_body("something.new", "x")
    body = body.replace(b'"x"', b'"' + b"x" * (size - len(body) + 1) + b'"')
    assert len(body) == size

    assert deliver(body).status_code == status
    assert WebhookEvent.objects.count() == (status == 200)


def test_receive_is_for_posts_to_known_providers(client):
    assert client.get("/webhooks/tiktok/").status_code == 405
    assert client.put("/webhooks/tiktok/", b"{}").status_code == 405
    assert deliver(completed(), url="/webhooks/nowhere/").status_code == 404
    assert not WebhookEvent.objects.exists()


@pytest.mark.parametrize("body", [b"not json", b'{"cut', b"\xff\x00 neither text nor storable"])
def test_receive_keeps_what_is_signed_and_unreadable_and_lets_it_rest(body):
    assert deliver(body).status_code == 200

    [event] = WebhookEvent.objects.all()
    assert (event.kind, event.outcome) == ("unreadable", "ignored")
    assert event.processed_at is not None


def test_receive_keeps_an_unknown_event_and_lets_it_rest(told):
    deliver(event_body("video.publish.completed", {"share_id": "s.1"}))

    [event] = WebhookEvent.objects.all()
    assert (event.kind, event.name, event.outcome) == ("other", "video.publish.completed", "ignored")
    assert (process_all(), told) == (["done before"], [])


def test_receive_logs_neither_signature_nor_body(caplog):
    header = sign(completed())
    with caplog.at_level(logging.DEBUG):
        deliver(completed(), header=header)
        deliver(completed(), secret="guessed")
        deliver(removed(user_openid="act.example12345"))
        process_all()

    assert "webhook stored" in caplog.text
    assert "webhook refused" in caplog.text
    for secret in (SECRET, header, header.split("s=")[1], "act.example12345", "client_key"):
        assert secret not in caplog.text


# --- once and only once -----------------------------------------------------------------------------------------------


def test_an_event_sent_again_is_stored_and_acted_on_once(told):
    body = completed()
    answers = [deliver(body, at=time.time() - shift).status_code for shift in (0, 0, 60, 70 * 3600)]

    assert answers == [200] * 4
    assert process_all() == ["told"]
    assert process_all() == ["done before"]
    assert told == [("tiktok", PUBLISH_ID)]


def test_a_second_completion_of_one_draft_is_another_event():
    deliver(completed(create_time=1795000000))
    deliver(completed(create_time=1795000100))

    assert WebhookEvent.objects.count() == 2


def test_a_post_that_goes_public_is_told_once_whenever_it_is_repeated():
    for moment, spelt in ((1795000000, 7391234567890123457), (1795000900, "7391234567890123457")):
        content = {"publish_id": PUBLISH_ID, "post_id": spelt}
        deliver(event_body("post.publish.publicly_available", content, create_time=moment))

    [event] = WebhookEvent.objects.all()
    assert event.post_id == "7391234567890123457"


def test_both_spellings_of_an_event_are_one_event():
    for name in ("post.publish.complete", "post.publish.completed"):
        deliver(event_body(name, {"publish_id": PUBLISH_ID}, create_time=1795000000))

    assert WebhookEvent.objects.count() == 1


def test_unknown_events_of_one_second_stay_apart():
    for number in (1, 2):
        content = json.dumps({"request_id": number})
        deliver(event_body("portability.download.ready", content, create_time=1795000000, user_openid=None))

    assert WebhookEvent.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_copies_that_arrive_together_are_one_event():
    body = completed()
    header = sign(body)
    start = threading.Barrier(6)
    statuses = []

    def post():
        start.wait(10)
        statuses.append(deliver(body, header=header).status_code)
        database.close()

    threads = [threading.Thread(target=post) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert statuses == [200] * 6
    assert WebhookEvent.objects.count() == 1


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_events_and_copies_ends_the_same(told, connected, notices, seed):
    now = int(time.time())
    bodies = [
        completed(create_time=now - 30),
        completed(create_time=now - 20),
        removed(1, create_time=now - 10),
        event_body("post.publish.failed", {"publish_id": "p.2", "reason": "auth_removed"}),
    ] * 3
    random.Random(seed).shuffle(bodies)

    for body in bodies:
        assert deliver(body).status_code == 200
        process_all()

    connected.refresh_from_db()
    assert sorted(told) == [("tiktok", "p.2"), *[("tiktok", PUBLISH_ID)] * 2]
    assert connected.status == ConnectionStatus.NEEDS_REAUTH
    assert notices == [("lost", connected.pk)]


# --- acting later -----------------------------------------------------------------------------------------------------


def test_sweep_leaves_fresh_events_to_their_message_and_takes_forgotten_ones(told):
    deliver(completed())
    assert (webhooks.sweep(), told) == (0, [])

    age(seconds=31)

    assert (tasks.sweep_webhook_events(), told) == (1, [("tiktok", PUBLISH_ID)])
    assert webhooks.sweep() == 0


def test_an_event_waits_for_the_job_that_it_overtook():
    answers = iter([0, 1])

    @receiver(publish_reported)
    def know_later(**_):
        return next(answers)

    deliver(completed())
    outcomes = process_all() + process_all()
    publish_reported.disconnect(know_later)

    assert outcomes == ["later", "told"]


def test_an_event_of_an_unknown_job_is_let_go_after_a_while():
    deliver(completed())
    assert process_all() == ["later"]

    age(minutes=6)

    assert process_all() == ["nobody's"]
    assert WebhookEvent.objects.get().processed_at is not None


def test_an_event_that_breaks_its_worker_holds_up_no_other_and_is_given_up(told, caplog):
    @receiver(publish_reported)
    def break_down(publish_id, **_):
        if publish_id == "p.bad":
            raise RuntimeError("broken")
        return 0

    deliver(completed("p.bad"))
    deliver(completed("p.good"))
    for _ in range(webhooks.MAX_TRIES + 1):
        age(minutes=2)
        webhooks.sweep()
    publish_reported.disconnect(break_down)

    outcomes = dict(WebhookEvent.objects.values_list("publish_id", "outcome"))
    assert outcomes == {"p.bad": "given up", "p.good": "told"}
    assert "could not be acted on" in caplog.text


def test_sweep_deletes_what_is_older_than_30_days():
    deliver(completed("p.old"))
    age(days=31)
    deliver(completed("p.new"))

    webhooks.sweep()

    assert list(WebhookEvent.objects.values_list("publish_id", flat=True)) == ["p.new"]


def test_process_shrugs_at_an_event_that_is_gone():
    assert tasks.process_webhook_event(event_id=12345, something_new=True) == "done before"


# --- is anything arriving? --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "answer"), [(None, False), (0, True), (5, True), (7, False)])
def test_are_arriving_looks_at_the_last_hours(hours, answer):
    if hours is not None:
        deliver(event_body("something.new"))
        age(hours=hours)

    assert webhooks.are_arriving("tiktok") is answer


def test_are_arriving_is_one_query_in_half_a_minute(django_assert_num_queries):
    with django_assert_num_queries(1):
        assert [webhooks.are_arriving("tiktok") for _ in range(50)] == [False] * 50


# --- authorization.removed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reason", "words"), [(1, "TikTok's settings"), (2, "deleted"), (4, "banned")])
def test_a_removed_authorization_marks_the_account_in_every_workspace(
    connected, make_connection, rival, notices, reason, words
):
    fields = {"provider_account_id": ACCOUNT, "connected_at": timezone.now() - LONG_AGO}
    theirs = make_connection(rival, **fields)
    other = make_connection(rival, connected_at=timezone.now() - LONG_AGO)

    deliver(removed(reason))

    assert process_all() == ["ended"]
    for row in (connected, theirs):
        row.refresh_from_db()
        assert row.status == ConnectionStatus.NEEDS_REAUTH
        assert words in row.status_reason
        assert (row.access_token, row.refresh_token) == ("", "")
    other.refresh_from_db()
    assert other.is_active
    assert sorted(notices) == sorted([("lost", connected.pk), ("lost", theirs.pk)])


def test_a_removed_authorization_of_an_unknown_account_changes_nothing(connected, notices):
    deliver(removed(1, user_openid="-000somebody"))

    assert process_all() == ["untouched"]
    assert notices == []


def test_an_account_that_already_needs_reconnecting_learns_why_and_is_told_of_once(connected, notices):
    mark_needs_reauth(connected, reason="The token was refused.")

    deliver(removed(4))
    process_all()

    connected.refresh_from_db()
    assert "banned" in connected.status_reason
    assert connected.access_token == ""
    assert notices == [("lost", connected.pk)]


def test_a_disconnected_account_stays_disconnected(connected, notices):
    mark_disconnected(connected, reason="over")
    notices.clear()

    deliver(removed(5))

    assert process_all() == ["untouched"]
    connected.refresh_from_db()
    assert (connected.status, connected.status_reason, notices) == (ConnectionStatus.REVOKED, "", [])


@pytest.mark.parametrize("reason", [1, 5])
def test_an_account_connected_again_since_is_left_alone(connected, notices, reason):
    event = removed(reason, create_time=int(time.time()) - 600)
    connected.connected_at = timezone.now()
    connected.save()

    deliver(event)

    assert process_all() == ["untouched"]
    connected.refresh_from_db()
    assert connected.is_active
    assert open_sealed(connected, "access_token") == "act.old-access"
    assert notices == []


def test_an_account_connected_since_is_left_alone_though_the_platforms_clock_is_ahead(connected, notices):
    deliver(removed(1, create_time=int(time.time()) + 3_600))
    age(minutes=10)
    connected.connected_at = timezone.now() - timedelta(minutes=5)
    connected.save()

    assert process_all() == ["untouched"]
    connected.refresh_from_db()
    assert connected.is_active
    assert notices == []


def test_a_removal_at_the_end_of_time_ends_the_authorization_that_was(connected, notices):
    deliver(removed(1, create_time=253_402_300_799))

    assert process_all() == ["ended"]
    assert notices == [("lost", connected.pk)]


@pytest.fixture
def just_connected(connected):
    """An account connected at about the event's time: which came first is not to be told from the times."""
    connected.connected_at = timezone.now() - timedelta(seconds=5)
    connected.save()
    return connected


def test_in_doubt_about_the_order_the_platform_is_asked_and_still_knows_us(just_connected, tiktok, notices):
    tiktok.get(USER_URL, json=user_info(open_id=ACCOUNT))

    deliver(removed(5))

    assert process_all() == ["untouched"]
    just_connected.refresh_from_db()
    assert just_connected.is_active
    assert notices == []


def test_in_doubt_about_the_order_the_platform_is_asked_and_refuses_us(just_connected, tiktok, notices):
    tiktok.get(USER_URL, json=refusal("access_token_invalid"), status=401)
    tiktok.post(TOKEN_URL, json=flat_error("invalid_grant"), status=400)

    deliver(removed(1))

    assert process_all() == ["ended"]
    just_connected.refresh_from_db()
    assert just_connected.status == ConnectionStatus.NEEDS_REAUTH
    assert "TikTok's settings" in just_connected.status_reason
    assert just_connected.refresh_token == ""
    assert notices == [("lost", just_connected.pk)]


def test_in_doubt_and_with_the_platform_away_it_is_tried_later(just_connected, tiktok):
    tiktok.get(USER_URL, body=responses.ConnectionError("reset"))

    deliver(removed(1))

    assert process_all() == ["later"]
    just_connected.refresh_from_db()
    assert just_connected.is_active


def test_our_own_revoke_is_no_loss_while_the_disconnect_is_under_way(connected, tiktok, notices):
    outcomes = []

    def revoked(_request):
        deliver(removed(5))
        outcomes.extend(process_all())
        return 200, {}, "{}"

    tiktok.add_callback(responses.POST, REVOKE_URL, callback=revoked)
    services.disconnect(connected)

    assert outcomes == ["later"]
    assert process_all() == ["untouched"]
    connected.refresh_from_db()
    assert connected.status == ConnectionStatus.REVOKED
    assert notices == [("lost", connected.pk)]


def test_a_refresh_under_way_does_not_bring_a_removed_connection_back(connected, expired, tiktok):
    for name, value in expired.items():
        setattr(connected, name, value)
    connected.save()

    def refreshed(_request):
        deliver(removed(1))
        assert process_all() == ["ended"]
        return 200, {}, json.dumps(grant(open_id=ACCOUNT))

    tiktok.add_callback(responses.POST, TOKEN_URL, callback=refreshed)
    with pytest.raises(AuthorizationError, match="needs reconnecting"):
        fresh_access_token(connected)

    connected.refresh_from_db()
    assert connected.status == ConnectionStatus.NEEDS_REAUTH
    assert (connected.access_token, connected.refresh_token) == ("", "")


def test_the_secret_of_the_settings_is_what_counts(settings):
    settings.TIKTOK_CLIENT_SECRET = "another-secret"
    provider_for.cache_clear()
    try:
        assert deliver(completed()).status_code == 401
        assert deliver(completed(), secret="another-secret").status_code == 200
    finally:
        provider_for.cache_clear()
