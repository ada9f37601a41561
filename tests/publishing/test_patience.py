"""How long the engine waits and asks on: as a rate limit says, over days for the end, two days for a post's id."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from publishing import engine
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


@pytest.mark.parametrize(
    ("told", "least", "most"),
    [
        pytest.param({"retry_after": 1800}, 1800, 1801, id="as long as it asks for"),
        pytest.param({"retry_after": 40_000_000}, 86_400, 86_401, id="a day if it asks for a year"),
        pytest.param({"retry_after": 0}, 1, 2, id="a second if it asks for none"),
        pytest.param({}, 60, 61, id="a minute if it says nothing"),
    ],
)
@pytest.mark.parametrize("endpoint", ["creator_info", "video_init"])
def test_a_rate_limit_is_waited_out(acme, connect, make_delivery, tiktok, endpoint, told, least, most):
    delivery = make_delivery(acme, connection=connect(acme), options=PUBLIC)
    tiktok.fault({"endpoint": endpoint}, {"status": 429, "code": "rate_limit_exceeded", **told})

    started_at = timezone.now()

    assert engine.advance_delivery(delivery.pk) == "waits"

    asked_at = timezone.now()
    delivery.refresh_from_db()
    assert least < (delivery.wake_at - started_at).total_seconds()
    assert (delivery.wake_at - asked_at).total_seconds() < most
    assert "slower" in delivery.reason_message


def test_a_rate_limit_in_the_middle_of_an_upload_is_waited_out_too(acme, connect, make_delivery, tiktok):
    delivery = make_delivery(acme, connection=connect(acme), options=PUBLIC)
    tiktok.fault({"endpoint": "upload"}, {"status": 429, "retry_after": 1800})

    assert engine.advance_delivery(delivery.pk) == "waits"

    delivery.refresh_from_db()
    assert delivery.wake_at > timezone.now() + timedelta(minutes=29)
    assert delivery.state == DeliveryState.UPLOADING
