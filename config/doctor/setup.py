"""Settings: the site's address, the secrets, the mail, and what Django's own checks say."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.fernet import Fernet
from django.conf import settings
from django.core import checks
from django.db import DatabaseError

from config.checks import is_loopback
from config.doctor.findings import Finding, broken, fine, note

NEW_SECRET = "python -c 'import secrets; print(secrets.token_urlsafe(48))'"  # noqa: S105 - how to make one
NEW_KEY = "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
QUIET_MAIL = {"console", "dummy", "filebased", "locmem"}


def check_site() -> Iterator[Finding]:
    """The address that people and TikTok use, and the switches that matter there."""
    yield fine(f"The site is {settings.BASE_URL}")
    if not is_loopback(settings.BASE_URL):
        return  # what must not be so there, and keeps it from starting, check_system tells
    if settings.DEBUG:
        yield note("DEBUG is on", "Error pages show settings and code to strangers. Set DEBUG=0 on a server.")
    if "*" in settings.ALLOWED_HOSTS:
        yield note("ALLOWED_HOSTS takes every name", "Name the site's own host instead of *.")


def check_keys() -> Iterator[Finding]:
    """The secret key and the encryption keys, by their form; what is stored is the system checks' affair."""
    secret = settings.SECRET_KEY
    if len(secret) < 40 or len(set(secret)) < 10 or "insecure" in secret:
        yield broken(
            "SECRET_KEY can be guessed", f"Set a new one (everybody has to log in again): {NEW_SECRET}"
        )
    else:
        yield fine(f"SECRET_KEY is set, {len(secret)} characters")
    bad = [number for number, key in enumerate(settings.ENCRYPTION_KEYS, 1) if not _is_fernet_key(key)]
    if not settings.ENCRYPTION_KEYS:
        yield broken(
            "ENCRYPTION_KEYS is not set: no account can be connected", f"Make a key and keep it: {NEW_KEY}"
        )
    elif bad:
        yield broken(
            f"ENCRYPTION_KEYS: number {bad[0]} is not a Fernet key", f"A key is made like this: {NEW_KEY}"
        )
    else:
        yield fine(
            f"ENCRYPTION_KEYS holds {_count(len(settings.ENCRYPTION_KEYS), 'valid key')}; the first encrypts"
        )


def check_email() -> Iterator[Finding]:
    """Whether mail leaves the house."""
    kind = settings.EMAIL_BACKEND.split(".")[-2]
    if kind in QUIET_MAIL:
        yield note(
            f"E-mail is not sent (the {kind} backend takes it)",
            "Set EMAIL_URL to an SMTP server, so that people can confirm their address and reset a password.",
        )
    else:
        yield fine(f"E-mail goes through {settings.EMAIL_HOST}, from {settings.DEFAULT_FROM_EMAIL}")


def check_system() -> Iterator[Finding]:
    """The system checks of every app, those of the database included; on a server those for one too.

    What keeps web, worker and beat from starting (`config/startup.py`) is among them.
    """
    is_server = not is_loopback(settings.BASE_URL)
    try:
        found = checks.run_checks(include_deployment_checks=is_server, databases=["default"])
    except DatabaseError:
        found = checks.run_checks(include_deployment_checks=is_server)
    messages = [message for message in found if not message.is_silenced()]
    for message in messages:
        text = f"{message.msg} ({message.id})"
        advice = message.hint or "See the check's name in the documentation."
        yield broken(text, advice) if message.level >= checks.ERROR else note(text, advice)
    if not messages:
        yield fine("Every app's own checks pass")


def _is_fernet_key(key: str) -> bool:
    try:
        Fernet(key)
    except ValueError:
        return False
    return True


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
