"""Deaths at every line between two commits. A selection here; `make chaos` dies at each."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from chaos.deaths import DEATHS, OF_A_CANCEL, OF_A_REQUEST, Death, die
from config.faultpoints import FAULT_POINTS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack, pytest.mark.timeout(120)]
CHOSEN = (
    Death("start answered"),
    Death("last chunk answered"),
    Death("refresh answered"),
    Death("pull answered", "pull"),
    Death("pull noted", "photos"),
)
EVERY = [
    pytest.param(
        death, marks=[] if death in CHOSEN else pytest.mark.exhaustive, id=f"{death.way} {death.point}"
    )
    for death in DEATHS
]


@pytest.mark.parametrize("death", EVERY)
def test_a_worker_that_dies_leaves_one_post_or_the_truth(stack, death):
    with nullcontext() if death.way == "upload" else stack.media_door(), stack.beat():
        result = die(stack, death)

    assert result.verdict == death.expected, result
    assert result.seconds < 30, "recovery took longer than a lease's default"


def test_the_points_are_all_in_the_code():
    root = Path(__file__).resolve().parents[2]
    code = "".join(
        path.read_text() for app in ("publishing", "connections") for path in (root / app).glob("*.py")
    )

    assert [point for point in FAULT_POINTS if f'"{point}"' not in code] == []


def test_a_death_is_tried_at_every_point():
    assert {death.point for death in DEATHS} == set(FAULT_POINTS) - OF_A_REQUEST - OF_A_CANCEL
