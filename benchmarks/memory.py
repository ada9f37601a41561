"""How much the worker's memory grows while it uploads: `python -m benchmarks.memory [--size BYTES] [--count N]`.

The real worker of a running demo sends sparse files to the local TikTok, which counts the bytes and keeps none. Growth
is the peak of the worker's resident memory over what it had before the upload, after one small post as a warm-up.
"""

from __future__ import annotations

import argparse

from benchmarks.end_to_end import run
from benchmarks.rows import LIFTED, make_connections, make_deliveries
from benchmarks.running import machine, peak_mb, reset_peak, resident_mb, running_demo


def main() -> None:
    """Print memory before and at the peak, growth and throughput."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000_000, help="bytes of each video")
    parser.add_argument("--count", type=int, default=1, help="videos sent at once")
    given = parser.parse_args()
    with running_demo(TIKTOK_RATE_LIMITS="start=0,creator=0,status=0") as demo:
        demo.control("PATCH", "/settings", LIFTED)
        connections = make_connections(demo, min(given.count, 5))
        worker = demo.process("celery", "worker")
        run(make_deliveries(connections, 1, 5_000_000))
        rows = make_deliveries(connections, given.count, given.size)
        reset_peak(worker)
        before = resident_mb(worker)
        seconds = run(rows)
        peak = peak_mb(worker)
    total = given.size * given.count
    print(
        f"{given.count} x {given.size:,} bytes to published in {seconds:.1f} s ({total / seconds / 1e6:.0f} MB/s)"
    )
    print(f"worker: {before:.1f} MB before, {peak:.1f} MB at the peak, growth {peak - before:.1f} MB")
    print(machine())


if __name__ == "__main__":
    main()
