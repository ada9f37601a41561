"""The fault matrix, every seventh cell of it, as `make chaos SHORT=1` plays it too. `make chaos` runs it whole."""

from __future__ import annotations

import pytest

from chaos.matrix import FAULTS, PULLS, STEPS, cells, run_matrix

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack, pytest.mark.timeout(150)]


@pytest.mark.exhaustive
def test_faults_end_in_one_post_or_the_truth(stack):
    results = run_matrix(stack, short=True)

    assert len(results) >= 20
    assert [result for result in results if result.is_bad] == []


def test_the_matrix_has_each_fault_at_each_step():
    steps = STEPS | PULLS

    assert {(cell.step, cell.fault) for cell in cells(steps)} == {
        (step, fault) for step in steps for fault in FAULTS
    }
