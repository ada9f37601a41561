"""Django's own error page and error mail, which know every variable, tell none of them."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Any

import pytest
from django.http import QueryDict
from django.test import RequestFactory
from django.views.debug import get_exception_reporter_class

from config.error_reports import outline

SECRET = "-".join(
    ["X4yp", "opaque", "of", "no", "form", "that", "a", "rule", "knows"]
)  # a report shows source lines


def _fail(plaintext: str, options: dict[str, Any], count: int) -> None:
    raise ValueError(f"no answer from https://upload.example/v/?upload_token={plaintext}")


@pytest.fixture(params=[True, False], ids=["debug", "no debug"])
def reporter(request, settings):
    """A report of an error in which secrets are everywhere: variables, the query, the form, cookies, settings."""
    settings.DEBUG = request.param
    settings.REDIS_URL = f"redis://:{SECRET}@127.0.0.1:6379/0"
    asked = RequestFactory().post(f"/callback/?code={SECRET}&state={SECRET}", {"totp": SECRET})
    asked.COOKIES = {settings.SESSION_COOKIE_NAME: SECRET}
    asked.META |= {"HTTP_AUTHORIZATION": f"Bearer {SECRET}", "HTTP_REFERER": f"http://x/?code={SECRET}"}
    try:
        _fail(SECRET, {"nested": [SECRET]}, 41)
    except ValueError:
        return get_exception_reporter_class(asked)(asked, *sys.exc_info())


def test_no_report_holds_a_secret(reporter):
    page, mail = reporter.get_traceback_html(), reporter.get_traceback_text()

    assert SECRET not in page
    assert SECRET not in mail
    assert SECRET[10:30] not in page + mail


def test_a_report_still_helps(reporter):
    page = reporter.get_traceback_html()

    assert "no answer from https://upload.example/[redacted]" in page
    assert "_fail" in page
    assert f"&lt;str, {len(SECRET)} long&gt;" in page
    assert "&lt;dict of 1&gt;" in page
    assert "<pre>41</pre>" in page
    assert "totp" in page
    assert "/callback/" in page


class Broken:
    """An object whose parts fail when they are looked at."""

    def __len__(self) -> int:
        raise RuntimeError("no length")


class Word(StrEnum):
    """Code's own word."""

    HELD = "held"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "None"),
        (True, "True"),
        (SECRET, f"<str, {len(SECRET)} long>"),
        (SECRET.encode(), f"<bytes, {len(SECRET)} long>"),
        ([SECRET], "<list of 1>"),
        (QueryDict(f"a={SECRET}"), "<QueryDict>"),
        (Broken(), "<Broken>"),
        (Word.HELD, "<Word>"),
        (ValueError(SECRET), "<ValueError>"),
    ],
)
def test_a_value_is_told_by_its_kind(value, shown):
    assert outline(value) == shown
