"""Django's report of an error, for the debug page and for mail to admins, without what must not be in one.

A frame of a traceback may hold a token, a code that somebody typed, or a row before it was sealed, under any name. So
no text of any variable is shown, only what kind of thing it is; nor are values that came with the request.
https://docs.djangoproject.com/en/5.2/howto/error-reporting/#custom-error-reports
"""

from __future__ import annotations

import re
from collections.abc import ItemsView, Sized
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from types import FrameType
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.http import HttpRequest
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from config.redaction import redact

PLAIN = (type(None), bool, int, float, Decimal, date, time, timedelta, UUID, Enum, Model)
"""What shows itself: no text that somebody gave. A model's own words name its row and no secret."""


class Outline:
    """Stands for a value in a report and shows what kind of thing it is."""

    def __init__(self, value: object) -> None:
        self._words = outline(value)

    def __repr__(self) -> str:
        return self._words


def outline(value: object) -> str:
    """Describe `value` without its content."""
    kind = type(value).__qualname__
    try:
        if isinstance(value, PLAIN):
            return repr(value) if isinstance(value, Model) or not isinstance(value, str) else f"<{kind}>"
        if isinstance(value, str | bytes):
            return f"<{kind}, {len(value)} long>"
        if isinstance(value, Sized) and type(value).__module__ == "builtins":
            return f"<{kind} of {len(value)}>"
    except Exception as error:  # a report must come about whatever is wrong with a variable
        return f"<{kind}: {type(error).__name__}>"
    return f"<{kind}>"


class ReportFilter(SafeExceptionReporterFilter):
    """Hides values whether DEBUG is on or not."""

    hidden_settings = re.compile(
        "API|AUTH|TOKEN|KEY|SECRET|PASS|DSN|SIGNATURE|COOKIE|QUERY_STRING|REFERER|RAW_URI|REQUEST_URI|SESSION",
        re.I,
    )

    def is_active(self, request: HttpRequest | None) -> bool:
        """Always."""
        return True

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        """Also blot out the passwords in URLs."""
        cleansed = super().cleanse_setting(key, value)
        return redact(cleansed) if isinstance(cleansed, str) else cleansed

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, str]:
        """The names of a form's fields."""
        return {} if request is None else dict.fromkeys(request.POST, self.cleansed_substitute)

    def get_traceback_frame_variables(
        self, request: HttpRequest | None, tb_frame: FrameType
    ) -> ItemsView[str, Any]:
        """Names and outlines."""
        return {name: Outline(value) for name, value in tb_frame.f_locals.items()}.items()


class ErrorReporter(ExceptionReporter):
    """Reports with the address's query and the error's own words cleaned."""

    def get_traceback_data(self) -> dict[str, Any]:
        """What the templates are filled with."""
        data = super().get_traceback_data()
        if self.request is not None:
            stars = self.filter.cleansed_substitute
            data["request_GET_items"] = dict.fromkeys(self.request.GET, stars).items()
            data["request_insecure_uri"] = redact(str(data.get("request_insecure_uri", "")).partition("?")[0])
        if "exception_value" in data:
            data["exception_value"] = redact(data["exception_value"])
        for frame in data.get("frames", ()):
            if frame.get("exc_cause"):
                frame["exc_cause"] = redact(str(frame["exc_cause"]))
        return data

    def get_traceback_html(self) -> str:  # type: ignore[override]  # no template takes it in
        """The page."""
        return redact(super().get_traceback_html())

    def get_traceback_text(self) -> str:  # type: ignore[override]
        """The mail."""
        return redact(super().get_traceback_text())
