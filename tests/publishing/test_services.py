"""What people do with posts: create, cancel, retry, decide. Each says truly what it did."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from connections.providers.base import PublishMode
from publishing import engine, preparing, sending, services
from publishing.models import Delivery, IllegalTransitionError, Post
from publishing.presentation import describe
from publishing.services import CancelOutcome
from publishing.states import DeliveryState, HoldReason

pytestmark = pytest.mark.django_db
PUBLIC = {"privacy_level": "PUBLIC_TO_EVERYONE"}


@pytest.fixture
def create(acme, alice, make_video, make_connection):
    """Return a maker of posts through the service."""
    video, connection = make_video(acme), make_connection(acme)

    def make(**fields: object) -> Post:
        values = {
            "workspace": acme,
            "user": alice,
            "video": video,
            "connection": connection,
            "caption": "hello",
            "mode": PublishMode.DIRECT,
            "options": PUBLIC,
        } | fields
        return services.create_post(**values)

    return make


def test_create_post_makes_one_delivery_that_is_due(create, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as rings:
        post = create()

    [delivery] = post.deliveries.all()
    assert delivery in Delivery.objects.due()
    assert len(rings) == 1


def test_create_post_twice_with_one_key_is_one_post(create):
    key = uuid.uuid4()

    first, second = create(submission_key=key), create(submission_key=key, caption="again")

    assert first == second
    assert Delivery.objects.count() == 1


def test_create_post_for_later_rings_for_nobody(create, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as rings:
        post = create(scheduled_at=timezone.now() + timedelta(hours=2))

    assert rings == []
    assert not Delivery.objects.due().filter(post=post).exists()


def test_create_post_refuses_another_workspaces_connection(create, rival, make_connection):
    with pytest.raises(ValueError, match="share a workspace"):
        create(connection=make_connection(rival))

    assert Post.objects.count() == 0


def test_create_post_refuses_another_workspaces_video(create, rival, make_video):
    with pytest.raises(ValueError, match="share a workspace"):
        create(video=make_video(rival))


def test_cancel_of_a_waiting_post_is_done_at_once(acme, make_delivery, alice):
    delivery = make_delivery(acme)

    assert services.cancel_delivery(delivery=delivery, user=alice) is CancelOutcome.CANCELED
    assert delivery.state == DeliveryState.CANCELED
    assert delivery.wake_at is None
    assert engine.advance_delivery(delivery.pk) == "not free"


def test_cancel_while_a_worker_holds_the_row_leaves_it_the_wish(acme, make_delivery, alice):
    delivery = make_delivery(acme)
    Delivery.objects.claim(delivery.pk, lease=timedelta(seconds=30))

    assert services.cancel_delivery(delivery=delivery, user=alice) is CancelOutcome.STOPPING
    delivery.refresh_from_db()
    assert delivery.cancel_requested_at is not None
    assert delivery.state == DeliveryState.SCHEDULED


def test_cancel_in_the_middle_of_a_chunk_posts_nothing(
    acme, alice, connect, make_delivery, tiktok, monkeypatch
):
    delivery = make_delivery(acme, connection=connect(acme), options=PUBLIC)
    real = sending._watched_blocks

    def cancel_first(*args: object) -> object:
        outcome = services.cancel_delivery(delivery=Delivery.objects.get(pk=delivery.pk), user=alice)
        assert outcome is CancelOutcome.STOPPING
        return real(*args)

    monkeypatch.setattr(sending, "_watched_blocks", cancel_first)

    assert engine.advance_delivery(delivery.pk) == "canceled"

    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.CANCELED
    assert tiktok.posts() == []


def test_cancel_after_the_last_block_is_too_late(acme, alice, connect, make_delivery, tiktok, monkeypatch):
    delivery = make_delivery(acme, connection=connect(acme), options=PUBLIC)
    real, outcomes = sending._commit, []

    def cancel_after(row: Delivery) -> None:
        real(row)
        outcomes.append(services.cancel_delivery(delivery=Delivery.objects.get(pk=delivery.pk), user=alice))

    monkeypatch.setattr(sending, "_commit", cancel_after)

    engine.advance_delivery(delivery.pk)

    assert outcomes == [CancelOutcome.TOO_LATE]
    assert len(tiktok.posts()) == 1
    assert Delivery.objects.get(pk=delivery.pk).cancel_requested_at is None


def test_a_cancel_asked_of_a_worker_that_died_is_honored_by_the_next(
    acme, alice, connect, make_delivery, tiktok
):
    delivery = make_delivery(acme, connection=connect(acme), options=PUBLIC)
    Delivery.objects.claim(delivery.pk, lease=timedelta(seconds=30))
    services.cancel_delivery(delivery=delivery, user=alice)
    Delivery.objects.update(lease_until=Now() - timedelta(seconds=1))

    engine.advance_delivery(delivery.pk)

    assert Delivery.objects.get(pk=delivery.pk).state == DeliveryState.CANCELED
    assert tiktok.control("GET", "/tasks") == []


@pytest.mark.parametrize("state", [DeliveryState.PUBLISHED, DeliveryState.FAILED, DeliveryState.CANCELED])
def test_cancel_at_an_end_is_refused(acme, make_delivery, alice, state):
    delivery = make_delivery(acme, state=state)

    with pytest.raises(IllegalTransitionError):
        services.cancel_delivery(delivery=delivery, user=alice)


def test_cancel_while_processing_is_too_late(acme, make_delivery, alice):
    delivery = make_delivery(acme, state=DeliveryState.PROCESSING, committed_at=timezone.now())

    assert services.cancel_delivery(delivery=delivery, user=alice) is CancelOutcome.TOO_LATE
    assert Delivery.objects.get(pk=delivery.pk).state == DeliveryState.PROCESSING


def test_retry_starts_a_failed_post_anew(acme, alice, connect, make_delivery, tiktok):
    tiktok.control("PATCH", "/creators/demo.public", {"next_failure": "spam_risk_text"})
    delivery = make_delivery(acme, connection=connect(acme), options=PUBLIC)
    for _ in range(3):
        Delivery.objects.filter(wake_at__isnull=False).update(wake_at=timezone.now())
        engine.advance_delivery(delivery.pk)
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.FAILED

    services.retry_delivery(delivery=delivery, user=alice)
    for _ in range(3):
        Delivery.objects.filter(wake_at__isnull=False).update(wake_at=timezone.now())
        engine.advance_delivery(delivery.pk)

    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.PUBLISHED
    assert delivery.reason_code == ""
    assert len(tiktok.posts()) == 1


@pytest.mark.parametrize(
    "state",
    [DeliveryState.PUBLISHED, DeliveryState.PROCESSING, DeliveryState.UPLOADING, DeliveryState.SCHEDULED],
)
def test_retry_of_what_is_done_or_under_way_is_refused(acme, make_delivery, alice, state):
    delivery = make_delivery(acme, state=state)

    with pytest.raises(IllegalTransitionError):
        services.retry_delivery(delivery=delivery, user=alice)


def test_mark_as_posted_ends_an_unconfirmed_post(acme, make_delivery, alice):
    delivery = make_delivery(acme, state=DeliveryState.HELD, hold_reason=HoldReason.UNCONFIRMED)

    services.mark_as_posted(delivery=delivery, user=alice)

    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.PUBLISHED
    assert delivery.attempts.get(outcome="marked as posted").detail == {
        "by": alice.email,
        "by_id": str(alice.pk),
    }


@pytest.mark.parametrize("reason", [HoldReason.RECONNECT, HoldReason.CONFIGURATION])
@pytest.mark.parametrize("doubt", ["committed_at", "pull_requested_at"])
def test_mark_as_posted_ends_what_is_held_for_another_reason_and_may_be_there(
    acme, make_delivery, alice, reason, doubt
):
    since = {doubt: timezone.now()}
    delivery = make_delivery(acme, state=DeliveryState.HELD, hold_reason=reason, wake_at=None, **since)

    services.mark_as_posted(delivery=delivery, user=alice)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.wake_at) == (DeliveryState.PUBLISHED, None)


@pytest.mark.parametrize(
    ("state", "reason"),
    [(DeliveryState.HELD, HoldReason.RECONNECT), (DeliveryState.FAILED, ""), (DeliveryState.PROCESSING, "")],
)
def test_mark_as_posted_is_refused_where_nothing_is_unconfirmed(acme, make_delivery, alice, state, reason):
    delivery = make_delivery(acme, state=state, hold_reason=reason)

    with pytest.raises(IllegalTransitionError):
        services.mark_as_posted(delivery=delivery, user=alice)


def test_losing_the_account_holds_what_waits_and_leaves_what_is_done(acme, make_delivery, make_connection):
    connection, other = make_connection(acme), make_connection(acme)
    waiting = make_delivery(acme, connection=connection)
    done = make_delivery(acme, connection=connection, state=DeliveryState.PUBLISHED, wake_at=None)
    elsewhere = make_delivery(acme, connection=other)

    assert services.hold_open(connection) == 1

    states = [Delivery.objects.get(pk=row.pk).state for row in (waiting, done, elsewhere)]
    assert states == [DeliveryState.HELD, DeliveryState.PUBLISHED, DeliveryState.SCHEDULED]


def test_reconnecting_keeps_a_later_time(acme, make_delivery, make_connection):
    connection = make_connection(acme)
    later = timezone.now() + timedelta(days=1)
    delivery = make_delivery(acme, connection=connection, wake_at=later)
    delivery.post.scheduled_at = later
    delivery.post.save()
    services.hold_open(connection)

    services.resume_held(connection)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.wake_at) == (DeliveryState.SCHEDULED, later)


def test_reconnecting_leaves_what_waits_for_a_decision(acme, make_delivery, make_connection):
    connection = make_connection(acme)
    delivery = make_delivery(
        acme,
        connection=connection,
        state=DeliveryState.HELD,
        hold_reason=HoldReason.UNCONFIRMED,
        wake_at=None,
    )

    assert services.resume_held(connection) == 0
    assert Delivery.objects.get(pk=delivery.pk).state == DeliveryState.HELD


@pytest.mark.parametrize("reason", [HoldReason.RECONNECT, HoldReason.CONFIGURATION])
@pytest.mark.parametrize(
    "way", [{"committed_at": timezone.now()}, {"pull_requested_at": timezone.now()}], ids=["sent", "pulled"]
)
def test_retry_of_a_post_held_while_it_may_be_posted_asks_for_its_job_and_sends_nothing(
    acme, make_delivery, alice, reason, way
):
    delivery = make_delivery(
        acme,
        state=DeliveryState.HELD,
        hold_reason=reason,
        held_from=DeliveryState.PROCESSING,
        publish_id="v_pub_file~v2-1.1",
        wake_at=None,
        **way,
    )

    services.retry_delivery(delivery=delivery, user=alice)

    delivery = Delivery.objects.get(pk=delivery.pk)
    assert (delivery.state, delivery.publish_id) == (DeliveryState.PROCESSING, "v_pub_file~v2-1.1")
    assert delivery.may_be_posted
    assert delivery.wake_at is not None


def test_retry_after_the_operator_put_the_settings_right_leaves_one_post(
    acme, alice, connect, make_delivery, tiktok
):
    delivery = make_delivery(acme, connection=connect(acme), options=PUBLIC)
    tiktok.fault({"endpoint": "status"}, {"status": 401, "code": "access_token_invalid"})
    tiktok.fault({"endpoint": "token"}, {"status": 401, "code": "invalid_client"})
    engine.advance_delivery(delivery.pk)
    held = Delivery.objects.select_related("post").get(pk=delivery.pk)
    assert (held.state, held.hold_reason) == (DeliveryState.HELD, HoldReason.CONFIGURATION)

    services.retry_delivery(delivery=held, user=alice)
    engine.advance_delivery(delivery.pk)

    assert Delivery.objects.get(pk=delivery.pk).state == DeliveryState.PUBLISHED
    assert len(tiktok.posts()) == 1


@pytest.mark.parametrize("reason", [HoldReason.UNCONFIRMED, HoldReason.RECONNECT, HoldReason.CONFIGURATION])
@pytest.mark.parametrize("way", ["sent", "pulled"])
def test_cancel_of_a_held_post_that_may_be_there_ends_it_and_says_so(acme, make_delivery, alice, way, reason):
    asked_at = timezone.now() - timedelta(hours=1)
    delivery = make_delivery(
        acme,
        state=DeliveryState.HELD,
        hold_reason=reason,
        wake_at=None,
        **({"committed_at": asked_at} if way == "sent" else {"pull_requested_at": asked_at}),
    )

    assert services.cancel_delivery(delivery=delivery, user=alice) is CancelOutcome.CANCELED

    [sentence] = describe(Delivery.objects.get(pk=delivery.pk), now=timezone.now()).sentences
    assert "it may be there" in sentence


def test_a_cancel_is_not_kept_waiting_by_a_cap_that_the_worker_meets_meanwhile(
    acme, alice, connect, make_delivery, tiktok, monkeypatch
):
    delivery = make_delivery(acme, connection=connect(acme), options=PUBLIC)
    tiktok.fault({"endpoint": "creator_info"}, {"code": "spam_risk_too_many_posts"})
    real = preparing.creator_info_for

    def cancel_first(*args: object, **kwargs: object) -> object:
        outcome = services.cancel_delivery(delivery=Delivery.objects.get(pk=delivery.pk), user=alice)
        assert outcome is CancelOutcome.STOPPING
        return real(*args, **kwargs)

    monkeypatch.setattr(preparing, "creator_info_for", cancel_first)
    assert engine.advance_delivery(delivery.pk) == "waits"

    assert engine.advance_delivery(delivery.pk) == "canceled"
    assert tiktok.posts() == []
