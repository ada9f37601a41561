"""Upload slots: a crowd of one workspace leaves room for another's single delivery."""

from __future__ import annotations

import pytest

from publishing import leaving
from publishing.models import Delivery
from publishing.slots import Slots

pytestmark = pytest.mark.django_db


@pytest.fixture
def in_hand(make_delivery):
    """Return a taker of a delivery of a workspace, as a worker of this process has it."""
    from contextlib import ExitStack
    from datetime import timedelta

    with ExitStack() as stack:

        def take(workspace):
            delivery = Delivery.objects.claim(make_delivery(workspace).pk, lease=timedelta(seconds=30))
            stack.enter_context(leaving.in_hand(delivery))

        yield take


def test_a_workspace_alone_leaves_the_last_quarter_free(acme, rival, make_delivery, in_hand):
    slots = Slots(4)
    for _ in range(3):
        assert slots.take(make_delivery(acme).pk)
    in_hand(acme)

    assert slots.take(make_delivery(acme).pk) is None
    assert slots.take(make_delivery(rival).pk) is not None


def test_a_slot_that_was_given_back_is_taken_again(acme, rival, make_delivery, in_hand):
    slots = Slots(4)
    taken = [slots.take(make_delivery(acme).pk) for _ in range(3)]
    in_hand(acme)
    reserved = slots.take(make_delivery(rival).pk)
    in_hand(rival)
    assert slots.take(make_delivery(rival).pk) is None

    taken[0].release()
    reserved.release()

    assert slots.take(make_delivery(acme).pk) is not None
    assert slots.take(make_delivery(acme).pk) is None


def test_hand_back_all_frees_what_is_in_hand_at_once(acme, make_delivery, in_hand):
    in_hand(acme)

    assert leaving.hand_back_all() == 1

    row = Delivery.objects.get()
    assert row.lease_token is None
    assert Delivery.objects.due().filter(pk=row.pk).exists()
