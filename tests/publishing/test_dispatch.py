"""The doorbell: what is rung for, in which order, and how often."""

from __future__ import annotations

import threading
import uuid
from datetime import datetime, timedelta

import pytest
from celery.beat import Scheduler
from django.db import connection as database
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import OperationalError

from config import celery_app
from publishing import dispatch, tasks
from publishing.models import Delivery, Post
from publishing.states import DeliveryState

pytestmark = pytest.mark.django_db


def _age_rings(seconds: float) -> None:
    Delivery.objects.update(rung_at=timezone.now() - timedelta(seconds=seconds))


def test_pick_due_takes_what_is_awake_and_free(acme, make_delivery):
    due = make_delivery(acme)
    make_delivery(acme, wake_at=None)
    make_delivery(acme, wake_at=timezone.now() + timedelta(minutes=1))
    make_delivery(acme, lease_token=uuid.uuid4(), lease_until=timezone.now() + timedelta(minutes=1))

    assert [ring.delivery_id for ring in dispatch.pick_due(dispatch.UPLOAD_STATES)] == [due.pk]


def test_pick_due_does_not_ring_twice_in_a_row(acme, make_delivery):
    make_delivery(acme)
    dispatch.pick_due(dispatch.UPLOAD_STATES)

    assert dispatch.pick_due(dispatch.UPLOAD_STATES) == []


def test_pick_due_rings_again_for_a_lost_message(acme, make_delivery):
    delivery = make_delivery(acme)
    dispatch.pick_due(dispatch.UPLOAD_STATES)
    _age_rings(dispatch.RING_AGAIN.total_seconds() + 1)

    assert [ring.delivery_id for ring in dispatch.pick_due(dispatch.UPLOAD_STATES)] == [delivery.pk]


def test_pick_due_deals_one_workspace_after_another(acme, rival, make_delivery, make_connection, monkeypatch):
    monkeypatch.setattr(dispatch, "MAX_RUNG", 4)
    ours = make_connection(acme)
    for _ in range(10):
        make_delivery(acme, connection=ours, wake_at=timezone.now() - timedelta(hours=1))
    late = make_delivery(rival)

    picked = {ring.delivery_id for ring in dispatch.pick_due(dispatch.UPLOAD_STATES)}

    assert late.pk in picked
    assert len(picked) == 4


def test_pick_due_leaves_a_full_queue_alone(acme, make_delivery, make_connection, monkeypatch):
    monkeypatch.setattr(dispatch, "MAX_RUNG", 3)
    ours = make_connection(acme)
    for _ in range(5):
        make_delivery(acme, connection=ours)

    first, second = dispatch.pick_due(dispatch.UPLOAD_STATES), dispatch.pick_due(dispatch.UPLOAD_STATES)

    assert (len(first), len(second)) == (3, 0)


def test_pick_next_serves_the_workspace_with_less_under_way(acme, rival, make_delivery, make_connection):
    ours = make_connection(acme)
    for _ in range(5):
        make_delivery(acme, connection=ours, wake_at=timezone.now() - timedelta(hours=1))
    late = make_delivery(rival)
    first = dispatch.pick_next(dispatch.UPLOAD_STATES)
    Delivery.objects.claim(first.delivery_id, lease=timedelta(seconds=30))

    second = dispatch.pick_next(dispatch.UPLOAD_STATES)

    assert Delivery.objects.get(pk=first.delivery_id).workspace == acme
    assert second.delivery_id == late.pk


def test_a_row_whose_message_is_slow_is_taken_by_the_next_free_hand(acme, make_delivery):
    delivery = make_delivery(acme)
    dispatch.pick_due(dispatch.UPLOAD_STATES)
    assert dispatch.pick_next(dispatch.UPLOAD_STATES) is None

    _age_rings(dispatch.TAKE_ANYWAY.total_seconds() + 0.1)

    assert dispatch.pick_next(dispatch.UPLOAD_STATES).delivery_id == delivery.pk


def test_a_row_that_met_full_slots_is_left_alone_for_a_moment_and_then_rung_again(acme, make_delivery):
    delivery = make_delivery(acme)
    dispatch.pick_due(dispatch.UPLOAD_STATES)
    dispatch.ring_later(delivery.pk)
    assert dispatch.pick_due(dispatch.UPLOAD_STATES) == []

    Delivery.objects.update(rung_at=F("rung_at") - dispatch.BOUNCED)

    assert [ring.delivery_id for ring in dispatch.pick_due(dispatch.UPLOAD_STATES)] == [delivery.pk]


@pytest.fixture
def crowd(acme, make_connection, make_video):
    """A thousand due deliveries of one workspace, all due for longer than anybody else's."""
    video, connection = make_video(acme), make_connection(acme)
    posts = Post.objects.bulk_create(Post(workspace=acme, video=video) for _ in range(1000))
    long_due = timezone.now() - timedelta(hours=1)
    Delivery.objects.bulk_create(
        Delivery(workspace=acme, post=post, connection=connection, wake_at=long_due) for post in posts
    )


