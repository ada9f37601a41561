"""What people are told of deliveries and accounts: one notice for each event and person, whatever is repeated."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection as database
from django.db import transaction
from django.utils import timezone

from accounts import notice_emails
from accounts.models import Membership, Notice, NoticeKind, Role
from accounts.notices import Switches, set_preferences
from connections.lifecycle import mark_disconnected, mark_needs_reauth
from connections.models import ConnectionStatus, SocialConnection, WebhookEvent
from connections.notifying import warn_of_ending_access
from connections.removals import end_authorization
from connections.tasks import warn_of_ending_access as warn_task
from publishing import ending, engine, notifying, services
from publishing.models import Delivery, StaleTransitionError
from publishing.states import DeliveryState, HoldReason
from publishing.tasks import poll_delivery, upload_delivery

pytestmark = pytest.mark.django_db
S = DeliveryState


@pytest.fixture
def delivery_of(make_delivery):
    """Return a maker of deliveries of a creator's post."""

    def make(workspace, user, **fields):
        delivery = make_delivery(workspace, **fields)
        delivery.post.created_by = user
        delivery.post.save(update_fields=["created_by"])
        return delivery

    return make


def told() -> list[tuple[str, str]]:
    """Who was told of what kind of event, in order."""
    return [(row.user.get_short_name().lower(), row.kind) for row in Notice.objects.order_by("pk")]


def fail(delivery: Delivery) -> None:
    ending.fail(delivery, code="video_too_long", message="It is too long.", next_step="Shorten it.")


def unconfirmed(delivery: Delivery) -> None:
    ending.hold(delivery, HoldReason.UNCONFIRMED, message="Nobody knows.", next_step="Look at the profile.")


# --- Deliveries -------------------------------------------------------------------------------------------------------


def test_creator_is_told_why_it_failed_and_what_to_do(acme, alice, erin, vic, mallory, delivery_of):
    delivery = delivery_of(acme, erin, caption="Day one\nof many")

    fail(delivery)

    notice = Notice.objects.get()
    assert (notice.user, notice.workspace, notice.kind) == (erin, acme, NoticeKind.FAILED)
    assert notice.title == "Not published: Day one of many"
    assert (notice.body, notice.next_step) == ("It is too long.", "Shorten it.")
    assert notice.path == f"/w/acme/posts/{delivery.post_id}/"


def test_event_that_did_not_happen_is_not_told(acme, erin, delivery_of):
    delivery = delivery_of(acme, erin)
    twin = Delivery.objects.select_related("connection", "workspace", "post").get(pk=delivery.pk)
    fail(delivery)

    with pytest.raises(StaleTransitionError):
        unconfirmed(twin)

    assert told() == [("erin", "failed")]


def test_state_does_not_change_if_the_notice_cannot_be_written(acme, erin, delivery_of, monkeypatch):
    delivery = delivery_of(acme, erin)

    def die(*_: object) -> None:
        raise ConnectionError("killed here")

    monkeypatch.setattr(notifying, "tell", die)
    with pytest.raises(ConnectionError):
        fail(delivery)

    assert delivery.state == Delivery.objects.get(pk=delivery.pk).state == S.SCHEDULED
    monkeypatch.undo()
    fail(delivery)
    assert told() == [("erin", "failed")]


def test_death_right_after_the_change_loses_no_email(acme, erin, delivery_of):
    fail(delivery_of(acme, erin))  # and here the worker is killed

    assert notice_emails.send_due() == "sent=1 failed=0"
    assert mail.outbox[0].to == ["erin@example.com"]


def test_failing_again_after_a_retry_is_another_event(acme, erin, delivery_of):
    delivery = delivery_of(acme, erin)
    fail(delivery)
    services.retry_delivery(delivery=delivery, user=erin)
    fail(Delivery.objects.select_related("connection", "workspace", "post__video").get(pk=delivery.pk))

    assert told() == [("erin", "failed")] * 2


def test_held_with_a_question_is_told_with_the_question(acme, erin, delivery_of):
    unconfirmed(delivery_of(acme, erin, state=S.PROCESSING))

    notice = Notice.objects.get()
    assert notice.kind == NoticeKind.HELD
    assert notice.body == "It may already be posted. Nobody knows."
    assert notice.next_step == "Look at the profile."


def test_whoever_marks_a_post_as_posted_needs_no_notice_but_its_creator_does(acme, alice, erin, delivery_of):
    held = {"state": S.HELD, "hold_reason": HoldReason.UNCONFIRMED, "wake_at": None}

    services.mark_as_posted(delivery=delivery_of(acme, erin, **held), user=erin)
    assert told() == []

    services.mark_as_posted(delivery=delivery_of(acme, erin, **held), user=alice)
    assert told() == [("erin", "published")]


def test_canceling_is_no_news(acme, erin, delivery_of):
    services.cancel_delivery(delivery=delivery_of(acme, erin), user=erin)

    assert told() == []


def test_switched_off_kind_is_not_told_and_the_post_still_ends(acme, erin, delivery_of):
    set_preferences(erin, {NoticeKind.FAILED: Switches(on_site=False, by_email=False)})
    delivery = delivery_of(acme, erin)

    fail(delivery)

    assert told() == []
    assert Delivery.objects.get(pk=delivery.pk).state == S.FAILED


