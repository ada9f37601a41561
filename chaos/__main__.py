"""Run the suite: `python -m chaos [--n 500] [--seed S] [--short] [--only NAME]`.

The status is 1 if a post was lost or doubled, or ended worse than the protocol allows.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.stack import Stack, own_stack

if TYPE_CHECKING:  # Django is set up when the stack runs, and not before
    from chaos.verdict import Result

    Scenario = Callable[[Stack, argparse.Namespace], list[Result]]


SCENARIOS = ("faults", "deaths", "scenes", "accidents", "limits")


def main() -> int:
    """Print what was run, the table, and what ended otherwise than it should."""
    given = _arguments()
    print(f"seed {given.seed}; repeat with --seed {given.seed}")
    done: dict[str, list[Result]] = {}
    with own_stack(given.logs) as stack:
        for name, scenario in _scenarios().items():
            if name in _chosen(given):
                started = time.monotonic()
                done[name] = scenario(stack, given)
                print(f"{name}: {len(done[name])} posts in {time.monotonic() - started:.0f} s", flush=True)
        return _conclude(done, given.seed)


def _chosen(given: argparse.Namespace) -> set[str]:
    """The scenarios to run. Whole, the limits take minutes; in short, the test suite plays the scenes."""
    return {given.only} if given.only else set(SCENARIOS) - {"scenes" if given.short else "limits"}


def _conclude(done: dict[str, list[Result]], seed: int) -> int:
    from benchmarks.running import machine
    from chaos.report import complaints, table

    bad = complaints(done)
    print("\n".join(["", table(done), f"{machine()}; seed {seed}", "", *bad]))
    return 1 if bad else 0


def _scenarios() -> dict[str, Scenario]:
    from chaos import deaths, kills, limits, matrix, scenes

    return {
        "faults": lambda stack, given: matrix.run_matrix(stack, short=given.short),
        "deaths": lambda stack, given: deaths.run_deaths(stack, seed=given.seed, short=given.short),
        "scenes": lambda stack, given: scenes.run_scenes(stack, short=given.short, scene=given.scene),
        "accidents": kills.run_kills,
        "limits": lambda stack, given: limits.run_limits(stack, short=given.short),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--n", type=int, help="posts under random accidents: 200, or 15 in short")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the accidents")
    parser.add_argument("--short", action="store_true", help="a minute's selection")
    parser.add_argument("--only", choices=SCENARIOS, help="one scenario")
    parser.add_argument("--scene", help="one scene, by its name in chaos/")
    parser.add_argument("--logs", type=Path, help="a folder for what workers and beats write, kept")
    given = parser.parse_args()
    given.n = given.n or (15 if given.short else 200)
    return given


if __name__ == "__main__":
    sys.exit(main())
