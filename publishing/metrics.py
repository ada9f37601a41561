"""The figures of `publishing.health` for Prometheus: gauges, read when asked, so any web process answers alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from accounts.scopes import System, system_scope
from config.heartbeat import Sign
from connections.crypto import keyring
from connections.keys import outdated_values
from publishing import health, scan_counts
from publishing.scan_health import look_at_scanner


@never_cache
@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer who shows METRICS_TOKEN as a bearer token: 401 to others, 404 to everybody while none is set."""
    if not settings.METRICS_TOKEN:
        raise Http404("No metrics here")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not constant_time_compare(token.strip(), settings.METRICS_TOKEN):
        return HttpResponse(
            "A bearer token is needed.\n",
            status=401,
            content_type="text/plain; charset=utf-8",
            headers={"WWW-Authenticate": "Bearer"},
        )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(HealthCollector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class HealthCollector(Collector):
    """Reads the figures when they are asked for. What does not answer is reported as down, and its figures left out."""

    def collect(self) -> Iterator[Metric]:
        """Give every metric family."""
        yield from _service_families(health.read_services())
        try:
            with system_scope(System.OPERATIONS):
                families = list(_database_families())
        except DatabaseError:
            families = []
        yield _gauge("database_up", "1 if the database answers.", 1 if families else 0)
        yield from families


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"broadside_{name}", words, value=value)


def _labelled(name: str, words: str, label: str, values: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(f"broadside_{name}", words, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _database_families() -> Iterator[Metric]:
    queue = health.measure_queue()
    yield _labelled(
        "deliveries", "Deliveries by state.", "state", {s.value: n for s, n in health.count_states().items()}
    )
    yield _labelled(
        "deliveries_held",
        "Deliveries that wait for a person, by reason.",
        "reason",
        {reason.value: n for reason, n in health.count_held().items()},
    )
    yield _gauge("deliveries_due", "Deliveries that should be taken up now.", queue.due_count)
    yield _gauge(
        "deliveries_stuck", "Deliveries due for over a minute and in nobody's hands.", queue.stuck_count
    )
    yield _gauge(
        "oldest_due_seconds",
        "How long the oldest due delivery has waited; 0 if none is due.",
        queue.oldest_wait.total_seconds(),
    )
    yield _labelled(
        "errors_24h",
        "Attempts that went wrong in the last 24 hours, by the platform's code or our word.",
        "code",
        {error.code: error.count for error in health.count_errors()},
    )
    yield _labelled(
        "connections",
        "Connections by status.",
        "status",
        {status.value: n for status, n in health.count_connections().items()},
    )
    yield _gauge(
        "connections_ending",
        "Active connections whose refresh token ends within 30 days.",
        health.ending_connections().count(),
    )
    scanner = look_at_scanner()
    if scanner is not None:
        yield _gauge("scanner_up", "1 if the malware scanner answers.", int(scanner.is_up))
        yield _gauge("scans_waiting", "Files that wait for the scanner's verdict.", scanner.waiting)
    emails = health.count_emails()
    yield _gauge("notice_emails_waiting", "E-mails of notices yet to be sent.", emails.waiting)
    yield _gauge("notice_emails_failing", "Those of them that failed at least once.", emails.failing)
    yield from _key_families()


def _key_families() -> Iterator[Metric]:
    """Read at most once a minute, for it reads whole tables."""
    try:
        place = f"secrets-under-old-keys:{keyring().primary_id}"
    except ImproperlyConfigured:
        return
    count = cache.get_or_set(place, outdated_values, timeout=60)
    words = "Stored secrets that are not under the first of ENCRYPTION_KEYS yet."
    yield _gauge("secrets_under_old_keys", words, float(count or 0))


def _service_families(services: health.Services) -> Iterator[Metric]:
    yield _gauge("redis_up", "1 if Redis answers.", 1 if services.redis_is_up else 0)
    if not services.redis_is_up:
        return
    yield _gauge("workers", "Worker processes with a fresh sign of life.", services.fresh_workers)
    signs: dict[str, Sign | None] = {
        "worker": services.workers[0] if services.workers else None,
        "beat": services.beat,
        "dispatcher": services.dispatcher,
    }
    yield _labelled(
        "heartbeat_age_seconds",
        "Since the last sign of life of each part, the freshest worker's; absent after an hour of silence.",
        "part",
        {part: sign.age_seconds for part, sign in signs.items() if sign is not None},
    )
    with suppress(redis.RedisError):  # it may stop answering between two questions
        scans = CounterMetricFamily("broadside_scans", "Malware scans by outcome.", labels=["outcome"])
        for outcome, count in scan_counts.read().items():
            scans.add_metric([outcome], count)
        yield scans
    depths = {name: depth for name, depth in services.queues.items() if depth is not None}
    yield _labelled(
        "queue_depth",
        "Messages in Celery's queues; absent where the broker is no Redis.",
        "queue",
        dict(depths),
    )
