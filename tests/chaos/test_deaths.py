"""Deaths at every line between two commits. A selection here; `make chaos` dies at each."""

from __future__ import annotations

import pytest

from chaos.deaths import POINTS, die_at
from chaos.verdict import Verdict
from config.faultpoints import FAULT_POINTS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack, pytest.mark.timeout(120)]
CHOSEN = ("start answered", "last chunk answered", "refresh answered")
EVERY = [
    pytest.param(point, marks=[] if point in CHOSEN else pytest.mark.exhaustive, id=point) for point in POINTS
]


@pytest.mark.parametrize("point", EVERY)
def test_a_worker_that_dies_leaves_one_post_or_the_truth(stack, point):
    with stack.beat():
        result = die_at(stack, point)

    assert result.verdict == (Verdict.HELD if point == "refresh answered" else Verdict.ONCE), result
    assert result.seconds < 30, "recovery took longer than a lease's default"


def test_the_points_are_all_in_the_code():
    from pathlib import Path

    root = Path(__file__).resolve().parents[2]
    code = "".join(
        path.read_text() for app in ("publishing", "connections") for path in (root / app).glob("*.py")
    )

    assert [point for point in FAULT_POINTS if f'"{point}"' not in code] == []
