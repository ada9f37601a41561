"""Around the last byte: what may be a post is asked about, never sent again, and never told as not posted."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection as database
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from connections.errors import AuthorizationError, CapError
from connections.lifecycle import mark_disconnected
from connections.models import ConnectionStatus, SocialConnection
from connections.signals import connection_usable
from publishing import ending, engine, preparing, sending, services
from publishing.backoff import MAX_DEATHS, MAX_JOBS
from publishing.blocks import FileChangedError
from publishing.models import Delivery
from publishing.states import DeliveryState, HoldReason
from tests.publishing.test_engine import PUBLIC, big, drive, small_chunks  # noqa: F401  # fixtures

pytestmark = pytest.mark.django_db


def counts(stored_bytes: int) -> dict[str, object]:
    """A status answer of an upload under way that counts so many bytes."""
    data = {"status": "PROCESSING_UPLOAD", "uploaded_bytes": stored_bytes}
    return {"body": {"data": data, "error": {"code": "ok", "message": "", "log_id": "20261121"}}}


@pytest.fixture
def delivery(acme, connect, make_delivery, settings):
    """A post of one chunk, with waits that take no time."""
    settings.ENGINE_TIME_SCALE = 0.0
    return make_delivery(acme, connection=connect(acme), options=PUBLIC)


def fresh(delivery: Delivery) -> Delivery:
    return Delivery.objects.select_related("post", "connection").get(pk=delivery.pk)


@pytest.mark.parametrize("is_over", [False, True], ids=["url refused", "url past its hour"])
def test_a_count_that_lags_behind_a_lost_last_answer_makes_no_second_post(delivery, tiktok, is_over):
    tiktok.fault({"endpoint": "upload"}, {"drop": "after"})
    tiktok.fault({"endpoint": "status"}, counts(0), times=2)
    drive(delivery, rounds=1)
    assert len(tiktok.posts()) == 1
    tiktok.fault({"endpoint": "upload"}, {"status": 403})
    if is_over:
        Delivery.objects.filter(pk=delivery.pk).update(upload_expires_at=timezone.now())

    done = drive(delivery)

    assert (done.state, done.job_count) == (DeliveryState.PUBLISHED, 1)
    assert len(tiktok.posts()) == 1


def test_a_dead_url_and_bytes_that_stay_missing_lead_to_a_new_job(delivery, tiktok):
    tiktok.fault({"endpoint": "upload"}, {"drop": "before"})
    drive(delivery, rounds=1)
    Delivery.objects.filter(pk=delivery.pk).update(committed_at=timezone.now())
    tiktok.settings(unfinished_upload="stay", rate_limits_on=False)
    tiktok.control("POST", f"/tasks/{fresh(delivery).publish_id}/expire-upload")

    done = drive(delivery)

    assert (done.state, done.job_count) == (DeliveryState.PUBLISHED, 2)
    assert len(tiktok.posts()) == 1


def test_a_last_chunk_that_was_refused_can_still_be_canceled(delivery, tiktok, alice):
    tiktok.fault({"endpoint": "upload"}, {"status": 429, "code": "rate_limit_exceeded"})
    drive(delivery, rounds=1)

    outcome = services.cancel_delivery(delivery=fresh(delivery), user=alice)

    assert outcome is services.CancelOutcome.CANCELED
    assert tiktok.posts() == []


def test_a_file_that_vanishes_after_the_last_byte_is_not_told_as_not_posted(delivery, tiktok, monkeypatch):
    tiktok.fault({"endpoint": "upload"}, {"drop": "after"})
    tiktok.fault({"endpoint": "status"}, counts(0))
    drive(delivery, rounds=1)

    def vanished(*args: object, **kwargs: object) -> object:
        raise FileChangedError

    monkeypatch.setattr(sending, "read_blocks", vanished)

    assert drive(delivery).state == DeliveryState.PUBLISHED
    assert len(tiktok.posts()) == 1


def test_an_upload_that_is_unknown_after_many_failures_gets_a_new_job(delivery, tiktok):
    tiktok.fault({"endpoint": "upload"}, {"status": 503}, times=7)
    for _ in range(7):
        drive(delivery, rounds=1)
    assert fresh(delivery).tries >= 5
    Delivery.objects.filter(pk=delivery.pk).update(committed_at=None)
    tiktok.fault({"endpoint": "upload"}, {"status": 404})

    done = drive(delivery)

    assert (done.state, done.job_count) == (DeliveryState.PUBLISHED, 2)


def test_a_job_that_stays_unknown_before_its_last_byte_is_begun_anew(delivery, tiktok):
    tiktok.fault({"endpoint": "upload"}, {"status": 503})
    drive(delivery, rounds=1)
    Delivery.objects.filter(pk=delivery.pk).update(committed_at=None, publish_id="v_pub_file~v2-1.404")

    done = drive(delivery, rounds=12)

    assert (done.state, done.job_count) == (DeliveryState.PUBLISHED, 2)


def test_uploads_that_never_fit_into_their_hour_are_told_so(delivery, tiktok):
    tiktok.settings(rate_limits_on=False)
    tiktok.fault({"endpoint": "upload"}, {"status": 403}, times=None)

    done = drive(delivery)

    assert (done.state, done.job_count) == (DeliveryState.FAILED, MAX_JOBS)
    assert "one hour" in done.reason_message
    assert done.reason_next_step


def test_a_published_post_whose_worker_keeps_dying_rests_as_published(acme, make_delivery):
    delivery = make_delivery(
        acme, state=DeliveryState.PUBLISHED, claim_count=MAX_DEATHS, committed_at=timezone.now()
    )

    engine.advance_delivery(delivery.pk)

    delivery = fresh(delivery)
    assert (delivery.state, delivery.wake_at, delivery.lease_token) == (DeliveryState.PUBLISHED, None, None)


def test_a_cap_is_not_told_as_a_refusal_of_what_may_be_posted(acme, make_delivery):
    delivery = make_delivery(
        acme,
        state=DeliveryState.PROCESSING,
        committed_at=timezone.now(),
        state_changed_at=timezone.now() - timedelta(hours=27),
    )
    claimed = Delivery.objects.claim(delivery.pk, lease=timedelta(seconds=30))

    engine._recover(claimed, CapError("full", code="spam_risk_too_many_posts"))

    assert fresh(delivery).hold_reason == HoldReason.UNCONFIRMED


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"committed_at": timezone.now()}, "may be posted"), ({}, "Nothing is lost")],
    ids=["after the last byte", "before it"],
)
def test_a_dead_connection_is_told_with_what_may_have_become_of_the_post(acme, make_delivery, fields, words):
    delivery = make_delivery(acme, state=DeliveryState.UPLOADING, **fields)
    claimed = Delivery.objects.claim(delivery.pk, lease=timedelta(seconds=30))

    ending.hold_for_reconnect(claimed)

    delivery = fresh(delivery)
    assert delivery.hold_reason == HoldReason.RECONNECT
    assert words in delivery.reason_message


def reconnect(connection: SocialConnection) -> None:
    """What the end of a consent does to the row and tells."""
    with transaction.atomic():
        SocialConnection.objects.filter(pk=connection.pk).update(
            status=ConnectionStatus.ACTIVE, token_generation=F("token_generation") + 1
        )
        connection_usable.send(SocialConnection, connection=SocialConnection.objects.get(pk=connection.pk))


def test_a_reconnect_before_the_worker_knows_what_to_hold_leaves_nothing_held(delivery, tiktok, monkeypatch):
    def refused(connection: SocialConnection, **kwargs: object) -> object:
        reconnect(connection)  # by a person, after this worker's call was refused
        raise AuthorizationError("The refresh token was refused")

    with monkeypatch.context() as patched:
        patched.setattr(preparing, "creator_info_for", refused)
        engine.advance_delivery(delivery.pk)

    assert drive(delivery).state == DeliveryState.PUBLISHED


@pytest.mark.django_db(transaction=True)
def test_a_reconnect_and_a_hold_at_the_same_moment_leave_nothing_held(acme, make_delivery, make_connection):
    connection = make_connection(acme, status=ConnectionStatus.NEEDS_REAUTH)
    delivery = make_delivery(acme, connection=connection, state=DeliveryState.PREPARING)
    claimed = Delivery.objects.claim(delivery.pk, lease=timedelta(seconds=30))
    has_row, may_commit = threading.Event(), threading.Event()

    def reconnect_slowly() -> None:
        try:
            with transaction.atomic():
                reconnect(connection)
                has_row.set()
                may_commit.wait(10)
        finally:
            database.close()

    person = threading.Thread(target=reconnect_slowly)
    person.start()
    assert has_row.wait(10)
    threading.Timer(0.3, may_commit.set).start()
    ending.hold_for_reconnect(claimed)
    person.join(10)

    delivery = fresh(delivery)
    assert (delivery.state, delivery.lease_token) == (DeliveryState.PREPARING, None)
    assert delivery.wake_at is not None


def test_an_account_that_is_disconnected_during_an_upload_posts_nothing(delivery, tiktok, monkeypatch):
    real = sending._watched_blocks

    def disconnect_first(row: Delivery, *args: object) -> object:
        mark_disconnected(SocialConnection.objects.get(pk=row.connection_id), reason="a person did")
        return real(row, *args)

    with monkeypatch.context() as patched:
        patched.setattr(sending, "_watched_blocks", disconnect_first)
        engine.advance_delivery(delivery.pk)

    held = fresh(delivery)
    assert (held.state, held.hold_reason) == (DeliveryState.HELD, HoldReason.RECONNECT)
    assert held.committed_at is None
    assert tiktok.posts() == []


def test_a_long_chunk_is_cut_off_when_its_account_is_disconnected(acme, make_delivery):
    delivery = make_delivery(acme, state=DeliveryState.UPLOADING)
    claimed = Delivery.objects.claim(delivery.pk, lease=timedelta(seconds=30))
    mark_disconnected(delivery.connection, reason="a person did")

    with pytest.raises(sending.DisconnectedError):
        sending._keep_or_stop(claimed)


def test_an_account_that_needs_reconnecting_lets_the_running_upload_end(delivery, tiktok, monkeypatch):
    real = sending._watched_blocks

    def lose_first(row: Delivery, *args: object) -> object:
        SocialConnection.objects.filter(pk=row.connection_id).update(status=ConnectionStatus.NEEDS_REAUTH)
        return real(row, *args)

    monkeypatch.setattr(sending, "_watched_blocks", lose_first)
    engine.advance_delivery(delivery.pk)

    held = fresh(delivery)
    assert (held.state, held.held_from) == (DeliveryState.HELD, DeliveryState.PROCESSING)
    assert "may be posted" in held.reason_message
    assert len(tiktok.posts()) == 1


def test_a_draft_whose_app_was_removed_is_not_asked_for_again_by_reconnecting(
    acme, connect, make_delivery, tiktok
):
    delivery = drive(
        make_delivery(acme, connection=connect(acme), mode="inbox", options={}),
        until={DeliveryState.IN_INBOX},
    )
    answer = {"data": {"status": "FAILED", "fail_reason": "auth_removed"}, "error": {"code": "ok"}}
    tiktok.fault({"endpoint": "status"}, {"body": answer}, times=None)

    done = drive(delivery)

    assert (done.state, done.reason_code) == (DeliveryState.FAILED, "auth_removed")
    assert "send the draft again" in done.reason_next_step


def test_a_platform_that_is_silent_for_half_a_day_is_asked_on_without_a_person(delivery, tiktok):
    tiktok.fault({"endpoint": "status"}, {"status": 503}, times=2)
    drive(delivery, rounds=1)
    Delivery.objects.filter(pk=delivery.pk).update(tries=150)  # of five minutes each

    waiting = drive(delivery, rounds=1)

    assert (waiting.state, waiting.tries) == (DeliveryState.PROCESSING, 151)
    assert drive(delivery).state == DeliveryState.PUBLISHED


def test_what_the_platform_has_whole_can_no_longer_be_canceled(acme, connect, make_delivery, tiktok, alice):
    delivery = make_delivery(
        acme, connection=connect(acme), state=DeliveryState.UPLOADING, publish_id="v_pub_file~v2-1.1"
    )
    Delivery.objects.update(chunk_size=delivery.total_bytes, chunk_count=1)
    tiktok.fault({"endpoint": "status"}, counts(delivery.total_bytes), times=2)

    assert engine.advance_delivery(delivery.pk) == "processing"

    assert services.cancel_delivery(delivery=fresh(delivery), user=alice) is services.CancelOutcome.TOO_LATE
