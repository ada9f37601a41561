"""What people do with posts stands in the audit log; what was refused does not, and no caption."""

from __future__ import annotations

import uuid

import pytest
from django.db import IntegrityError

from accounts.models import AuditEvent
from connections.providers.base import PublishMode
from publishing import services
from publishing.models import Delivery, IllegalTransitionError, Post
from publishing.states import DeliveryState, HoldReason

pytestmark = pytest.mark.django_db


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))


@pytest.fixture
def create(acme, alice, make_video, make_connection):
    """Return a maker of posts through the service."""
    video, connection = make_video(acme), make_connection(acme)

    def make(**changes):
        values = {
            "workspace": acme,
            "user": alice,
            "video": video,
            "connection": connection,
            "caption": "a private caption",
            "mode": PublishMode.DIRECT,
            "options": {},
        }
        return services.create_post(**(values | changes))

    return make


def test_create_is_recorded_with_ids_and_without_the_caption(create, alice, acme):
    post = create()

    event = AuditEvent.objects.get()
    assert (event.action, event.actor_id, event.workspace_id) == ("post.created", alice.pk, acme.pk)
    assert event.details["post"] == str(post.pk)
    assert "private caption" not in str(event.details)


def test_create_called_twice_with_one_key_is_recorded_once(create):
    key = uuid.uuid4()
    create(submission_key=key)
    create(submission_key=key)

    assert actions() == ["post.created"]


def test_create_that_fails_leaves_neither_post_nor_event(create, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise IntegrityError("no audit today")

    monkeypatch.setattr(services.audit, "record", fail)

    with pytest.raises(IntegrityError):
        create()

    assert not Post.objects.exists()


def test_cancel_and_retry_are_recorded(create, alice, vic):
    delivery = create().deliveries.get()
    services.cancel_delivery(delivery=delivery, user=vic)
    services.retry_delivery(delivery=delivery, user=alice)

    assert actions() == ["post.created", "post.canceled", "post.retried"]
    assert AuditEvent.objects.get(action="post.canceled").actor_id == vic.pk


def test_cancel_that_comes_too_late_is_not_recorded(acme, alice, make_delivery):
    delivery = make_delivery(acme, state=DeliveryState.PUBLISHED, wake_at=None)

    with pytest.raises(IllegalTransitionError):
        services.cancel_delivery(delivery=delivery, user=alice)
    with pytest.raises(IllegalTransitionError):
        services.retry_delivery(delivery=delivery, user=alice)

    assert actions() == []


def test_mark_as_posted_is_recorded(acme, alice, make_delivery):
    delivery = make_delivery(
        acme,
        state=DeliveryState.HELD,
        hold_reason=HoldReason.UNCONFIRMED,
        held_from="processing",
        wake_at=None,
    )

    services.mark_as_posted(delivery=delivery, user=alice)

    assert actions() == ["post.marked_as_posted"]
    assert Delivery.objects.get().state == DeliveryState.PUBLISHED
