"""What a webhook does to a delivery: it is looked at again, whoever has it, and the platform's answer decides."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connections import webhooks
from connections.models import ConnectionStatus, WebhookEvent
from publishing import ending, engine, waking
from publishing.backoff import status_wait
from publishing.models import Delivery
from publishing.services import mark_as_posted
from publishing.states import DeliveryState, HoldReason
from publishing.waking import LOOKED_AT, look_again
from tests.connections.webhook_wire import completed, deliver, removed
from tests.publishing.processes import eventually, worker
from tests.sandbox.process import CLIENT_KEY, CLIENT_SECRET

pytestmark = pytest.mark.django_db
LEASE = timedelta(seconds=30)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
JOB = "v_pub_file~v2-1.42"
PROCESSING_S = (
    240  # of the sandbox, whose clock is put forward by as much: not so far that its events look forged
)
PUBLIC = {"privacy_level": "PUBLIC_TO_EVERYONE"}


@pytest.fixture(autouse=True)
def _fresh_view():
    webhooks.forget_arrivals()
    yield
    webhooks.forget_arrivals()


@pytest.fixture
def asleep(acme, make_delivery):
    """Return a maker of deliveries of the job that would be looked at in an hour."""

    def make(state=DeliveryState.PROCESSING, **fields):
        values = {"publish_id": JOB, "wake_at": timezone.now() + HOUR} | fields
        return make_delivery(acme, state=state, **values)

    return make


@pytest.fixture
def rings(monkeypatch):
    """The deliveries that were rung for."""
    heard = []
    monkeypatch.setattr("publishing.dispatch.send_ring", lambda ring: heard.append(ring.delivery_id))
    return heard


def is_due(delivery):
    return Delivery.objects.due().filter(pk=delivery.pk).exists()


def tell(publish_id=JOB):
    return look_again(provider="tiktok", publish_id=publish_id)


# --- a free row -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(LOOKED_AT))
@pytest.mark.parametrize("planned", [pytest.param(True, id="asleep"), pytest.param(False, id="at rest")])
def test_look_again_wakes_and_rings(asleep, rings, django_capture_on_commit_callbacks, state, planned):
    delivery = asleep(state, **({} if planned else {"wake_at": None}))

    with django_capture_on_commit_callbacks(execute=True):
        assert tell() == 1

    assert is_due(delivery)
    assert rings == [delivery.pk]


@pytest.mark.parametrize("state", [DeliveryState.FAILED, DeliveryState.CANCELED])
def test_look_again_leaves_what_ended(asleep, rings, state):
    delivery = asleep(state, wake_at=None)

    assert tell() == 1
    assert not is_due(delivery)


def test_look_again_leaves_what_waits_for_a_reconnect(asleep):
    delivery = asleep(
        DeliveryState.HELD, wake_at=None, hold_reason=HoldReason.RECONNECT, held_from="processing"
    )

    tell()

    delivery.refresh_from_db()
    assert (delivery.state, delivery.wake_at) == (DeliveryState.HELD, None)


def test_look_again_finds_nothing_of_another_job_or_provider(asleep):
    delivery = asleep()

    assert tell("v_pub_file~v2-1.43") == 0
    assert tell("") == 0
    assert look_again(provider="elsewhere", publish_id=JOB) == 0
    assert not is_due(delivery)


def test_look_again_asks_about_what_was_held_as_unconfirmed(asleep):
    delivery = asleep(
        DeliveryState.HELD,
        wake_at=None,
        hold_reason=HoldReason.UNCONFIRMED,
        held_from="processing",
        reason_code="x",
    )

    tell()

    delivery.refresh_from_db()
    assert (delivery.state, delivery.hold_reason, delivery.reason_code) == (DeliveryState.PROCESSING, "", "")
    assert is_due(delivery)
    assert delivery.attempts.get().step == "webhook"


def test_look_again_yields_to_a_person_who_decided_in_between(asleep, alice, monkeypatch):
    delivery = asleep(
        DeliveryState.HELD, wake_at=None, hold_reason=HoldReason.UNCONFIRMED, held_from="processing"
    )
    ask = waking._ask_after_all

    def person_first(row):
        mark_as_posted(delivery=Delivery.objects.get(pk=row.pk), user=alice)
        ask(row)

    monkeypatch.setattr(waking, "_ask_after_all", person_first)
    tell()

    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.PUBLISHED


@pytest.mark.parametrize(
    ("mode", "ids", "is_asked"),
    [("direct", ["7123"], False), ("direct", [], True), ("inbox", ["7123"], True)],
    ids=["one post with its id", "a post without an id", "a draft, which may be posted again"],
)
def test_a_published_post_is_looked_at_only_while_there_is_something_to_learn(asleep, mode, ids, is_asked):
    delivery = asleep(DeliveryState.PUBLISHED, wake_at=None, mode=mode, platform_post_ids=ids)

    assert tell() == 1

    assert is_due(delivery) is is_asked


# --- a row in a worker's hands ----------------------------------------------------------------------------------------


@pytest.fixture
def leased(asleep):
    """A delivery in a worker's hands, as that worker has it."""
    delivery = asleep(wake_at=timezone.now() - SECOND)
    return Delivery.objects.claim(delivery.pk, lease=LEASE)


