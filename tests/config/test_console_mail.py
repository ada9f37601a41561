"""What somebody who runs the demo sees of an e-mail."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.core.mail import EmailMultiAlternatives, get_connection

from stack.demo import BASE_DIR

BACKEND = "config.console_mail.EmailBackend"


def send(stream, **changes):
    words = {"subject": "Confirm", "body": "Open https://x.test/ä\n", "to": ["alice@example.com"]} | changes
    message = EmailMultiAlternatives(**words, connection=get_connection(BACKEND, stream=stream))
    message.attach_alternative("<p>Open <a>it</a></p>", "text/html")
    message.attach("log.csv", "when,what\n", "text/csv")
    message.send()
    return message


def test_text_and_attachments_are_printed_and_html_is_not(tmp_path):
    with open(tmp_path / "out", "w+", encoding="utf-8") as stream:
        message = send(stream)
        stream.seek(0)
        printed = stream.read()

    assert "Open https://x.test/ä" in printed
    assert "To: alice@example.com" in printed
    assert "when,what" in printed
    assert "<p>" not in printed
    assert len(message.alternatives) == 1, "the message itself was changed"


@pytest.mark.parametrize(
    ("url", "backend"),
    [
        ("consolemail://", BACKEND),
        ("smtp://user:word@mail.example.com:587", "django.core.mail.backends.smtp.EmailBackend"),
    ],
)
def test_console_alone_gets_it(url, backend):
    done = subprocess.run(
        [sys.executable, "-c", "from config import settings; print(settings.EMAIL_BACKEND)"],
        cwd=BASE_DIR,
        env=os.environ | {"EMAIL_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == backend
