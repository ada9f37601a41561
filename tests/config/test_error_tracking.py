"""What a Sentry server is told of an error: what kind it is and where in the code, and nothing of anybody's."""

from __future__ import annotations

import gzip
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import sentry_sdk
from django.db import connection
from django.test import Client

from accounts import views
from config import error_tracking
from connections.errors import TransportError
from publishing.tasks import clean_up_uploads
from tests.accounts.conftest import PASSWORD

SECRET = "-".join(
    ["X4yp", "opaque", "of", "no", "form", "that", "a", "rule", "knows"]
)  # lines of code are told


class Server:
    """Takes reports as a Sentry server does, and keeps the bodies."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                is_packed = self.headers.get("Content-Encoding") == "gzip"
                bodies.append(gzip.decompress(body) if is_packed else body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def dsn(self) -> str:
        """Where it is."""
        return f"http://publickey@127.0.0.1:{self.http.server_port}/7"

    def reports(self) -> list[dict[str, Any]]:
        """Wait for what is on its way, and return the reports."""
        sentry_sdk.flush(timeout=20)
        return [json.loads(line) for body in self.bodies for line in body.splitlines()[2::2]]

    def text(self) -> str:
        """All that was sent."""
        return b"\n".join(self.bodies).decode()


@pytest.fixture
def server(settings) -> Iterator[Server]:
    """A server that this process reports to."""
    server = Server()
    settings.SENTRY_DSN = server.dsn
    settings.BASE_URL = "https://broadside.example.com"
    error_tracking.start()
    yield server
    sentry_sdk.get_client().close(timeout=5)
    sentry_sdk.get_global_scope().set_client(None)
    server.http.shutdown()
    server.http.server_close()


def fail_with(error: Exception, plaintext: str, options: dict[str, Any]) -> None:
    raise error


def log_failure(logger: str, error: Exception) -> None:
    sealed_before = {"plaintext": SECRET, "list": [SECRET]}
    try:
        fail_with(error, SECRET, sealed_before)
    except Exception:
        logging.getLogger(logger).exception("it failed for %s", SECRET, extra={"note": SECRET})


def test_a_crash_of_a_page_tells_where_and_nothing_of_the_request(server, alice, monkeypatch):
    def crash(*args: Any, **kwargs: Any) -> None:
        token = SECRET
        raise ValueError(f"{token} of {alice.email}")

    monkeypatch.setattr(views, "ProfileForm", crash)
    browser = Client(raise_request_exception=False, headers={"authorization": f"Bearer {SECRET}"})
    browser.force_login(alice)
    session = browser.cookies["sessionid"].value

    answer = browser.post(f"/profile/?code={SECRET}", {"name": SECRET, "password": PASSWORD})

    (report,) = server.reports()
    assert answer.status_code == 500
    (error,) = report["exception"]["values"]
    assert error["type"] == "ValueError"
    assert [frame["function"] for frame in error["stacktrace"]["frames"]][-2:] == ["profile", "crash"]
    assert report["environment"] == "broadside.example.com"
    for word in (SECRET[10:30], PASSWORD, session, alice.email, str(alice.pk), '"vars"', '"request"', "argv"):
        assert word not in server.text(), word


def test_a_database_that_quotes_a_row_is_not_quoted(server, alice):
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s::int", [f"{SECRET} {alice.email}"])
    except Exception:
        logging.getLogger("accounts").exception("a statement failed for %s", alice.email)

    (report,) = server.reports()
    assert {value["type"] for value in report["exception"]["values"]} == {
        "InvalidTextRepresentation",
        "DataError",
    }
    assert report["logentry"] == {"message": "a statement failed for %s"}
    assert SECRET[10:30] not in server.text()
    assert alice.email not in server.text()


def test_words_of_our_own_errors_are_told_and_cleaned(server):
    log_failure(
        "publishing.engine",
        TransportError("no answer to https://upload.example/v/?upload_token=a-token-of-its-own"),
    )

    (report,) = server.reports()
    (error,) = report["exception"]["values"]
    assert error["value"] == "no answer to https://upload.example/[redacted]"
    assert SECRET[10:30] not in server.text()
    assert "a-token" not in server.text()


def test_words_of_others_are_not_told(server):
    log_failure("somebody.library", RuntimeError(SECRET))
    logging.getLogger("somebody.library").error(f"no %s but {SECRET}", "params")

    first, second = server.reports()
    assert "value" not in first["exception"]["values"][0]
    assert "logentry" not in second
    assert second["logger"] == "somebody.library"
    assert SECRET[10:30] not in server.text()


def test_a_task_that_fails_is_told_without_its_arguments(server, monkeypatch):
    def crash(**_: Any) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr("publishing.videos.clean_up_uploads", crash)

    clean_up_uploads.apply(kwargs={"note": SECRET}, throw=False)

    (report,) = server.reports()
    assert report["exception"]["values"][-1]["type"] == "ValueError"
    assert SECRET[10:30] not in server.text()


def test_warnings_and_informations_are_not_told(server):
    logging.getLogger("publishing").warning("nothing that anybody must know")

    assert server.reports() == []


def test_a_server_that_is_away_disturbs_nobody(settings, alice):
    settings.SENTRY_DSN = "http://publickey@127.0.0.1:9/7"
    error_tracking.start()
    try:
        log_failure("publishing", ValueError("x"))
        sentry_sdk.flush(timeout=2)
    finally:
        sentry_sdk.get_global_scope().set_client(None)


def test_without_a_dsn_nothing_is_begun(settings):
    settings.SENTRY_DSN = ""

    error_tracking.start()

    assert not sentry_sdk.get_client().is_active()
