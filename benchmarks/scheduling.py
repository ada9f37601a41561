"""How late a post starts, and what the dispatcher's query costs: `python -m benchmarks.scheduling`.

Lag: 1,000 deliveries of 20 connections become due within one second; measured is init accepted by the local TikTok
minus due. Query: one dispatcher's pick, with 0 and with 100,000 waiting rows in the table.
"""

from __future__ import annotations

import statistics
import time
from datetime import timedelta

from benchmarks.rows import LIFTED, make_connections, make_deliveries
from benchmarks.running import Demo, machine, running_demo

COUNT = 1_000
LIMIT_SECONDS = 300


def main() -> None:
    """Print median and 99th percentile of the lag, and the query's times."""
    with running_demo(TIKTOK_RATE_LIMITS="start=0,creator=0,status=0") as demo:
        demo.control("PATCH", "/settings", LIFTED)
        lags = _lags(demo)
        print(
            f"{COUNT} due within 1 s: lag median {statistics.median(lags):.2f} s, "
            f"99th percentile {statistics.quantiles(lags, n=100)[98]:.2f} s, most {max(lags):.2f} s"
        )
        empty = _pick_times()
        _wait_rows(demo, 100_000)
        full = _pick_times()
    print(
        f"dispatcher's pick, nothing due: {empty * 1000:.2f} ms; with 100,000 waiting rows: {full * 1000:.2f} ms"
    )
    print(machine())


def _lags(demo: Demo) -> list[float]:
    from django.db import connection
    from django.utils import timezone

    from publishing.models import Delivery
    from publishing.states import DeliveryState

    rows = make_deliveries(make_connections(demo, 20), COUNT, 1000)
    begin = timezone.now() + timedelta(seconds=3)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE publishing_delivery SET wake_at = %s + random() * interval '1 second' WHERE id = ANY(%s)",
            [begin, rows],
        )
    due = dict(Delivery.objects.filter(pk__in=rows).values_list("pk", "wake_at"))
    started = time.monotonic()
    while Delivery.objects.filter(pk__in=rows).exclude(state=DeliveryState.PUBLISHED).exists():
        if time.monotonic() - started > LIMIT_SECONDS:
            raise RuntimeError(f"not published after {LIMIT_SECONDS} s")
        time.sleep(0.2)
    began = {task["publish_id"]: task["created_at"] for task in demo.control("GET", "/tasks")}
    handles = Delivery.objects.filter(pk__in=rows).values_list("pk", "publish_id")
    return [began[publish_id] - due[pk].timestamp() for pk, publish_id in handles]


def _wait_rows(demo: Demo, count: int) -> None:
    from django.db import connection
    from django.utils import timezone

    from connections.models import SocialConnection

    connections = list(SocialConnection.objects.select_related("workspace"))
    make_deliveries(connections, count, 1000, wake_at=timezone.now() + timedelta(days=1))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE publishing_delivery")


def _pick_times() -> float:
    from publishing.dispatch import UPLOAD_STATES, pick_due

    times = []
    for _ in range(50):
        started = time.perf_counter()
        pick_due(UPLOAD_STATES)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()
