"""No secret gets into a log line, whoever wrote it."""

import logging

import pytest

from config.redaction import RedactingFormatter, redact

SECRETS = [
    pytest.param("act.example12345Example12345Example!4823.va", id="access token"),
    pytest.param("rft.example12345Example12345Example!4910.va", id="refresh token"),
    pytest.param("clt.2YyqmSdOcVjDsLzz8yMGFt8P5oGf2m9a", id="client token"),
    pytest.param("gAAAAABnQ1x7Yk3v9pKqLm2nT8wRzXcVbNmAsDfGhJkLqWeRtYuIoP==", id="sealed value"),
]


@pytest.mark.parametrize("secret", SECRETS)
def test_token_is_blotted_out_wherever_it_stands(secret):
    for text in (f"got {secret}", f'{{"x": "{secret}"}}', f"a={secret}&b=1", f"({secret})", f"'{secret}',"):
        assert secret[4:] not in redact(text)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
        ("{'Authorization': 'Bearer abcdef123456'}", "abcdef123456"),
        ("GET /connections/tiktok/callback/?code=abcdefghij&state=x", "abcdefghij"),
        ("code=aB3dE.fGh*1!x2", "aB3dE"),
        ("code=0123456789abcdef", "0123456789abcdef"),
        ("client_secret=hushhushhush", "hushhushhush"),
        ('"client_secret": "hushhushhush"', "hushhushhush"),
        ("refresh_token=plainvalue", "plainvalue"),
        ("https://open-upload.tiktokapis.com/video/?upload_id=67&upload_token=Xza123", "Xza123"),
        ("https://open-upload.tiktokapis.com/video/?upload_id=6754&x=1", "6754"),
        ("PUT https://upload.us.tiktokapis.com/video/abc123 failed", "abc123"),
        ("http://127.0.0.1:8787/upload/s3cretpath?x=1", "s3cretpath"),
        ("/video/?upload_id=67&upload_token=Xza123 timed out", "Xza123"),
        ("Internal Server Error: /invitation/Xz-12_ab/", "Xz-12_ab"),
        ("Not Found: /media/pull/WyJhIl0:1x:s1gn/file.mp4", "s1gn"),
        ("{'path': 'media/pull/WyJhIl0:1x:s1gn/file.mp4'}", "s1gn"),
        ("kwargs={'token': 'WyJhIl0:1xyz:s1gn-0', 'name': 'file.mp4'}", "s1gn"),
        ("{'uidb36': '3', 'key': 'd8ae9a-cafe0123456789abcdef'}", "cafe"),
        ("/accounts/password/reset/key/3-d8ae9a-cafe/", "cafe"),
        ("/callback/?state=0p4que&x=1", "0p4que"),
        ("postgres://broadside:hunter22@db/broadside", "hunter22"),
        ("redis://:hunter22@cache:6379/0", "hunter22"),
    ],
)
def test_secret_in_its_setting_is_blotted_out(text, secret):
    assert secret not in redact(text)
    assert "[redacted]" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "delivery 0199 refused code=rate_limit_exceeded log_id=202407",
        "delivery 0199 refused code=spam_risk_too_many_posts",
        "{'code': 'spam_risk_too_many_posts', 'state': 'processing'}",
        "exit code=-15",
        "HTTP code=404, tried 3 times",
        "GET https://open.tiktokapis.com/v2/post/publish/status/fetch/ 200",
        "https://www.tiktok.com/@someone/video/7123456789",
        "workspace=0199 connection=0199 refreshed, scopes video.upload,video.publish",
        "redis://127.0.0.1:6379/0",
    ],
)
def test_what_helps_to_follow_a_problem_stays(text):
    assert redact(text) == text


@pytest.mark.parametrize("secret", SECRETS)
def test_redacting_twice_changes_nothing(secret):
    once = redact(f"access_token={secret} and Bearer {secret}")

    assert redact(once) == once


def test_traceback_and_arguments_are_redacted():
    formatter = RedactingFormatter("%(message)s")
    try:
        raise ValueError("bad answer for act.abcdefghijklmnop")
    except ValueError as error:
        record = logging.LogRecord(
            "x",
            logging.ERROR,
            "f.py",
            1,
            "token %s",
            ("rft.qrstuvwxyz123456",),
            (ValueError, error, error.__traceback__),
        )

    line = formatter.format(record)

    assert "abcdefghijklmnop" not in line
    assert "qrstuvwxyz123456" not in line
    assert "ValueError: bad answer for act.[redacted]" in line


def test_settings_send_every_log_line_through_the_redaction(settings):
    for handler in settings.LOGGING["handlers"].values():
        assert (
            settings.LOGGING["formatters"][handler["formatter"]]["()"]
            == "config.redaction.RedactingFormatter"
        )


def test_no_logger_writes_past_the_formatter():
    """Django's own configuration gives its loggers handlers that do not redact."""
    loggers = [logging.getLogger(name) for name in (None, *logging.root.manager.loggerDict)]
    ours = [one for one in loggers if (one.name or "root").split(".")[0] in {"django", "root", "celery"}]
    handlers = [
        (one.name, handler)
        for one in ours
        for handler in one.handlers
        if type(handler) is logging.StreamHandler
    ]

    assert "django" in logging.root.manager.loggerDict
    assert handlers
    assert [name for name, one in handlers if not isinstance(one.formatter, RedactingFormatter)] == []
    assert logging.getLogger("django.server").propagate
