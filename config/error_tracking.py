"""Errors told to a Sentry server, if SENTRY_DSN names one: what kind of error, and where in the code.

Sentry's library would send much more: variables, requests, people, statements, the command line. So its ways of looking
into a process are off, and each report is built anew from the few parts that hold nothing of anybody's. The text of an
exception goes along only if the exception is one of ours, which carry no content; a database's may quote a whole row.
Source: https://develop.sentry.dev/sdk/data-model/event-payloads/
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings

from config.redaction import redact

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

_OURS = {"accounts", "config", "connections", "publishing"}
_KEPT = ("event_id", "timestamp", "level", "logger", "platform", "environment", "sdk")
_KEPT_OF_FRAME = ("filename", "module", "function", "lineno", "context_line", "in_app")
LONGEST = 500


def start() -> None:
    """Begin to report what is logged as an error, in this process. Does nothing without SENTRY_DSN."""
    if not settings.SENTRY_DSN:
        return
    import sentry_sdk
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn=settings.SENTRY_DSN,
        environment=urlsplit(settings.BASE_URL).hostname,
        before_send=rebuild,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            LoggingIntegration(level=None, event_level=logging.ERROR, sentry_logs_level=None),
            AtexitIntegration(callback=lambda pending, timeout: None),
        ],
        include_local_variables=False,
        max_breadcrumbs=0,
        send_client_reports=False,
        auto_session_tracking=False,
        propagate_traces=False,
    )


def rebuild(event: Event, hint: Hint) -> Event:
    """Return a report of what is known to be harmless in `event`."""
    told: dict[str, Any] = dict(event)
    report: dict[str, Any] = {name: told[name] for name in _KEPT if name in told}
    logger = str(told.get("logger", ""))
    template = (told.get("logentry") or {}).get("message")
    if template and _is_ours(logger):  # as it stands in the code, without what was filled in
        report["logentry"] = {"message": redact(str(template))[:LONGEST]}
    values = (told.get("exception") or {}).get("values") or ()
    if values:
        report["exception"] = {"values": [_exception(value) for value in values]}
    return report  # type: ignore[return-value]  # a part of an Event is one


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in _OURS


def _exception(value: dict[str, Any]) -> dict[str, Any]:
    told = {name: value[name] for name in ("type", "module") if value.get(name)}
    if _is_ours(str(value.get("module") or "")):
        told["value"] = redact(str(value.get("value") or ""))[:LONGEST]
    frames = (value.get("stacktrace") or {}).get("frames") or ()
    return told | {"stacktrace": {"frames": [_frame(frame) for frame in frames]}}


def _frame(frame: dict[str, Any]) -> dict[str, Any]:
    return {name: frame[name] for name in _KEPT_OF_FRAME if name in frame}
