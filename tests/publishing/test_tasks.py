"""What a worker's thread does by itself after the delivery that it was rung for."""

from __future__ import annotations

import uuid

import pytest
from django.utils import timezone

from accounts.scopes import System, system_scope
from publishing import dispatch, engine, leaving, tasks
from publishing.models import Delivery
from publishing.slots import Slots
from publishing.states import DeliveryState

pytestmark = pytest.mark.django_db


@pytest.fixture
def advanced(monkeypatch) -> list[uuid.UUID]:
    """The deliveries that the engine was given; each is thereby done."""
    given: list[uuid.UUID] = []

    def advance(delivery_id: uuid.UUID) -> str:
        given.append(delivery_id)
        with system_scope(System.CLAIM):
            Delivery.objects.filter(pk=delivery_id).update(wake_at=None)
        return "done"

    monkeypatch.setattr(engine, "advance_delivery", advance)
    return given


@pytest.fixture
def due(acme, make_delivery, make_connection):
    """Return a maker of three due deliveries of one account in a state."""
    ours = make_connection(acme)
    return lambda state: [make_delivery(acme, connection=ours, state=state) for _ in range(3)]


@pytest.fixture
def slots(monkeypatch) -> Slots:
    """Four upload slots, the last of which is for workspaces with nothing in hand."""
    slots = Slots(4)
    monkeypatch.setattr(tasks, "_slots", slots)
    return slots


@pytest.fixture
def asked_to_end_after_one(monkeypatch):
    """Let SIGTERM arrive while the first delivery is worked on."""
    real = engine.advance_delivery

    def advance(delivery_id: uuid.UUID) -> str:
        leaving.stopping.set()
        return real(delivery_id)

    monkeypatch.setattr(engine, "advance_delivery", advance)
    yield
    leaving.stopping.clear()


BOTH = pytest.mark.parametrize(
    ("task", "state"),
    [
        pytest.param(tasks.upload_delivery, DeliveryState.SCHEDULED, id="uploads"),
        pytest.param(tasks.poll_delivery, DeliveryState.PROCESSING, id="polls"),
    ],
)


@BOTH
def test_a_free_hand_goes_on_with_what_is_due(due, advanced, slots, task, state):
    rows = due(state)

    task(delivery_id=str(rows[0].pk))

    assert advanced[0] == rows[0].pk
    assert sorted(advanced) == sorted(row.pk for row in rows)


@BOTH
def test_a_worker_that_is_asked_to_end_goes_on_with_nothing(
    due, advanced, slots, asked_to_end_after_one, task, state
):
    rows = due(state)

    task(delivery_id=str(rows[0].pk))

    assert advanced == [rows[0].pk]


@BOTH
def test_a_worker_that_was_asked_to_end_begins_nothing_and_lets_another_be_rung(
    due, advanced, slots, monkeypatch, task, state
):
    [row, *_] = due(state)
    Delivery.objects.filter(pk=row.pk).update(rung_at=row.wake_at)
    monkeypatch.setattr(leaving.stopping, "is_set", lambda: True)

    assert task(delivery_id=str(row.pk)) == "not now"

    assert advanced == []
    assert Delivery.objects.get(pk=row.pk).rung_at is None


def test_a_slot_kept_free_for_others_is_given_back_after_one_delivery(due, advanced, slots):
    rows = due(DeliveryState.SCHEDULED)
    held = [slots.take(rows[0].pk) for _ in range(3)]

    tasks.upload_delivery(delivery_id=str(rows[0].pk))

    assert advanced == [rows[0].pk]
    assert not slots.is_open(slots.take(rows[1].pk))
    for slot in held:
        slot.release()


def test_an_upload_without_a_slot_is_not_rung_again_at_once(due, advanced, slots, monkeypatch):
    [row, *_] = due(DeliveryState.SCHEDULED)
    monkeypatch.setattr(slots, "take", lambda _: None)

    assert tasks.upload_delivery(delivery_id=str(row.pk)) == "no slot free"

    assert advanced == []
    assert Delivery.objects.get(pk=row.pk).rung_at > timezone.now() - dispatch.RING_AGAIN


def test_polls_make_way_after_a_while(due, advanced, monkeypatch):
    rows = due(DeliveryState.PROCESSING)
    monkeypatch.setattr(tasks, "POLL_STRETCH_S", 0.0)

    tasks.poll_delivery(delivery_id=str(rows[0].pk))

    assert advanced == [rows[0].pk]
