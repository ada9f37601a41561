"""The table that a run prints."""

from __future__ import annotations

import math
from collections import Counter

from chaos.verdict import Result, Verdict

KINDS = {
    "once": Verdict.ONCE,
    "held": Verdict.HELD,
    "failed": Verdict.FAILED,
    "canceled": Verdict.CANCELED,
    "lost": Verdict.LOST,
    "doubled": Verdict.DOUBLED,
    "untrue": Verdict.UNTRUE,
}
COLUMNS = ("scenario", "runs", *KINDS, "longest recovery")


def table(scenarios: dict[str, list[Result]]) -> str:
    """One line for each scenario and one for all."""
    lines = [_line(name, results) for name, results in scenarios.items()]
    lines.append(_line("all", [result for results in scenarios.values() for result in results]))
    widths = [max(len(line[i]) for line in [COLUMNS, *lines]) for i in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(
            word.ljust(width) if i == 0 else word.rjust(width)
            for i, (word, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in [COLUMNS, *lines]
    )


def _line(name: str, results: list[Result]) -> tuple[str, ...]:
    counts = Counter(result.verdict for result in results)
    longest = max((result.seconds for result in results), default=0.0)
    said = f"{longest:.1f} s" if math.isfinite(longest) else "never"
    return (name, str(len(results)), *(str(counts[kind]) for kind in KINDS.values()), said)


def complaints(scenarios: dict[str, list[Result]]) -> list[str]:
    """A line for each post that did not end as it should have."""
    return [
        f"{name} | {result.label} | {result.verdict}"
        + (f" (expected: {result.expected})" if result.expected else "")
        + f" | {result.said}"
        for name, results in scenarios.items()
        for result in results
        if result.is_bad
    ]
