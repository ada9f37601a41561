from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from requests.structures import CaseInsensitiveDict

from connections.errors import CapError, ProviderError, RateLimitError, TransportError
from connections.providers.tiktok.errors import (
    ERROR_CLASSES,
    Refusal,
    error_from,
    retry_after,
    without_secrets,
)
from connections.providers.tiktok.http import Answer

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def answer(status, body=b"", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers=CaseInsensitiveDict(named), body=body)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "17"}, timedelta(seconds=17)),
        ({"Retry-After": "0"}, timedelta(0)),
        ({"Retry-After": "999999999999"}, timedelta(days=1)),
        (
            {
                "Retry-After": format_datetime(NOW + timedelta(minutes=2), usegmt=True),
                "Date": format_datetime(NOW),
            },
            timedelta(minutes=2),
        ),
        (
            {
                "Retry-After": format_datetime(NOW - timedelta(minutes=2), usegmt=True),
                "Date": format_datetime(NOW),
            },
            timedelta(0),
        ),
        ({"Retry-After": "Sat, 21 Nov 2020 08:00:00 GMT"}, timedelta(0)),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "²"}, None),
        ({}, None),
    ],
)
def test_retry_after_reads_seconds_and_dates(headers, wait):
    assert retry_after(headers) == wait


def test_a_429_carries_the_wait():
    error = error_from(answer(429, b'{"error":{"code":"rate_limit_exceeded"}}', Retry_After="9"), secrets=())

    assert isinstance(error, RateLimitError)
    assert error.wait == timedelta(seconds=9)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error":{"code":"invalid_params"}}'])
def test_a_429_is_a_rate_limit_whatever_the_body_says(body):
    assert type(error_from(answer(429, body), secrets=())) is RateLimitError


def test_a_cap_with_a_429_stays_a_cap():
    body = b'{"error":{"code":"spam_risk_too_many_posts"}}'

    assert type(error_from(answer(429, body), secrets=())) is CapError


def test_a_5xx_is_never_sure_that_nothing_happened():
    error = error_from(answer(500, b'{"error":{"code":"invalid_params"}}'), secrets=())

    assert type(error) is TransportError
    assert not error.nothing_happened


def test_every_class_of_the_table_can_be_made_from_an_answer():
    for code, kind in ERROR_CLASSES.items():
        body = f'{{"error":{{"code":"{code}","message":"m"}}}}'.encode()
        error = error_from(answer(400, body), secrets=())

        assert type(error) is kind
        assert isinstance(error, ProviderError)


@pytest.mark.parametrize("code", [{"a": 1}, ["x"], "x y", "a" * 200, "<b>", None, True, "line\nbreak"])
def test_a_code_that_is_no_word_is_left_out(code):
    import json

    error = error_from(
        answer(400, json.dumps({"error": {"code": code, "message": "m"}}).encode()), secrets=()
    )

    assert error.code in {"", "True"}


def test_a_message_is_brought_to_one_short_line():
    body = b'{"error":{"code":"x","message":"a\\n\\u001b[31mb ' + b"c" * 2000 + b'"}}'

    message = error_from(answer(400, body), secrets=()).message

    assert message.startswith("a [31mb c")
    assert len(message) == 300


def test_without_secrets_takes_out_what_tiktok_echoes():
    refusal = Refusal(code="act.x", message="token act.x is bad, act.x", log_id="id-act.x")

    assert without_secrets(refusal, ["", "act.x"]) == Refusal("", "token [removed] is bad, [removed]", "")