def test_creator_who_left_is_told_nothing_and_the_managers_hear_of_the_failure(
    acme, rival, alice, erin, vic, mallory, delivery_of
):
    delivery = delivery_of(acme, erin)
    Membership.objects.filter(user=erin).update(workspace=rival)

    fail(delivery)

    assert told() == [("alice", "failed")]


def test_post_of_the_command_line_that_is_published_is_told_to_nobody(acme, alice, delivery_of):
    delivery = delivery_of(acme, None, state=S.PROCESSING)

    notifying.advance_and_tell(delivery, S.PUBLISHED, published_at=timezone.now())

    assert told() == []


def test_published_post_is_told_once_though_the_engine_is_driven_and_tasks_are_doubled(
    acme, alice, erin, connect, tiktok, delivery_of
):
    delivery = delivery_of(
        acme, erin, connection=connect(acme), options={"privacy_level": "PUBLIC_TO_EVERYONE"}
    )

    for _ in range(6):
        upload_delivery(delivery_id=str(delivery.pk))
        poll_delivery(delivery_id=str(delivery.pk))
        engine.advance_delivery(delivery.pk)
        Delivery.objects.filter(pk=delivery.pk, wake_at__isnull=False).update(wake_at=timezone.now())

    assert Delivery.objects.get(pk=delivery.pk).state == S.PUBLISHED
    assert told() == [("erin", "published")]
    assert Notice.objects.get().title == "Published on TikTok: hello"
    assert Notice.objects.get().email_due_at is None


def test_draft_in_the_inbox_says_how_to_finish_it(acme, erin, connect, tiktok, delivery_of):
    delivery = delivery_of(acme, erin, connection=connect(acme), mode="inbox", options={})

    for _ in range(4):
        engine.advance_delivery(delivery.pk)
        Delivery.objects.filter(pk=delivery.pk, wake_at__isnull=False).update(wake_at=timezone.now())

    assert Delivery.objects.get(pk=delivery.pk).state == S.IN_INBOX
    notice = Notice.objects.get()
    assert notice.title == "In the TikTok inbox: hello"
    assert "tap the notification" in notice.next_step