@pytest.mark.parametrize("wake_in", [HOUR, None])
def test_a_row_woken_under_its_lease_is_due_when_it_is_let_go(leased, rings, wake_in):
    tell()
    assert Delivery.objects.claim(leased.pk, lease=LEASE) is None

    leased.release(wake_in=wake_in)

    assert is_due(leased)
    assert rings == []


@pytest.mark.parametrize(("wake_in", "planned"), [(HOUR, True), (None, False)])
def test_a_row_that_nobody_woke_sleeps_as_planned(leased, wake_in, planned):
    leased.release(wake_in=wake_in)

    assert not is_due(leased)
    assert (Delivery.objects.get(pk=leased.pk).wake_at is not None) is planned


def test_a_row_woken_under_its_lease_is_looked_at_again_although_it_was_just_published(leased):
    tell()
    leased.advance(DeliveryState.PUBLISHED, **ending.stopped())

    assert is_due(leased)


def test_a_row_woken_under_its_lease_rests_if_it_ends_for_good(leased):
    tell()
    ending.fail(leased, code="spam_risk")

    assert Delivery.objects.get(pk=leased.pk).wake_at is None


def test_a_row_woken_before_it_was_claimed_is_asked_about_once(asleep):
    delivery = asleep()
    tell()
    claimed = Delivery.objects.claim(delivery.pk, lease=LEASE)

    claimed.release(wake_in=HOUR)

    assert not is_due(delivery)


def test_waking_takes_no_lease_away(leased):
    tell()

    leased.record(poll_count=3)

    assert Delivery.objects.get(pk=leased.pk).lease_token == leased.lease_token


def test_a_row_woken_under_a_dead_workers_lease_is_due_when_that_ends(leased):
    tell()
    Delivery.objects.filter(pk=leased.pk).update(lease_until=timezone.now() - SECOND)

    assert Delivery.objects.claim(leased.pk, lease=LEASE) is not None


@pytest.mark.django_db(transaction=True)
def test_no_waking_falls_between_when_both_happen_at_once(asleep):
    delivery = asleep()
    for _ in range(25):
        Delivery.objects.update(wake_at=timezone.now() - SECOND, lease_until=None, lease_token=None)
        claimed = Delivery.objects.claim(delivery.pk, lease=LEASE)
        start = threading.Barrier(2)

        def wake(start=start):
            start.wait(10)
            tell()
            database.close()

        waker = threading.Thread(target=wake)
        waker.start()
        start.wait(10)
        claimed.release(wake_in=HOUR)
        waker.join(10)

        assert is_due(delivery)


# --- slower questions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "alone", "told"),
    [
        (0, 1, 1),
        (7, 1.75, 1.75),
        (8, 2, 60),
        (60, 15, 60),
        (600, 150, 300),
        (86_400, 3600, 4 * 3600),
    ],
)
def test_questions_are_rarer_where_the_platform_tells_by_itself(age, alone, told):
    waits = [status_wait(timedelta(seconds=age), has_webhooks=has).total_seconds() for has in (False, True)]

    assert waits == [alone, told]


@pytest.mark.parametrize(("arriving", "least", "most"), [(False, 4, 6), (True, 55, 61)])
def test_a_poll_relies_on_webhooks_that_arrive(acme, connect, make_delivery, tiktok, arriving, least, most):
    delivery = _in_processing(acme, connect, make_delivery, tiktok)
    if arriving:
        tell_door(completed("somebody.elses", client_key=CLIENT_KEY))
    webhooks.forget_arrivals()

    _poll_at_the_age_of(20, delivery)

    wait = (Delivery.objects.get(pk=delivery.pk).wake_at - timezone.now()).total_seconds()
    assert least < wait < most


