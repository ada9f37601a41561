"""What load balancers and container managers ask: does the process live, and can it work?

Both answers need no log-in and no session, and tell a stranger nothing but which part fails.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable

from celery import current_app
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config import heartbeat

logger = logging.getLogger(__name__)


class NoWorkerError(Exception):
    """No worker has given a sign of life lately."""


def check_database() -> None:
    """Ask the database for an answer. Raises django.db.Error if it gives none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def check_broker() -> None:
    """Connect to the broker and to Redis, which may be two servers. Raises what their clients raise."""
    with heartbeat.open_redis() as client:
        client.ping()
    if settings.CELERY_BROKER_URL != settings.REDIS_URL:
        with current_app.connection_for_write(settings.CELERY_BROKER_URL) as broker:
            broker.ensure_connection(max_retries=1, timeout=3)


def check_storage() -> None:
    """Write a small file where media go and delete it. Raises OSError, or what the storage's client raises."""
    name = default_storage.save(f"health/{uuid.uuid4()}", ContentFile(b"ok"))
    default_storage.delete(name)


def check_worker() -> None:
    """Look for a worker's fresh sign of life. Raises NoWorkerError, or redis.RedisError."""
    if not any(sign.is_fresh for sign in heartbeat.read_workers()):
        raise NoWorkerError


CHECKS: dict[str, Callable[[], None]] = {
    "database": check_database,
    "broker": check_broker,
    "storage": check_storage,
    "worker": check_worker,
}


def _passes(name: str, check: Callable[[], None]) -> bool:
    started = time.monotonic()
    try:
        check()
    except Exception as error:  # every client has errors of its own, and each means "not ready"
        spent = time.monotonic() - started
        logger.warning("not ready: %s (%s after %.1f s)", name, type(error).__name__, spent)
        return False
    return True


@never_cache
@login_not_required
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers. Touches nothing else, so a restart is right when this fails."""
    return JsonResponse({"status": "ok"})


@never_cache
@login_not_required
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """All that the product needs works: 200, or 503 with the parts that fail."""
    parts = {name: _passes(name, check) for name, check in CHECKS.items()}
    ready = all(parts.values())
    words = {name: "ok" if passed else "failed" for name, passed in parts.items()}
    answer = JsonResponse(
        {"status": "ok" if ready else "failed", "parts": words}, status=200 if ready else 503
    )
    answer._has_been_logged = True  # type: ignore[attr-defined]  # by _passes: no "Service Unavailable" besides
    return answer
