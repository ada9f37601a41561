"""Retry, cancel and mark as posted, from the page."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from publishing.models import Delivery
from publishing.states import DeliveryState, HoldReason

S = DeliveryState


def act(client, delivery, what, slug="acme"):
    answer = client.post(f"/w/{slug}/deliveries/{delivery.pk}/{what}/", follow=True)
    delivery.refresh_from_db()
    return re.sub(r"\s+", " ", answer.content.decode())


@pytest.fixture
def editor(erin, browser_of):
    return browser_of(erin)


@pytest.mark.parametrize("state", [S.FAILED, S.CANCELED])
def test_retry_sends_it_again(editor, acme, make_delivery, state):
    delivery = make_delivery(acme, state=state, wake_at=None)

    page = act(editor, delivery, "retry")

    assert delivery.state == S.SCHEDULED
    assert delivery.wake_at is not None
    assert "It is being sent again." in page


def test_retry_of_a_published_post_does_nothing_and_says_so(editor, acme, make_delivery):
    delivery = make_delivery(acme, state=S.PUBLISHED, wake_at=None)

    page = act(editor, delivery, "retry")

    assert delivery.state == S.PUBLISHED
    assert "nothing was done" in page


def test_cancel_of_a_waiting_post_says_that_nothing_will_be_posted(editor, acme, make_delivery):
    delivery = make_delivery(acme)

    page = act(editor, delivery, "cancel")

    assert delivery.state == S.CANCELED
    assert "Canceled. Nothing was posted, and nothing will be." in page


def test_cancel_of_a_post_in_a_workers_hands_says_that_it_is_stopping(editor, acme, make_delivery):
    delivery = make_delivery(
        acme,
        state=S.UPLOADING,
        lease_token=uuid.uuid4(),
        lease_until=timezone.now() + timedelta(minutes=1),
    )

    page = act(editor, delivery, "cancel")

    assert delivery.cancel_requested_at is not None
    assert "Stopping" in page


def test_cancel_that_comes_too_late_is_honest(editor, acme, make_delivery):
    delivery = make_delivery(acme, state=S.PROCESSING, committed_at=timezone.now())

    page = act(editor, delivery, "cancel")

    assert delivery.state == S.PROCESSING
    assert "Too late to cancel: the whole video is with TikTok already." in page


def test_cancel_of_an_unconfirmed_post_does_not_claim_that_nothing_was_posted(editor, acme, make_delivery):
    delivery = make_delivery(
        acme, state=S.HELD, wake_at=None, hold_reason=HoldReason.UNCONFIRMED, committed_at=timezone.now()
    )

    page = act(editor, delivery, "cancel")

    assert delivery.state == S.CANCELED
    assert "Nothing was posted" not in page
    assert "it may be there" in page


def test_cancel_of_an_ended_post_does_nothing_and_says_so(editor, acme, make_delivery):
    delivery = make_delivery(acme, state=S.FAILED, wake_at=None)

    assert "nothing was done" in act(editor, delivery, "cancel")
    assert delivery.state == S.FAILED


def test_a_person_who_found_it_there_marks_it_as_posted(editor, acme, make_delivery):
    delivery = make_delivery(acme, state=S.HELD, wake_at=None, hold_reason=HoldReason.UNCONFIRMED)

    assert "Marked as posted." in act(editor, delivery, "posted")
    assert delivery.state == S.PUBLISHED


def test_only_an_unconfirmed_post_can_be_marked_as_posted(editor, acme, make_delivery):
    delivery = make_delivery(acme, state=S.HELD, wake_at=None, hold_reason=HoldReason.RECONNECT)

    assert "nothing was done" in act(editor, delivery, "posted")
    assert delivery.state == S.HELD


@pytest.mark.parametrize("what", ["retry", "cancel", "posted"])
@pytest.mark.parametrize(("who", "status"), [("vic", 403), ("mallory", 404)])
def test_viewers_and_strangers_cannot_act(request, acme, browser_of, make_delivery, what, who, status):
    delivery = make_delivery(acme)
    client = browser_of(request.getfixturevalue(who))

    assert client.post(f"/w/acme/deliveries/{delivery.pk}/{what}/").status_code == status
    assert Delivery.objects.get(pk=delivery.pk).state == S.SCHEDULED


@pytest.mark.parametrize("what", ["retry", "cancel", "posted"])
def test_a_delivery_of_another_workspace_is_not_found(acme, mallory, browser_of, make_delivery, what):
    delivery = make_delivery(acme)

    assert browser_of(mallory).post(f"/w/rival/deliveries/{delivery.pk}/{what}/").status_code == 404


@pytest.mark.parametrize("what", ["retry", "cancel", "posted"])
def test_looking_changes_nothing(editor, acme, make_delivery, what):
    delivery = make_delivery(acme)

    assert editor.get(f"/w/acme/deliveries/{delivery.pk}/{what}/").status_code == 405
