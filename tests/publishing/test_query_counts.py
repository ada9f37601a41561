"""How many statements each step of a delivery costs, exactly: a query more is a decision, not an accident.

The beginning and end of transactions are not counted. Every call to the platform reads the connection's row once, since
another process may have stored a newer token.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connections.profiles import creator_info_for
from publishing import engine, polling, preparing, pulling, sending, waking
from publishing.dispatch import POLL_STATES, UPLOAD_STATES, dispatch, pick_next
from publishing.models import Delivery
from publishing.states import DeliveryState
from tests.publishing.test_engine import PUBLIC, big, small_chunks  # noqa: F401  # fixtures

pytestmark = pytest.mark.django_db
_NO_WORK = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE SAVEPOINT")


class Costs:
    """Statements since the last `mark`, by its name."""

    def __init__(self, queries: CaptureQueriesContext) -> None:
        self._queries = queries
        self._seen = 0
        self.by_mark: list[tuple[str, int]] = []

    def mark(self, name: str) -> None:
        """Count what came since the last mark under `name`; marks with nothing before them are left out."""
        statements = [query["sql"].rpartition("true); ")[2] for query in self._queries.captured_queries]
        count = sum(not sql.startswith(_NO_WORK) for sql in statements[self._seen :])
        self._seen = len(statements)
        if count:
            self.by_mark.append((name, count))


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Costs]:
    """Count the statements of the block, up to each fault point and to the end."""
    with CaptureQueriesContext(database) as queries, monkeypatch.context() as patched:
        costs = Costs(queries)
        for module in (engine, preparing, sending, polling, pulling):
            patched.setattr(module, "reached", costs.mark)
        yield costs
        costs.mark("end")


@pytest.fixture
def delivery(acme, connect, make_delivery, big, small_chunks, tiktok):  # noqa: F811
    """A delivery of three chunks, of an account whose picture was copied before."""
    connection = connect(acme)
    creator_info_for(connection, force=True)
    tiktok.settings(processing_seconds=3600.0)
    polling.webhooks.are_arriving(connection.provider)
    return make_delivery(acme, connection=connection, video=big(acme), options=PUBLIC)


def wake(delivery: Delivery) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(wake_at=timezone.now())


def test_each_step_of_an_upload_costs_what_it_must(delivery, monkeypatch):
    with counted(monkeypatch) as costs:
        assert engine.advance_delivery(delivery.pk) == "processing"

    assert costs.by_mark == [
        ("claimed", 2),  # take, read
        ("begun", 1),
        ("after creator_info", 3),  # connection; what was learned; attempt
        ("start announced", 1),
        ("start answered", 1),  # connection
        ("start committed", 2),  # delivery, attempt
        ("chunk answered", 1),  # attempt
        ("chunk recorded", 1),
        ("chunk answered", 1),
        ("chunk recorded", 1),
        ("after point of no return", 1),
        ("last chunk answered", 1),  # attempt
        ("finished", 1),
        ("status answered", 1),  # connection
        ("end", 3),  # latest attempt; attempt; hand back
    ]


def test_a_question_of_many_costs_six(delivery, monkeypatch):
    engine.advance_delivery(delivery.pk)
    wake(delivery)

    with counted(monkeypatch) as costs:
        assert engine.advance_delivery(delivery.pk) == "processing"

    assert costs.by_mark == [("claimed", 2), ("status answered", 1), ("end", 3)]


def test_the_end_costs_one_more_for_each_thing_that_is_told(delivery, monkeypatch, tiktok):
    engine.advance_delivery(delivery.pk)
    wake(delivery)
    tiktok.settings(processing_seconds=0.0, clock_offset=3601.0)

    with counted(monkeypatch) as costs:
        assert engine.advance_delivery(delivery.pk) == "published"

    assert costs.by_mark == [
        ("claimed", 2),
        ("status answered", 1),
        ("before published", 2),  # latest attempt; attempt
        ("published", 3),  # delivery; whom to tell; audit
    ]


def test_a_claim_that_comes_too_late_costs_one(delivery, monkeypatch):
    engine.advance_delivery(delivery.pk)

    with counted(monkeypatch) as costs:
        assert engine.advance_delivery(delivery.pk) == "not free"

    assert costs.by_mark == [("end", 1)]


def test_a_tick_costs_two_however_much_is_due(acme, make_delivery, make_connection, monkeypatch):
    ours = make_connection(acme)
    for state in (DeliveryState.SCHEDULED, DeliveryState.PROCESSING):
        for _ in range(5):
            make_delivery(acme, connection=ours, state=state)

    with counted(monkeypatch) as costs:
        assert dispatch() == 10

    assert costs.by_mark == [("end", 2)]


@pytest.mark.parametrize("states", [UPLOAD_STATES, POLL_STATES], ids=["uploads", "polls"])
def test_going_on_with_the_next_costs_one(acme, make_delivery, monkeypatch, states):
    make_delivery(acme, state=sorted(states)[-1])

    with counted(monkeypatch) as costs:
        assert pick_next(states) is not None

    assert costs.by_mark == [("end", 1)]


def test_a_webhook_of_a_sleeping_delivery_costs_three(
    delivery, monkeypatch, django_capture_on_commit_callbacks
):
    engine.advance_delivery(delivery.pk)
    publish_id = Delivery.objects.values_list("publish_id", flat=True).get(pk=delivery.pk)

    with counted(monkeypatch) as costs, django_capture_on_commit_callbacks():
        assert waking.look_again(provider="tiktok", publish_id=publish_id) == 1

    assert costs.by_mark == [("end", 3)]  # find; wake; is it free?
