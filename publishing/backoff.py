"""How long to wait: pure functions, so that the numbers stand in one place."""

from __future__ import annotations

import random
from datetime import timedelta

from django.conf import settings

MAX_TRIES = 40
"""Failures in a row in one state before the engine gives up: some three hours of back-off."""

MAX_SILENCE = 300
"""The same where all bytes are out: a day. Until then the platform is asked by itself, and a person only after it."""

MAX_DEATHS = 8
"""Claims that ended without a word before a row is taken for one that kills workers."""

MAX_JOBS = 4
"""Publish jobs that the engine starts by itself for one delivery."""

CAP_WAIT = timedelta(hours=1)
CAP_LEAST = timedelta(minutes=1)
CAP_PATIENCE = timedelta(hours=26)
"""A daily cap clears within 24 h; after this the post is failed with the cap's reason."""

QUICK_POLLS_FOR = timedelta(seconds=8)
"""A small post is through by then; a webhook would hardly come sooner."""

BYTES_PATIENCE = timedelta(minutes=2)
"""How long the platform may count fewer bytes than it took before it is sent the missing ones again."""

STATUS_PATIENCE = timedelta(days=7)
POST_ID_PATIENCE = timedelta(days=2)


def scaled(wait: timedelta) -> timedelta:
    """Return `wait` as long as ENGINE_TIME_SCALE makes it: as it is, but for tests of the whole engine."""
    return wait * float(settings.ENGINE_TIME_SCALE)


def retry_wait(tries: int) -> timedelta:
    """Return the wait after failure number `tries` (from 1): 2 s doubling to 5 min, each with up to 30 % of jitter."""
    seconds = min(2.0 ** min(tries, 9), 300.0)
    return scaled(timedelta(seconds=seconds * random.uniform(0.7, 1.0)))  # noqa: S311  # no secret


def status_wait(age: timedelta, *, has_webhooks: bool = False) -> timedelta:
    """Return the wait before the next status question, for a job that has been in its state for `age`.

    A quarter of the age, from 1 s to 1 h: quick while somebody watches, some forty questions in the first day. Where
    the platform tells us by itself (`has_webhooks`), only the first seconds are so; after them the questions are a net
    under lost events: half the age, from 1 min to 4 h.
    """
    if has_webhooks and age >= QUICK_POLLS_FOR:
        return min(max(age / 2, scaled(timedelta(minutes=1))), timedelta(hours=4))
    return min(max(age / 4, scaled(timedelta(seconds=1))), timedelta(hours=1))


def limit_wait(tries: int, *, told: timedelta | None, least: timedelta) -> timedelta:
    """Return the wait after a rate limit: what the provider `told`, else `least` growing with `tries`."""
    if told is not None:
        return max(told, timedelta(seconds=1))
    return scaled(min(least * max(tries, 1), timedelta(minutes=10)))