def test_one_beside_a_thousand_is_in_the_first_round_and_early_in_it(crowd, rival, make_delivery):
    late = make_delivery(rival)

    picked = [ring.delivery_id for ring in dispatch.pick_due(dispatch.UPLOAD_STATES)]

    assert len(picked) == dispatch.MAX_RUNG
    assert late.pk in picked[:2]


def test_one_that_comes_while_a_thousand_are_under_way_is_next(crowd, rival, make_delivery):
    for ring in dispatch.pick_due(dispatch.UPLOAD_STATES):
        Delivery.objects.claim(ring.delivery_id, lease=timedelta(seconds=30))
    late = make_delivery(rival)

    assert dispatch.pick_next(dispatch.UPLOAD_STATES).delivery_id == late.pk
    assert dispatch.pick_next(dispatch.UPLOAD_STATES).delivery_id != late.pk


def test_pick_due_keeps_the_order_in_which_one_workspace_waits(acme, make_delivery, make_connection):
    ours, now = make_connection(acme), timezone.now()
    waits = [3, 1, 4, 2]
    rows = {
        wait: make_delivery(acme, connection=ours, wake_at=now - timedelta(minutes=wait)).pk for wait in waits
    }

    picked = [ring.delivery_id for ring in dispatch.pick_due(dispatch.UPLOAD_STATES)]

    assert picked == [rows[4], rows[3], rows[2], rows[1]]


def test_pick_next_takes_nothing_of_the_other_kind(acme, make_delivery):
    make_delivery(acme, state=DeliveryState.PROCESSING)

    assert dispatch.pick_next(dispatch.UPLOAD_STATES) is None
    assert dispatch.pick_next(dispatch.POLL_STATES) is not None


def test_uploads_that_fill_their_queue_leave_that_of_the_polls_alone(
    acme, make_delivery, make_connection, monkeypatch
):
    monkeypatch.setattr(dispatch, "MAX_RUNG", 2)
    ours = make_connection(acme)
    for _ in range(4):
        make_delivery(acme, connection=ours)
    dispatch.pick_due(dispatch.UPLOAD_STATES)
    waiting = make_delivery(acme, connection=ours, state=DeliveryState.PROCESSING)

    assert [ring.delivery_id for ring in dispatch.pick_due(dispatch.POLL_STATES)] == [waiting.pk]


@pytest.mark.django_db(transaction=True)
def test_two_dispatchers_at_once_ring_each_row_once(acme, make_delivery, make_connection):
    ours = make_connection(acme)
    rows = {make_delivery(acme, connection=ours).pk for _ in range(30)}
    start = threading.Barrier(4)
    rung: list[uuid.UUID] = []

    def run() -> None:
        start.wait()
        try:
            rung.extend(ring.delivery_id for ring in dispatch.pick_due(dispatch.UPLOAD_STATES))
        finally:
            database.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)

    assert sorted(rung) == sorted(rows)


@pytest.mark.parametrize(
    ("state", "queue"),
    [
        (DeliveryState.SCHEDULED, "uploads"),
        (DeliveryState.UPLOADING, "uploads"),
        (DeliveryState.PROCESSING, "polls"),
        (DeliveryState.PUBLISHED, "polls"),
    ],
)
def test_dispatch_sends_each_state_to_its_queue(acme, make_delivery, state, queue):
    make_delivery(acme, state=state)

    dispatch.dispatch()

    with celery_app.connection_for_read() as broker:
        message = broker.SimpleQueue(queue).get(block=False)
    assert message.payload[1].keys() == {"delivery_id"}


def test_ring_on_commit_survives_a_dead_broker(
    acme, make_delivery, django_capture_on_commit_callbacks, monkeypatch, caplog
):
    delivery = make_delivery(acme)

    def refuse(*_: object, **__: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(tasks.upload_delivery, "apply_async", refuse)

    with django_capture_on_commit_callbacks(execute=True):
        dispatch.ring_on_commit(delivery)

    assert "broker is down" in caplog.text
    _age_rings(dispatch.RING_AGAIN.total_seconds() + 1)
    assert [ring.delivery_id for ring in dispatch.pick_due(dispatch.UPLOAD_STATES)] == [delivery.pk]


def test_every_scheduled_task_exists_and_runs(settings):
    celery_app.loader.import_default_modules()

    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        celery_app.tasks[entry["task"]]()


def test_messages_that_nobody_takes_expire_rather_than_pile_up():
    scheduler = Scheduler(app=celery_app, lazy=True)
    scheduler.setup_schedule()
    ours = [scheduler.schedule[name] for name in celery_app.conf.beat_schedule]

    for entry in ours:
        scheduler.apply_async(entry, advance=False)

    most = timezone.now() + timedelta(hours=2)
    with celery_app.connection_for_read() as broker:
        for entry in ours:
            queue = celery_app.amqp.router.route({}, entry.task)["queue"]
            message = broker.SimpleQueue(queue).get(block=False)
            assert timezone.now() < datetime.fromisoformat(message.headers["expires"]) <= most
