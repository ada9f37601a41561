"""Many posts due at once, to confirmed published: `python -m benchmarks.end_to_end [--count N] [--size BYTES]`.

The real stack: dispatcher, broker, one worker process, the local TikTok with its delays at zero and its limits lifted,
five connections in five workspaces. Time runs from the moment at which the rows become due to the last one published.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from benchmarks.rows import LIFTED, make_connections, make_deliveries
from benchmarks.running import machine, peak_mb, reset_peak, resident_mb, running_demo

LIMIT_SECONDS = 300


def main() -> None:
    """Print seconds, rate, worker memory, and statements and requests for each delivery."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--size", type=int, default=5_000_000)
    parser.add_argument("--connections", type=int, default=5)
    given = parser.parse_args()
    with running_demo(TIKTOK_RATE_LIMITS="start=0,creator=0,status=0") as demo:
        demo.control("PATCH", "/settings", LIFTED)
        connections = make_connections(demo, given.connections)
        run(make_deliveries(connections, 5, 1000))
        worker = demo.process("celery", "worker")
        rows = make_deliveries(connections, given.count, given.size)
        demo.control("DELETE", "/requests")
        idle = transactions_per_second()
        reset_peak(worker)
        memory, before = resident_mb(worker), transactions()
        seconds = run(rows)
        peak, used = peak_mb(worker), transactions() - before - idle * seconds
        requests: dict[str, int] = demo.control("GET", "/requests")["counts"]
        posts = len(demo.control("GET", "/posts"))
    print(f"{given.count} x {given.size:,} bytes over {given.connections} connections: {seconds:.2f} s")
    print(f"{given.count / seconds:.1f} published a second; {posts - 5} live at the local TikTok")
    print(f"worker: {memory:.0f} MB before, {peak:.0f} MB at the peak, growth {peak - memory:.1f} MB")
    print(
        f"for each delivery: {used / given.count:.1f} transactions, {_total(requests) / given.count:.2f} requests"
    )
    print(machine())


def run(rows: list[Any]) -> float:
    from django.db.models.functions import Now

    from publishing.models import Delivery
    from publishing.states import DeliveryState

    ours = Delivery.objects.filter(pk__in=rows)
    started = time.monotonic()
    ours.update(wake_at=Now())
    while time.monotonic() - started < LIMIT_SECONDS:
        if ours.filter(state=DeliveryState.PUBLISHED).count() == len(rows):
            return time.monotonic() - started
        if bad := ours.filter(state__in=[DeliveryState.FAILED, DeliveryState.HELD]).first():
            raise RuntimeError(f"{bad.state}: {bad.reason_message}")
        time.sleep(0.1)
    raise RuntimeError(f"not published after {LIMIT_SECONDS} s")


def transactions() -> float:
    """Transactions so far, by the database's own count; outside of `atomic` each statement is one."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        return float(cursor.fetchone()[0])


def transactions_per_second() -> float:
    before = transactions()
    time.sleep(3)
    return (transactions() - before) / 3


def _total(counts: dict[str, int]) -> int:
    return sum(counts.values())


if __name__ == "__main__":
    main()
