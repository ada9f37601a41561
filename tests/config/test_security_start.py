"""Insecure production settings are refused at the start of web, worker and beat, with the reason."""

from __future__ import annotations

import ast
import os
import secrets
import subprocess
import sys

import pytest
from cryptography.fernet import Fernet
from django.core.checks import run_checks

from config.checks import PLACEHOLDER, is_loopback
from stack.options import BASE_DIR

KEY = secrets.token_urlsafe(48)
PRODUCTION = {
    "PATH": os.environ["PATH"],
    "ENV_FILE": os.devnull,
    "SECRET_KEY": KEY,
    "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    "BASE_URL": "https://broadside.example.com",
    "DATABASE_URL": "postgres://u:p@127.0.0.1:1/d",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "TRUST_PROXY_HEADERS": "1",
    "TIKTOK_CLIENT_KEY": "key",
    "TIKTOK_CLIENT_SECRET": "secret",
}
WRONG = [
    pytest.param({"DEBUG": "1"}, "DEBUG is on", id="debug on a public host"),
    pytest.param({"DEBUG": "1", "SECRET_KEY": PLACEHOLDER}, "SECRET_KEY is a placeholder", id="default key"),
    pytest.param({"SECRET_KEY": "short"}, "SECRET_KEY is a placeholder or too short", id="short key"),
    pytest.param({"SECRET_KEY": "ab" * 40}, "SECRET_KEY is a placeholder or too short", id="dull key"),
    pytest.param({"SECRET_KEY": ""}, "SECRET_KEY is not set", id="no key"),
    pytest.param({"BASE_URL": "http://broadside.example.com"}, "in the clear", id="http"),
    pytest.param({"BASE_URL": "http://192.168.1.5:8000"}, "in the clear", id="http in the house"),
    pytest.param({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS holds *", id="any host"),
    pytest.param({"ENCRYPTION_KEYS": ""}, "ENCRYPTION_KEYS is not set", id="no encryption key"),
    pytest.param(
        {"TIKTOK_SIGN_IN": "1", "TIKTOK_CLIENT_SECRET": ""}, "TIKTOK_SIGN_IN is on, but", id="no credentials"
    ),
    pytest.param({"ENCRYPTION_KEYS": "nonsense"}, "not a Fernet key", id="no encryption key either"),
]


def run(*argv, **env):
    return subprocess.run(
        [sys.executable, *argv],
        cwd=BASE_DIR,
        env=PRODUCTION | env,
        capture_output=True,
        text=True,
        timeout=90,
    )


def test_deployment_check_is_silent_with_production_settings():
    done = run("-W", "error", "manage.py", "check", "--deploy", "--fail-level", "INFO")

    assert done.stdout + done.stderr == "System check identified no issues (2 silenced).\n"
    assert done.returncode == 0


def settings_of(**env):
    """What the settings become for a process with this environment."""
    names = (
        "SESSION_COOKIE_NAME CSRF_COOKIE_NAME SESSION_COOKIE_SECURE CSRF_COOKIE_SECURE SESSION_COOKIE_HTTPONLY "
        "CSRF_COOKIE_HTTPONLY SESSION_COOKIE_SAMESITE CSRF_COOKIE_SAMESITE SECURE_SSL_REDIRECT SECURE_HSTS_SECONDS "
        "ALLOWED_HOSTS"
    )
    words = (
        f"from config import settings; print({{name: getattr(settings, name) for name in {names.split()}}})"
    )
    return ast.literal_eval(run("-c", words, **env).stdout)


GUARDED = {
    "SESSION_COOKIE_NAME": "__Host-sessionid",
    "CSRF_COOKIE_NAME": "__Host-csrftoken",
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "SESSION_COOKIE_HTTPONLY": True,
    "CSRF_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "CSRF_COOKIE_SAMESITE": "Lax",
    "SECURE_SSL_REDIRECT": True,
    "SECURE_HSTS_SECONDS": 31_536_000,
    "ALLOWED_HOSTS": ["broadside.example.com", "127.0.0.1", "localhost"],
}


def test_a_server_guards_cookies_and_connections_by_itself():
    assert settings_of() == GUARDED


def test_a_server_whose_proxy_is_not_trusted_guards_cookies_all_the_same():
    unknown = {"SECURE_SSL_REDIRECT": False, "SECURE_HSTS_SECONDS": 0}

    assert settings_of(TRUST_PROXY_HEADERS="0") == GUARDED | unknown


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"EMAIL_URL": "smtp://mail.example.com"}, "mandatory"),
        ({}, "optional"),
        ({"EMAIL_URL": "smtp://mail.example.com", "BASE_URL": "http://127.0.0.1:8000"}, "optional"),
        ({"EMAIL_URL": "smtp://mail.example.com", "ACCOUNT_EMAIL_VERIFICATION": "optional"}, "optional"),
    ],
)
def test_address_must_be_confirmed_first_where_mail_goes_out(env, expected):
    words = "from config import settings; print(settings.ACCOUNT_EMAIL_VERIFICATION)"

    assert run("-c", words, **env).stdout.strip() == expected


