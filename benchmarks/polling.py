"""How many status questions a worker process asks: `python -m benchmarks.polling [--count N]`.

N deliveries (10,000 unless said) stand in processing at the local TikTok and are all due; measured over 30 seconds
of the real worker: answers a second and transactions for each.
"""

from __future__ import annotations

import argparse
import time

from benchmarks.end_to_end import transactions
from benchmarks.rows import LIFTED, make_connections, make_deliveries
from benchmarks.running import machine, peak_mb, running_demo

SECONDS = 30.0


def main() -> None:
    """Print polls a second and transactions for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    given = parser.parse_args()
    with running_demo(TIKTOK_RATE_LIMITS="start=0,creator=0,status=0") as demo:
        from django.db.models.functions import Now

        from publishing.models import Delivery
        from publishing.states import DeliveryState

        demo.control("PATCH", "/settings", LIFTED | {"processing_seconds": 86_400.0})
        connections = make_connections(demo, 20)
        [first, *_] = make_deliveries(connections, 1, 1000, wake_at=Now())
        while not (row := Delivery.objects.filter(pk=first, state=DeliveryState.PROCESSING).first()):
            time.sleep(0.1)
        # One job at the local TikTok stands for all: a question costs the same whichever job it is about.
        make_deliveries(
            [row.connection],
            given.count,
            1000,
            state=DeliveryState.PROCESSING,
            publish_id=row.publish_id,
            sent_bytes=1000,
            wake_at=Now(),
        )
        time.sleep(3)
        asked, before, started = _asked(demo), transactions(), time.monotonic()
        time.sleep(SECONDS)
        seconds = time.monotonic() - started
        asked, used = _asked(demo) - asked, transactions() - before
        memory = peak_mb(demo.process("celery", "worker"))
    print(f"{given.count:,} in processing: {asked / seconds:.1f} polls a second by one worker process")
    print(f"{used / max(asked, 1):.1f} transactions for each poll; worker {memory:.0f} MB at the peak")
    print(machine())


def _asked(demo) -> int:  # type: ignore[no-untyped-def]
    return int(demo.control("GET", "/requests")["counts"].get("status", 0))


if __name__ == "__main__":
    main()
