"""One row, one worker: claims, leases, fencing and the graph of states."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import connection as database
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from publishing.models import Delivery, IllegalTransitionError, StaleTransitionError
from publishing.states import EDGES, DeliveryState

LEASE = timedelta(seconds=30)
pytestmark = pytest.mark.django_db


def test_claim_takes_a_due_row(acme, make_delivery):
    delivery = make_delivery(acme)

    claimed = Delivery.objects.claim(delivery.pk, lease=LEASE)

    assert claimed is not None
    assert claimed.lease_token is not None
    assert claimed.claim_count == 1


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"wake_at": None}, id="nobody must wake it"),
        pytest.param({"wake_at": timezone.now() + timedelta(hours=1)}, id="its time has not come"),
        pytest.param(
            {"lease_token": uuid.uuid4(), "lease_until": timezone.now() + timedelta(hours=1)},
            id="somebody has it",
        ),
    ],
)
def test_claim_leaves_a_row_that_is_not_free(acme, make_delivery, fields):
    delivery = make_delivery(acme, **fields)

    assert Delivery.objects.claim(delivery.pk, lease=LEASE) is None


def test_claim_takes_over_when_the_lease_has_ended(acme, make_delivery):
    dead = uuid.uuid4()
    delivery = make_delivery(acme, lease_token=dead, lease_until=timezone.now() - timedelta(seconds=1))

    claimed = Delivery.objects.claim(delivery.pk, lease=LEASE)

    assert claimed is not None
    assert claimed.lease_token != dead


@pytest.mark.django_db(transaction=True)
def test_claim_by_many_at_once_is_won_by_one(acme, make_delivery):
    delivery = make_delivery(acme)
    start = threading.Barrier(8)
    won: list[Delivery] = []

    def claim() -> None:
        start.wait()
        try:
            row = Delivery.objects.claim(delivery.pk, lease=LEASE)
            if row is not None:
                won.append(row)
        finally:
            database.close()

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)

    assert len(won) == 1


def test_a_worker_that_lost_its_lease_can_write_nothing(acme, make_delivery):
    delivery = make_delivery(acme)
    frozen = Delivery.objects.claim(delivery.pk, lease=LEASE)
    assert frozen is not None
    Delivery.objects.filter(pk=delivery.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    successor = Delivery.objects.claim(delivery.pk, lease=LEASE)
    assert successor is not None

    for write in (
        lambda: frozen.advance(DeliveryState.PREPARING),
        lambda: frozen.record(sent_bytes=0),
        lambda: frozen.renew(LEASE),
        lambda: frozen.release(wake_in=None),
    ):
        with pytest.raises(StaleTransitionError):
            write()

    successor.refresh_from_db()
    assert successor.state == DeliveryState.SCHEDULED
    assert successor.wake_at is not None


def test_release_hands_the_row_to_the_next_claim(acme, make_delivery):
    delivery = make_delivery(acme)
    claimed = Delivery.objects.claim(delivery.pk, lease=LEASE)
    assert claimed is not None

    claimed.release(wake_in=timedelta(0))

    assert Delivery.objects.claim(delivery.pk, lease=LEASE) is not None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(source=st.sampled_from(DeliveryState), target=st.sampled_from(DeliveryState))
def test_no_undeclared_edge_is_ever_taken(acme, make_delivery, source, target):
    delivery = make_delivery(acme, state=source, hold_reason="reconnect")

    if target in EDGES[source]:
        delivery.advance(target)
        assert Delivery.objects.get(pk=delivery.pk).state == target
    else:
        with pytest.raises(IllegalTransitionError):
            delivery.advance(target)
        assert Delivery.objects.get(pk=delivery.pk).state == source
