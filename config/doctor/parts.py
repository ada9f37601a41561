"""What the product stands on: database, Redis and broker, storage, workers and beat."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import redis
from celery import current_app
from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from config import health, heartbeat
from config.clamd import Scanner, ScannerError
from config.doctor.findings import Finding, broken, fine, note
from config.redaction import redact

OLDEST_POSTGRES = 14
ROOMY_BYTES = 10 * 1024**3


def check_database() -> Iterator[Finding]:
    """Reachable, new enough, the right kind of role, nothing left to migrate."""
    place = "{HOST}:{PORT}, database {NAME}, role {USER}".format(**settings.DATABASES["default"])
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
            is_super, is_exempt = cursor.fetchone() or (False, False)
        version = connection.pg_version // 10_000  # type: ignore[attr-defined]
    except DatabaseError as error:
        yield broken(
            f"The database does not answer ({place}): {_words(error)}", "Is it running? Check DATABASE_URL."
        )
        return
    yield fine(f"PostgreSQL {version} answers ({place})")
    if version < OLDEST_POSTGRES:
        yield broken(f"PostgreSQL {version} is too old", f"Use version {OLDEST_POSTGRES} or newer.")
    if is_super or is_exempt:
        yield broken(
            "The database role is a superuser or exempt from row-level security: nothing holds tenants apart",
            "ALTER ROLE … NOSUPERUSER NOBYPASSRLS; let another role own the server.",
        )
    else:
        yield fine("The role is neither superuser nor exempt from row-level security")
    yield _migrations()


def _migrations() -> Finding:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        first = f"{plan[0][0].app_label}.{plan[0][0].name}"
        return broken(f"Migrations are pending, from {first} on ({len(plan)})", "Run: manage.py migrate")
    return fine("Every migration is applied")


def check_broker() -> Iterator[Finding]:
    """Redis answers and throws nothing away; the broker answers, where it is another server."""
    place = redact(settings.REDIS_URL)
    try:
        with heartbeat.open_redis() as client:
            info = dict(client.info())
    except redis.RedisError as error:
        yield broken(f"Redis does not answer ({place}): {_words(error)}", "Is it running? Check REDIS_URL.")
        return
    yield fine(f"Redis {info.get('redis_version')} answers ({place})")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield note(
            f"Redis may throw keys away when memory is short (maxmemory-policy {policy})",
            "Set it to noeviction: queues and limits are among the keys.",
        )
    if settings.CELERY_BROKER_URL != settings.REDIS_URL:
        yield _other_broker()


def _other_broker() -> Finding:
    place = redact(settings.CELERY_BROKER_URL)
    try:
        with current_app.connection_for_write(settings.CELERY_BROKER_URL) as broker:
            broker.ensure_connection(max_retries=1, timeout=3)
    except Exception as error:  # each transport of kombu has errors of its own
        return broken(f"The broker does not answer ({place}): {_words(error)}", "Check CELERY_BROKER_URL.")
    return fine(f"The broker answers ({place})")


def check_storage() -> Iterator[Finding]:
    """A file can be written where media go, and there is room."""
    try:
        health.check_storage()
    except Exception as error:  # the disk's, or those of the S3 client
        yield broken(
            f"Media cannot be stored: {_words(error)}", "Check MEDIA_ROOT or the S3_ settings, and the disk."
        )
        return
    if not isinstance(default_storage, FileSystemStorage):
        options = settings.STORAGES["default"].get("OPTIONS", {})
        yield fine(f"Media go to the bucket {options.get('bucket_name')}, which takes and deletes a file")
        return
    place = Path(default_storage.location)
    free = shutil.disk_usage(place).free
    room = f"{free / 1024**3:.1f} GiB free"
    yield (
        fine(f"Media go to {place}, {room}")
        if free >= ROOMY_BYTES
        else note(
            f"Media go to {place}, only {room}", "A single video may have 4 GiB. Make room, or use S3_BUCKET."
        )
    )


def check_scanner() -> Iterator[Finding]:
    """Whether uploads are looked through for malware, and by what."""
    if not settings.CLAMAV_URL:
        yield fine("Uploads are not looked through for malware (CLAMAV_URL is not set)")
        return
    try:
        scanner = Scanner.at(settings.CLAMAV_URL)
        scanner.ping()
        yield fine(f"The malware scanner answers ({scanner}): {scanner.version()}")
    except ValueError as error:
        yield broken(f"CLAMAV_URL cannot be used: {error}", "See docs/operations.md, Malware scan.")
        return
    except ScannerError as error:
        yield _no_scanner(str(error))
    if settings.CLAMAV_WHEN_DOWN == "allow":
        yield note(
            "Files that the scanner gives no verdict on are published all the same (CLAMAV_WHEN_DOWN=allow)",
            "With CLAMAV_WHEN_DOWN=hold they wait for it.",
        )


def _no_scanner(problem: str) -> Finding:
    advice = "Is clamd running, and may this account reach it? Check CLAMAV_URL."
    if settings.CLAMAV_WHEN_DOWN == "allow":
        return note(f"No upload is looked through for malware: {problem}", advice)
    return broken(f"What people upload is not published: {problem}", advice)


def check_workers() -> Iterator[Finding]:
    """Somebody works, and somebody rings the bell."""
    try:
        fresh = [sign for sign in heartbeat.read_workers() if sign.is_fresh]
        beat = heartbeat.read_beat()
    except redis.RedisError:
        yield note("Workers are unknown while Redis does not answer", "Repair Redis first.")
        return
    if fresh:
        yield fine(f"Working: {', '.join(sign.name for sign in fresh)}")
    else:
        yield broken(
            "No worker has given a sign of life for 30 s: nothing is uploaded",
            "Start one: celery -A config worker -P threads -c 24 -Q default,uploads,polls",
        )
    if beat and beat.is_fresh:
        yield fine(f"The beat was heard {beat.age_seconds:.0f} s ago")
    else:
        yield broken(
            "The beat is not heard: scheduled posts wait and nothing is retried",
            "Start it (and a worker): celery -A config beat",
        )


def _words(error: BaseException) -> str:
    """The first line of what a client says, without secrets."""
    lines = str(error).strip().splitlines()
    return redact(lines[0]) if lines else type(error).__name__