def test_published_post_whose_notice_met_an_error_is_handed_back_and_told_once(
    acme, erin, connect, tiktok, delivery_of, monkeypatch
):
    delivery = delivery_of(acme, erin, connection=connect(acme))
    real, calls = notifying.tell, []

    def fail_once(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise ConnectionError("the database went away")
        real(*arguments)

    monkeypatch.setattr(notifying, "tell", fail_once)
    for _ in range(6):
        engine.advance_delivery(delivery.pk)
        assert Delivery.objects.get(pk=delivery.pk).lease_token is None
        Delivery.objects.filter(pk=delivery.pk, wake_at__isnull=False).update(wake_at=timezone.now())

    assert Delivery.objects.get(pk=delivery.pk).state == S.PUBLISHED
    assert told() == [("erin", "published")]
    assert len(calls) == 2
    assert len(tiktok.posts()) == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_end_the_same_post_tell_of_it_once(acme, erin, delivery_of):
    delivery = delivery_of(acme, erin)
    start = threading.Barrier(2, timeout=10)
    lost = []

    def end() -> None:
        try:
            row = Delivery.objects.select_related("connection", "workspace", "post__video").get(
                pk=delivery.pk
            )
            start.wait()
            fail(row)
        except StaleTransitionError:
            lost.append(1)
        finally:
            database.close()

    threads = [threading.Thread(target=end) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)

    assert lost == [1]
    assert told() == [("erin", "failed")]


# --- Accounts ---------------------------------------------------------------------------------------------------------


def test_managers_are_told_of_a_lost_account_and_creators_of_their_waiting_posts_once(
    acme, rival, alice, erin, vic, mallory, make_connection, delivery_of
):
    connection = make_connection(acme, account_label="Main")
    for user in (alice, erin, erin):
        delivery_of(acme, user, connection=connection, wake_at=timezone.now() + timedelta(hours=1))

    mark_needs_reauth(connection, reason="TikTok no longer accepts it.")
    mark_needs_reauth(connection, reason="TikTok no longer accepts it.")

    assert sorted(told()) == [("alice", "reconnect"), ("erin", "held")]
    assert Delivery.objects.filter(state=S.HELD).count() == 3
    alices, erins = (Notice.objects.get(user=user) for user in (alice, erin))
    assert (alices.title, alices.body) == ("Reconnect Main", "TikTok no longer accepts it.")
    assert erins.next_step.startswith("Ask an owner or admin")
    assert alices.path == erins.path == "/w/acme/connections/"


def test_post_that_finds_the_account_lost_later_tells_nobody_twice(
    acme, alice, erin, make_connection, delivery_of
):
    connection = make_connection(acme)
    mark_needs_reauth(connection, reason="gone")
    for user in (alice, erin, erin):
        ending.hold_for_reconnect(delivery_of(acme, user, connection=connection))

    assert sorted(told()) == [("alice", "reconnect"), ("erin", "held")]


def test_account_lost_again_after_reconnecting_is_news(acme, alice, make_connection):
    connection = make_connection(acme)
    mark_needs_reauth(connection, reason="gone")
    SocialConnection.objects.update(status=ConnectionStatus.ACTIVE, connected_at=timezone.now())
    connection.refresh_from_db()
    mark_needs_reauth(connection, reason="gone again")

    assert told() == [("alice", "reconnect")] * 2


def test_authorization_removed_at_the_platform_is_told_once(acme, rival, alice, mallory, make_connection):
    week_ago = timezone.now() - timedelta(days=7)
    connection = make_connection(acme, connected_at=week_ago)
    event = WebhookEvent(
        provider="tiktok",
        account_id=connection.provider_account_id,
        occurred_at=timezone.now(),
        received_at=timezone.now(),
        message="Access was removed in the TikTok app.",
    )

    end_authorization(event)
    end_authorization(event)

    assert told() == [("alice", "reconnect")]
    assert Notice.objects.get().body == "Access was removed in the TikTok app."


def test_loss_that_is_rolled_back_is_not_told(acme, alice, make_connection):
    with transaction.atomic():
        mark_needs_reauth(make_connection(acme), reason="gone")
        transaction.set_rollback(True)

    assert told() == []


def test_account_that_a_person_disconnects_is_told_to_those_whose_posts_wait(
    acme, alice, erin, make_connection, delivery_of
):
    connection = make_connection(acme)
    delivery_of(acme, erin, connection=connection)

    mark_disconnected(connection, reason="The account was disconnected.")

    assert told() == [("erin", "held")]


@pytest.mark.parametrize(
    ("left", "days"),
    [
        (timedelta(days=31), None),
        (timedelta(days=30), 30),
        (timedelta(days=8), 30),
        (timedelta(days=7), 7),
        (timedelta(days=2), 7),
        (timedelta(days=1), 1),
        (timedelta(minutes=1), 1),
        (timedelta(0), None),
        (timedelta(days=-1), None),
    ],
)
def test_threshold_of_an_end_that_is_near(acme, alice, make_connection, left, days):
    now = timezone.now()
    make_connection(acme, refresh_expires_at=now + left)

    warn_of_ending_access(now=now)

    assert [row.key.rpartition(":")[2] for row in Notice.objects.all()] == ([str(days)] if days else [])


def test_end_of_access_is_told_once_at_each_threshold(acme, rival, alice, erin, mallory, make_connection):
    end = timezone.now() + timedelta(days=40)
    connection = make_connection(acme, refresh_expires_at=end, account_label="Main")
    Membership.objects.filter(user=erin).update(role=Role.ADMIN)

    news = []
    for hours_left in range(40 * 24, -24, -6):
        # Each refresh states the end anew, a second earlier or later.
        jitter = timedelta(seconds=hours_left % 5 - 2)
        SocialConnection.objects.filter(pk=connection.pk).update(refresh_expires_at=end + jitter)
        news.append(warn_of_ending_access(now=end - timedelta(hours=hours_left)))

    assert sum(news) == 3
    assert Notice.objects.filter(user=alice).count() == 3
    assert Notice.objects.filter(user=erin).count() == 3
    assert Notice.objects.count() == 6
    titles = [row.title for row in Notice.objects.filter(user=alice).order_by("pk")]
    assert titles == [
        "Reconnect Main within 30 days",
        "Reconnect Main within 7 days",
        "Reconnect Main by tomorrow",
    ]


def test_account_that_is_lost_already_gets_no_warning(acme, alice, make_connection):
    soon = timezone.now() + timedelta(days=2)
    make_connection(acme, refresh_expires_at=soon, status=ConnectionStatus.NEEDS_REAUTH)
    make_connection(acme, refresh_expires_at=None)

    assert warn_task() == 0


def test_reconnected_account_is_warned_of_its_new_end(acme, alice, make_connection):
    connection = make_connection(acme, refresh_expires_at=timezone.now() + timedelta(days=2))
    assert warn_task() == 1
    connection.connected_at = timezone.now()
    connection.save(update_fields=["connected_at"])

    assert warn_task() == 1
    assert warn_task() == 0


def test_looking_for_ends_takes_as_many_queries_for_many_told_as_for_few(
    acme, alice, make_connection, django_assert_num_queries
):
    for _ in range(5):
        make_connection(acme, refresh_expires_at=timezone.now() + timedelta(days=2))
    warn_task()

    with django_assert_num_queries(2):
        assert warn_task() == 0


def test_many_waiting_posts_of_one_creator_are_one_notice_and_few_queries(
    acme, erin, make_connection, delivery_of
):
    from django.test.utils import CaptureQueriesContext

    connection = make_connection(acme)
    for _ in range(10):
        delivery_of(acme, erin, connection=connection)

    with CaptureQueriesContext(database) as queries:
        services.hold_open(connection)

    assert told() == [("erin", "held")]
    assert len([query for query in queries if "accounts_notice" in query["sql"]]) == 2
