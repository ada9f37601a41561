"""How long the engine asks on: over days for the end, for two days for a post's id."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from publishing.models import Delivery
from publishing.states import DeliveryState
from tests.publishing.test_engine import PUBLIC, drive

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("days", "state"),
    [
        pytest.param(6, DeliveryState.PROCESSING, id="six days are not too long"),
        pytest.param(8, DeliveryState.HELD, id="after a week a person is asked"),
    ],
)
def test_processing_is_followed_over_days(acme, connect, make_delivery, tiktok, days, state):
    tiktok.settings(processing_seconds=3600.0 * 24 * 30)
    delivery = drive(
        make_delivery(acme, connection=connect(acme), options=PUBLIC), until={DeliveryState.PROCESSING}
    )
    Delivery.objects.update(state_changed_at=timezone.now() - timedelta(days=days))

    delivery = drive(delivery, rounds=1)

    assert delivery.state == state
    assert delivery.wake_at is None or delivery.wake_at > timezone.now() + timedelta(minutes=50)


@pytest.mark.parametrize(
    ("hours", "is_asked"),
    [pytest.param(47, True, id="it may come yet"), pytest.param(49, False, id="it comes no more")],
)
def test_a_post_id_is_awaited_for_two_days(acme, connect, make_delivery, tiktok, hours, is_asked):
    tiktok.settings(moderation_seconds=3600.0 * 24 * 30)
    delivery = drive(
        make_delivery(acme, connection=connect(acme), options=PUBLIC), until={DeliveryState.PUBLISHED}
    )
    Delivery.objects.update(state_changed_at=timezone.now() - timedelta(hours=hours))

    delivery = drive(delivery, rounds=1)

    assert (delivery.state, delivery.wake_at is not None) == (DeliveryState.PUBLISHED, is_asked)
