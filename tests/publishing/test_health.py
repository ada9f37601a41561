"""The figures of publishing health, each for a small situation made up here, and the pages that show them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import redis
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Membership, Notice
from accounts.notices import Message, tell
from config import heartbeat
from connections.models import ConnectionStatus
from publishing import health
from publishing.attempts import note, note_error, note_status
from publishing.models import Attempt, Delivery, Post, PostKind
from publishing.states import DeliveryState, HoldReason
from publishing.tasks import dispatch_deliveries

pytestmark = pytest.mark.django_db


def ago(**span: float):
    return timezone.now() - timedelta(**span)


@pytest.fixture
def browse():
    def log_in(user) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def alive():
    """A worker and a dispatcher that gave a sign just now."""
    heartbeat.record_worker("host:1")
    heartbeat.record_dispatcher()
    heartbeat.record_beat()


# --- Figures ----------------------------------------------------------------------------------------------------------


def test_states_are_counted_for_one_workspace_and_for_all(acme, rival, make_delivery):
    make_delivery(acme)
    make_delivery(acme, state=DeliveryState.FAILED, wake_at=None)
    make_delivery(rival, state=DeliveryState.FAILED, wake_at=None)

    assert health.count_states(acme)[DeliveryState.FAILED] == 1
    assert health.count_states(acme)[DeliveryState.PUBLISHED] == 0
    assert health.count_states()[DeliveryState.FAILED] == 2
    assert sum(health.count_states().values()) == 3


def test_held_ones_are_counted_by_reason(acme, make_delivery):
    held = {"state": DeliveryState.HELD, "wake_at": None}
    make_delivery(acme, hold_reason=HoldReason.UNCONFIRMED, **held)
    make_delivery(acme, hold_reason=HoldReason.RECONNECT, **held)
    make_delivery(acme, hold_reason=HoldReason.RECONNECT, **held)

    assert health.count_held(acme) == {
        HoldReason.UNCONFIRMED: 1,
        HoldReason.RECONNECT: 2,
        **{reason: 0 for reason in HoldReason if reason not in {"unconfirmed", "reconnect"}},
    }


def test_queue_measures_what_is_due_and_free(acme, rival, make_delivery):
    make_delivery(acme, wake_at=ago(seconds=90))
    make_delivery(acme, wake_at=ago(seconds=5))
    make_delivery(acme, wake_at=ago(seconds=-60))  # later
    make_delivery(acme, wake_at=None, state=DeliveryState.FAILED)
    make_delivery(acme, wake_at=ago(hours=2), lease_until=ago(seconds=-20))  # a worker is at it
    make_delivery(rival, wake_at=ago(minutes=10))

    queue = health.measure_queue(acme)

    assert (queue.due_count, queue.stuck_count) == (2, 1)
    assert timedelta(seconds=90) <= queue.oldest_wait < timedelta(seconds=150)
    assert health.measure_queue().due_count == 3
    assert health.measure_queue().oldest_wait >= timedelta(minutes=10)


def test_row_of_a_dead_worker_waits_since_its_lease_ended(acme, make_delivery):
    make_delivery(acme, wake_at=ago(hours=2), lease_until=ago(seconds=10))

    queue = health.measure_queue(acme)

    assert (queue.due_count, queue.stuck_count) == (1, 0)
    assert queue.oldest_wait < timedelta(minutes=1)


def test_nothing_due_is_no_wait(acme):
    assert health.measure_queue(acme) == health.Queue(0, 0, timedelta())


def test_troubles_are_named_the_worst_first_and_each_once(acme, rival, make_delivery):
    slow = make_delivery(
        acme, state=DeliveryState.PROCESSING, state_changed_at=ago(hours=2), wake_at=ago(hours=-1)
    )
    silent = make_delivery(
        acme, state=DeliveryState.PROCESSING, state_changed_at=ago(hours=3), wake_at=ago(hours=1)
    )
    held = {"state": DeliveryState.HELD, "wake_at": None}
    lost = make_delivery(acme, hold_reason=HoldReason.RECONNECT, **held)
    unsure = make_delivery(acme, hold_reason=HoldReason.UNCONFIRMED, **held)
    make_delivery(acme)
    make_delivery(rival, hold_reason=HoldReason.UNCONFIRMED, **held)

    found = [(one.delivery.pk, one.words) for one in health.find_troubles(acme)]

    assert found == [
        (unsure.pk, "It may already be posted"),
        (silent.pk, "Nobody takes it up"),
        (lost.pk, "The account needs reconnecting"),
        (slow.pk, "The platform is still processing"),
    ]
    assert len(health.find_troubles()) == 5


def test_errors_are_counted_by_code_with_their_last_log_ids(acme, rival, make_delivery):
    delivery, other = make_delivery(acme), make_delivery(rival)
    for number in range(4):
        note(delivery, "start", "spam_risk", log_id=f"log-{number}")
    note(delivery, "chunk", "Transport")
    note(other, "status", "internal", log_id="theirs")

    found = health.count_errors(acme)

    assert [(one.code, one.count) for one in found] == [("spam_risk", 4), ("Transport", 1)]
    assert found[0].log_ids == ("log-3", "log-2", "log-1")
    assert found[1].log_ids == ()
    assert {one.code for one in health.count_errors()} == {"spam_risk", "Transport", "internal"}


def test_what_went_well_or_a_person_did_is_no_error(acme, make_delivery):
    delivery = make_delivery(acme)
    note(delivery, "chunk", "ok")
    note(delivery, "status", "published")
    note(delivery, "resume", "uploading")
    note(delivery, "person", "canceled")
    Attempt.objects.create(workspace=acme, delivery=delivery, step="start")  # under way

    assert health.count_errors() == []


def test_errors_of_the_day_before_yesterday_are_over(acme, make_delivery):
    delivery = make_delivery(acme)
    note(delivery, "start", "spam_risk")
    Attempt.objects.update(finished_at=ago(hours=25))

    assert health.count_errors() == []


def test_repeated_errors_count_as_often_as_they_came(acme, make_delivery):
    from connections.errors import RateLimitError
    from connections.providers.base import PublishPhase, PublishStatus

    delivery = make_delivery(acme)
    error = RateLimitError("slow down", code="rate_limit_exceeded", log_id="log-1", http_status=429)
    for _ in range(3):
        note_error(delivery, "status", error, started_at=timezone.now())
    refusal = PublishStatus(phase=PublishPhase.FAILED, fail_reason="file_format_check_failed", log_id="log-2")
    note_status(delivery, refusal, started_at=timezone.now())

    found = {one.code: (one.count, one.log_ids) for one in health.count_errors()}

    assert found == {"rate_limit_exceeded": (3, ("log-1",)), "file_format_check_failed": (1, ("log-2",))}
    assert Attempt.objects.get(outcome="file_format_check_failed").code == "file_format_check_failed"


def test_connections_are_counted_and_listed(acme, rival, make_connection):
    make_connection(acme)
    lost = make_connection(acme, status=ConnectionStatus.NEEDS_REAUTH)
    ending = make_connection(acme, refresh_expires_at=ago(days=-20))
    make_connection(acme, refresh_expires_at=ago(days=-40))
    make_connection(rival, status=ConnectionStatus.NEEDS_REAUTH)

    assert health.count_connections()[ConnectionStatus.NEEDS_REAUTH] == 2
    assert list(health.lost_connections(acme)) == [lost]
    assert list(health.ending_connections(acme)) == [ending]


def test_emails_that_fail_are_counted(acme, alice):
    for key in ("1", "2"):
        tell([Membership.objects.get(user=alice)], Message(kind="failed", key=key, title="x"))
    Notice.objects.filter(key="2").update(email_tries=3)

    assert health.count_emails() == health.Emails(waiting=2, failing=1)


def test_services_tell_who_lives_and_how_long_the_queues_are(db, alive, settings):
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as client:
        client.rpush("uploads", "a", "b")

    services = health.read_services()

    assert services.redis_is_up
    assert services.fresh_workers == 1
    assert services.dispatcher_is_fresh
    assert services.queues == {"default": 0, "uploads": 2, "polls": 0}


def test_silent_services_are_not_taken_for_alive(db, settings):
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        old = client.time()[0] - 120
        client.zadd(heartbeat.WORKERS, {"host:1": old})
        client.set(heartbeat.DISPATCHER, old)

    services = health.read_services()

    assert (services.fresh_workers, services.dispatcher_is_fresh) == (0, False)
    assert len(services.workers) == 1


def test_redis_that_is_away_is_said_and_not_raised(db, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    assert health.read_services() == health.Services()


def test_broker_of_another_kind_has_no_depths_here(db, settings):
    settings.CELERY_BROKER_URL = "amqp://127.0.0.1:1//"

    assert health.read_services().queues == {"default": None, "uploads": None, "polls": None}


def test_dispatching_gives_a_sign_of_life(db):
    assert heartbeat.read_dispatcher() is None

    dispatch_deliveries()

    assert heartbeat.read_dispatcher().is_fresh


def test_dispatching_goes_on_without_redis(db, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    assert dispatch_deliveries() == 0


def test_errors_and_states_are_read_from_their_indexes(acme, make_delivery):
    note(make_delivery(acme), "start", "spam_risk")
    with CaptureQueriesContext(database) as queries:
        health.count_errors()
        health.count_states()
        health.count_states(acme)

    plans = []
    with database.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for query in queries:
            cursor.execute("EXPLAIN " + query["sql"].rpartition("; ")[2])
            plans.append("\n".join(row[0] for row in cursor.fetchall()))
    assert "attempt_went_wrong" in plans[0]
    assert "attempt_went_wrong" in plans[1]
    assert "delivery_by_state" in plans[2]
    # Several indexes begin with a workspace; which one is taken depends on the statistics of an almost empty table.
    assert re.search(r"Index Cond: .*\bworkspace_id = ", plans[3]), plans[3]


# --- Pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/w/acme/health/", {"mallory": 404, "vic": 200, "erin": 200, "alice": 200}),
        ("/operations/health/", {"mallory": 403, "vic": 403, "erin": 403, "alice": 403}),
    ],
)
def test_pages_open_to_whom_they_should(client, browse, alice, erin, vic, mallory, path, statuses):
    people = {"mallory": mallory, "vic": vic, "erin": erin, "alice": alice}

    assert client.get(path).url.startswith("/accounts/login/")
    assert {name: browse(person).get(path).status_code for name, person in people.items()} == statuses
    assert browse(alice).post(path).status_code == 405


def test_page_says_that_all_is_well(browse, vic, alive):
    html = browse(vic).get("/w/acme/health/").content.decode()

    assert "All is well" in html
    assert "hx-trigger" in html


def test_page_says_that_no_worker_runs_and_that_nothing_is_lost(browse, vic):
    html = browse(vic).get("/w/acme/health/").content.decode()

    assert "No worker is running" in html
    assert "No post is lost" in html
    assert "All is well" not in html


def test_page_says_that_the_dispatcher_is_silent(browse, vic):
    heartbeat.record_worker("host:1")

    assert "The dispatcher is silent" in browse(vic).get("/w/acme/health/").content.decode()


def test_page_is_there_without_redis(browse, vic, settings):
    client = browse(vic)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    answer = client.get("/w/acme/health/")

    assert answer.status_code == 200
    assert "The queue does not answer" in answer.content.decode()


def test_page_leads_to_what_is_unconfirmed(browse, vic, acme, alive, make_delivery):
    delivery = make_delivery(
        acme, state=DeliveryState.HELD, hold_reason=HoldReason.UNCONFIRMED, wake_at=None, caption="Day one"
    )

    html = browse(vic).get("/w/acme/health/").content.decode()

    assert "1 post may be published or not" in html
    assert f"/w/acme/posts/{delivery.post_id}/" in html


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        ({"title": "Album of the day", "caption": "With words"}, "Album of the day"),
        ({"caption": "With words"}, "With words"),
        ({}, "Photos"),
    ],
)
def test_page_names_a_post_of_photos_that_waits(
    browse, vic, acme, alive, make_delivery, make_connection, texts, name
):
    post = Post.objects.create(workspace=acme, kind=PostKind.PHOTO, **texts)
    Delivery.objects.create(
        workspace=acme,
        post=post,
        connection=make_connection(acme),
        state=DeliveryState.HELD,
        hold_reason=HoldReason.UNCONFIRMED,
    )

    html = browse(vic).get("/w/acme/health/").content.decode()

    assert f'href="/w/acme/posts/{post.pk}/">{name}</a>' in html


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (HoldReason.CONFIGURATION, "1 post waits for an operator"),
        (HoldReason.RECONNECT, "1 post waits for an account that was disconnected"),
    ],
)
def test_page_does_not_say_that_all_is_well_while_a_post_waits_for_somebody(
    browse, vic, acme, alive, make_delivery, reason, words
):
    make_delivery(acme, state=DeliveryState.HELD, hold_reason=reason, wake_at=None)

    html = browse(vic).get("/w/acme/health/").content.decode()

    assert words in html
    assert "All is well" not in html


def test_page_counts_more_accounts_to_reconnect_than_it_lists(
    browse, vic, acme, alive, make_connection, make_delivery, monkeypatch
):
    monkeypatch.setattr(health, "LISTED", 2)
    lost = [make_connection(acme, status=ConnectionStatus.NEEDS_REAUTH) for _ in range(3)]
    waiting = {"state": DeliveryState.HELD, "hold_reason": HoldReason.RECONNECT, "wake_at": None}
    make_delivery(acme, connection=lost[0], **waiting)

    html = browse(vic).get("/w/acme/health/").content.decode()

    assert "3 accounts need reconnecting" in html
    assert html.count("badge-needs_reauth") == 2
    assert "was disconnected" not in html


def test_page_tells_nothing_of_another_workspace_or_machine(browse, vic, rival, alive, make_delivery):
    held = {"state": DeliveryState.HELD, "hold_reason": HoldReason.UNCONFIRMED, "wake_at": None}
    delivery = make_delivery(rival, caption="secret plan", **held)
    note(delivery, "start", "spam_risk", log_id="their-log")

    html = browse(vic).get("/w/acme/health/").content.decode()

    assert "secret plan" not in html
    assert "their-log" not in html
    assert "host:1" not in html
    assert "All is well" in html


def test_operators_see_all_workspaces_and_the_keys_but_no_caption(
    browse, alice, acme, rival, alive, make_delivery
):
    alice.is_staff = alice.is_superuser = True
    alice.save()
    held = {"state": DeliveryState.HELD, "hold_reason": HoldReason.UNCONFIRMED, "wake_at": None}
    delivery = make_delivery(rival, caption="secret plan", **held)

    html = browse(alice).get("/operations/health/").content.decode()

    assert f"/admin/publishing/delivery/{delivery.pk}/change/" in html
    assert "secret plan" not in html
    assert "Encryption keys" in html
    assert "All values open" in html
    assert "Queue “uploads”" in html


def test_htmx_gets_the_part_that_changes(browse, alice, alive):
    alice.is_staff = True
    alice.save()
    for path in ("/w/acme/health/", "/operations/health/"):
        html = browse(alice).get(path, headers={"HX-Request": "true"}).content.decode()

        assert html.startswith('<div class="stack" id="live"')
        assert "<html" not in html
        assert "Encryption keys" not in html


@pytest.mark.parametrize(("path", "most"), [("/w/acme/health/", 15), ("/operations/health/", 15)])
def test_polling_takes_few_queries_however_much_there_is(
    browse, alice, acme, alive, make_delivery, django_assert_max_num_queries, path, most
):
    alice.is_staff = True
    alice.save()
    client = browse(alice)
    for number in range(6):
        held = {"state": DeliveryState.HELD, "hold_reason": HoldReason.UNCONFIRMED, "wake_at": None}
        note(make_delivery(acme, **held), "start", f"code-{number}", log_id="log")

    with django_assert_max_num_queries(most):
        client.get(path, headers={"HX-Request": "true"})