def test_relying_on_webhooks_costs_one_query_in_half_a_minute(acme, connect, make_delivery, tiktok):
    delivery = _in_processing(acme, connect, make_delivery, tiktok)
    webhooks.forget_arrivals()

    counts = []
    for _ in range(3):
        with CaptureQueriesContext(database) as queries:
            _poll_at_the_age_of(20, delivery)
        counts.append(len(queries))

    assert [count - counts[-1] for count in counts] == [1, 0, 0]


def _poll_at_the_age_of(seconds, delivery):
    now = timezone.now()
    Delivery.objects.update(state_changed_at=now - timedelta(seconds=seconds), wake_at=now)
    assert engine.advance_delivery(delivery.pk) == "processing"


def tell_door(body):
    """Post an event with the secret that the sandbox's app has too."""
    assert deliver(body, secret=CLIENT_SECRET).status_code == 200


def _in_processing(acme, connect, make_delivery, tiktok, **fields):
    """A delivery whose bytes are with the platform, which takes its time over them."""
    tiktok.settings(processing_seconds=PROCESSING_S, rate_limits_on=False)
    delivery = make_delivery(acme, connection=connect(acme), **({"options": PUBLIC} | fields))
    assert engine.advance_delivery(delivery.pk) == "processing"
    Delivery.objects.update(wake_at=timezone.now() + HOUR)
    return Delivery.objects.get(pk=delivery.pk)


# --- with the sandbox at the other end --------------------------------------------------------------------------------


@pytest.fixture
def hooked(tiktok, live_server, settings):
    """The sandbox, sending its signed webhooks to a live server of ours."""
    settings.ALLOWED_HOSTS = ["*"]
    url = f"{live_server.url}/webhooks/tiktok/".replace("localhost", "127.0.0.1")
    tiktok.control("POST", "/apps", {"client_key": CLIENT_KEY, "webhook_url": url})
    return tiktok


def _delivered(sandbox, count):
    hooks = sandbox.control("GET", "/webhooks")
    return len(hooks) >= count and all(hook["state"] == "delivered" for hook in hooks)


def _process_all():
    for pk in WebhookEvent.objects.waiting().values_list("pk", flat=True):
        webhooks.process(pk)


def _advance(delivery):
    while Delivery.objects.due().filter(pk=delivery.pk).exists():
        engine.advance_delivery(delivery.pk)
    return Delivery.objects.get(pk=delivery.pk)


@pytest.mark.django_db(transaction=True)
def test_a_webhook_publishes_what_would_sleep_for_an_hour(acme, connect, make_delivery, hooked):
    hooked.settings(webhook_duplicate=True, webhook_shuffle=True, webhook_speed=10)
    delivery = _in_processing(acme, connect, make_delivery, hooked)

    hooked.settings(clock_offset=PROCESSING_S + 1)
    eventually(lambda: _delivered(hooked, 4), what="two events, each twice")
    _process_all()
    delivery = _advance(delivery)

    [post] = hooked.posts()
    assert delivery.state == DeliveryState.PUBLISHED
    assert delivery.platform_post_ids == [post["post_id"]]
    assert sorted(WebhookEvent.objects.values_list("name", flat=True)) == [
        "post.publish.complete",
        "post.publish.publicly_available",
    ]


@pytest.mark.django_db(transaction=True)
def test_a_webhook_of_a_failure_brings_the_platforms_reason(acme, connect, make_delivery, hooked):
    delivery = _in_processing(acme, connect, make_delivery, hooked)

    hooked.control("POST", f"/tasks/{delivery.publish_id}/fail", {"reason": "spam_risk"})
    eventually(lambda: _delivered(hooked, 1), what="the event")
    _process_all()

    delivery = _advance(delivery)
    assert (delivery.state, delivery.reason_code) == (DeliveryState.FAILED, "spam_risk")


@pytest.mark.django_db(transaction=True)
def test_an_event_that_lies_changes_nothing(acme, connect, make_delivery, tiktok):
    delivery = _in_processing(acme, connect, make_delivery, tiktok)

    tell_door(completed(delivery.publish_id, client_key=CLIENT_KEY))
    _process_all()
    assert is_due(delivery)

    delivery = _advance(delivery)
    assert (delivery.state, tiktok.posts()) == (DeliveryState.PROCESSING, [])