@pytest.mark.parametrize(("trusted", "proxies"), [("1", "1"), ("0", "0")])
def test_log_in_limits_believe_one_proxy_if_it_is_trusted_and_else_none(trusted, proxies):
    words = "from config import settings; print(getattr(settings, 'ALLAUTH_TRUSTED_PROXY_COUNT', 0))"

    assert run("-c", words, TRUST_PROXY_HEADERS=trusted).stdout.strip() == proxies


def test_production_settings_start():
    done = run("-m", "config.startup")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("env", "reason"), WRONG)
def test_insecure_settings_are_refused_with_the_reason(env, reason):
    done = run("-m", "config.startup", **env)

    assert done.returncode == 1
    assert reason in done.stderr


def test_refusal_shows_no_secret():
    done = run("-m", "config.startup", SECRET_KEY="shortbutsecret", ENCRYPTION_KEYS="alsosecret")

    assert "shortbutsecret" not in done.stderr
    assert "alsosecret" not in done.stderr


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"])
def test_machine_of_ones_own_starts_over_plain_http(url):
    done = run("-m", "config.startup", BASE_URL=url, TRUST_PROXY_HEADERS="0")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://0.0.0.0:8000", False),
        ("http://127.8.9.1", True),
        ("http://site.localhost", True),
        ("", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(url, expected):
    assert is_loopback(url) is expected


def test_proxy_that_is_not_trusted_is_warned_of():
    done = run("manage.py", "check", "--deploy", TRUST_PROXY_HEADERS="0")

    assert "config.W001" in done.stderr
    assert done.returncode == 0


@pytest.mark.stack
@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["-m", "gunicorn", "-c", "config/gunicorn.py", "config.wsgi"], id="web"),
        pytest.param(["-m", "celery", "-A", "config", "worker", "-P", "threads"], id="worker"),
        pytest.param(["-m", "celery", "-A", "config", "beat", "-s", "SCHEDULE", "--pidfile="], id="beat"),
    ],
)
def test_process_refuses_to_start_with_the_reason(argv, tmp_path):
    argv = [str(tmp_path / "beat") if word == "SCHEDULE" else word for word in argv]

    done = run(*argv, BASE_URL="http://broadside.example.com", BIND="127.0.0.1:0")

    assert done.returncode == 1
    assert "BASE_URL is http://broadside.example.com: passwords" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.django_db
def test_wrong_key_for_what_is_stored_is_refused(settings, monkeypatch, acme, alice):
    from allauth.mfa.models import Authenticator

    from config.startup import refuse_insecure_start
    from connections.second_factors import MFAAdapter

    settings.BASE_URL = "https://broadside.example.com"
    Authenticator.objects.create(user=alice, type="totp", data={"secret": MFAAdapter().encrypt("x")})
    refuse_insecure_start()
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]

    with pytest.raises(SystemExit) as refused:
        refuse_insecure_start()

    assert "does not open" in str(refused.value)
    assert "connections.E002" in str(refused.value)


def test_everyday_commands_do_not_look_at_deployment(settings):
    settings.BASE_URL = "http://broadside.example.com"

    assert not [one for one in run_checks() if one.id and one.id.startswith("config.")]
