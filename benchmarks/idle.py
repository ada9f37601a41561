"""How much memory the whole demo takes when nothing is going on: `python -m benchmarks.idle`."""

from __future__ import annotations

import time

from benchmarks.running import machine, running_demo

SETTLE_SECONDS = 20


def main() -> None:
    """Print resident and proportional memory by process, and their sums."""
    with running_demo() as demo:
        time.sleep(SETTLE_SECONDS)
        rows = []
        for process in demo.processes():
            memory = process.memory_full_info()
            rows.append((_name(process.cmdline()), memory.rss / 1e6, memory.pss / 1e6))
    print(f"{'process':<24}{'resident MB':>14}{'proportional MB':>18}")
    groups: dict[str, list[float]] = {}
    for name, resident, proportional in rows:
        sums = groups.setdefault(name, [0.0, 0.0])
        sums[0] += resident
        sums[1] += proportional
    for name, (resident, proportional) in groups.items():
        print(f"{name:<24}{resident:>14.0f}{proportional:>18.0f}")
    print(f"{'all':<24}{sum(row[1] for row in rows):>14.0f}{sum(row[2] for row in rows):>18.0f}")
    print(machine())


def _name(words: list[str]) -> str:
    line = " ".join(words)
    for part in (
        "postgres",
        "redis-server",
        "stack demo",
        "sandbox",
        "gunicorn",
        "config worker",
        "config beat",
    ):
        if part in line:
            return part
    return words[0] if words else "?"


if __name__ == "__main__":
    main()