@pytest.mark.django_db(transaction=True)
def test_a_draft_finished_twice_shows_both_posts(acme, connect, make_delivery, hooked):
    delivery = make_delivery(acme, connection=connect(acme), mode="inbox", options={})
    engine.advance_delivery(delivery.pk)
    assert Delivery.objects.get(pk=delivery.pk).state == DeliveryState.IN_INBOX

    for count in (1, 2):
        hooked.control("POST", f"/tasks/{_publish_id(delivery)}/finish", {"privacy": PUBLIC["privacy_level"]})
        eventually(lambda count=count: _delivered(hooked, 1 + 2 * count), what="the draft's events")
        _process_all()
        delivery = _advance(delivery)

    assert delivery.state == DeliveryState.PUBLISHED
    assert sorted(delivery.platform_post_ids) == sorted(post["post_id"] for post in hooked.posts())
    assert len(delivery.platform_post_ids) == 2


def _publish_id(delivery):
    return Delivery.objects.values_list("publish_id", flat=True).get(pk=delivery.pk)


@pytest.mark.django_db(transaction=True)
def test_a_post_made_public_a_day_later_gets_its_id_and_keeps_it(acme, connect, make_delivery, hooked):
    delivery = make_delivery(acme, connection=connect(acme), options={"privacy_level": "SELF_ONLY"})
    delivery = _advance(delivery)
    assert (delivery.state, delivery.platform_post_ids, delivery.wake_at) == (
        DeliveryState.PUBLISHED,
        [],
        None,
    )
    [post] = hooked.posts()

    for count, privacy in ((2, PUBLIC["privacy_level"]), (3, "SELF_ONLY")):
        hooked.control("PATCH", f"/posts/{post['post_id']}", {"privacy": privacy})
        eventually(lambda count=count: _delivered(hooked, count), what="the change of privacy")
        _process_all()
        delivery = _advance(delivery)

    assert delivery.platform_post_ids == [post["post_id"]]
    assert delivery.wake_at is None


@pytest.mark.django_db(transaction=True)
def test_a_creator_who_removes_the_app_holds_what_is_open(acme, connect, make_delivery, hooked):
    connection = connect(acme, connected_at=timezone.now() - timedelta(days=2))
    waiting = make_delivery(acme, connection=connection, wake_at=timezone.now() + HOUR)

    hooked.control("POST", "/creators/demo.public/disconnect")
    eventually(lambda: _delivered(hooked, 1), what="the event")
    _process_all()

    connection.refresh_from_db()
    waiting.refresh_from_db()
    assert connection.status == ConnectionStatus.NEEDS_REAUTH
    assert "TikTok's settings" in connection.status_reason
    assert (connection.access_token, connection.refresh_token) == ("", "")
    assert (waiting.state, waiting.hold_reason) == (DeliveryState.HELD, HoldReason.RECONNECT)


@pytest.mark.django_db(transaction=True)
def test_a_forged_removal_holds_nothing(acme, connect, make_delivery, tiktok):
    connection = connect(acme, connected_at=timezone.now() - timedelta(days=2))

    body = removed(1, client_key=CLIENT_KEY, user_openid=connection.provider_account_id)
    assert deliver(body, secret=f"{uuid.uuid4()}").status_code == 401

    connection.refresh_from_db()
    assert connection.is_active


@pytest.mark.stack
@pytest.mark.timeout(180)
@pytest.mark.django_db(transaction=True)
def test_a_real_worker_acts_on_the_event_without_any_beat(
    acme, connect, make_delivery, hooked, process_env, tmp_path
):
    env = process_env | {
        "TIKTOK_CLIENT_KEY": CLIENT_KEY,
        "TIKTOK_CLIENT_SECRET": CLIENT_SECRET,
        "TIKTOK_API_URL": hooked.url,
        "TIKTOK_AUTHORIZE_URL": f"{hooked.url}/v2/auth/authorize/",
    }
    delivery = _in_processing(acme, connect, make_delivery, hooked)

    with worker(env, tmp_path):
        hooked.settings(clock_offset=PROCESSING_S + 1)
        eventually(lambda: _state(delivery) == DeliveryState.PUBLISHED, what="published by the worker")

    assert len(hooked.posts()) == 1


def _state(delivery):
    return Delivery.objects.values_list("state", flat=True).get(pk=delivery.pk)
