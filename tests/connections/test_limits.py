"""The platform's rate limits, kept before it has to refuse."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from connections.limits import LocalLimitError, require_room, take
from connections.providers import provider_for
from connections.providers.base import Operation
from connections.providers.tiktok.rules import rate_limits_from
from tests.publishing.conftest import make_connection  # noqa: F401  # fixture

pytestmark = pytest.mark.django_db


def test_take_counts_up_to_the_limit_and_tells_the_wait(acme, make_connection):  # noqa: F811
    connection = make_connection(acme)
    for _ in range(6):
        take(connection, Operation.START)

    with pytest.raises(LocalLimitError) as refused:
        take(connection, Operation.START)

    assert timedelta(seconds=50) < refused.value.wait <= timedelta(seconds=61)


def test_take_counts_each_operation_and_each_connection_for_itself(acme, make_connection):  # noqa: F811
    first, second = make_connection(acme), make_connection(acme)
    for _ in range(6):
        take(first, Operation.START)

    take(first, Operation.CREATOR)
    take(second, Operation.START)


def test_take_lets_pass_what_has_no_limit(acme, make_connection, settings):  # noqa: F811
    settings.TIKTOK_RATE_LIMITS = {"start": 0}
    provider_for.cache_clear()
    connection = make_connection(acme)
    try:
        for _ in range(20):
            take(connection, Operation.START)
    finally:
        provider_for.cache_clear()


def test_take_lets_pass_while_redis_is_down(acme, make_connection, settings, caplog):  # noqa: F811
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    connection = make_connection(acme)

    for _ in range(8):
        take(connection, Operation.START)

    assert "Redis is down" in caplog.text


def test_rate_limits_from_changes_only_what_is_named():
    limits = rate_limits_from({"start": 60, "status": 0})

    assert limits[Operation.START].amount == 60
    assert limits[Operation.CREATOR].amount == 20
    assert Operation.STATUS not in limits


def test_rate_limits_from_refuses_an_unknown_operation():
    with pytest.raises(ValueError, match="uploads"):
        rate_limits_from({"uploads": 3})


def test_require_room_counts_nothing_and_refuses_as_take_does(acme, make_connection):  # noqa: F811
    connection = make_connection(acme)
    for _ in range(6):
        require_room(connection, Operation.START)
        take(connection, Operation.START)

    with pytest.raises(LocalLimitError):
        require_room(connection, Operation.START)


@pytest.mark.parametrize("hours", [-1, 1])
def test_take_goes_by_one_clock_though_a_worker_s_is_wrong(acme, make_connection, monkeypatch, hours):  # noqa: F811
    connection = make_connection(acme)
    for _ in range(3):
        take(connection, Operation.START)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + hours * 3600)
    for _ in range(3):
        take(connection, Operation.START)

    with pytest.raises(LocalLimitError) as refused:
        take(connection, Operation.START)

    assert refused.value.wait <= timedelta(seconds=61)
