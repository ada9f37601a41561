"""The judge: what counts as lost, doubled, untrue."""

from __future__ import annotations

import pytest

from chaos.verdict import Verdict, judge
from publishing.models import Delivery

TOLD = {"reason_message": "why", "reason_next_step": "what to do"}


@pytest.mark.parametrize(
    ("fields", "copies", "verdict"),
    [
        pytest.param({"state": "published"}, 1, Verdict.ONCE, id="published and there"),
        pytest.param({"state": "published"}, 2, Verdict.DOUBLED, id="there twice"),
        pytest.param({"state": "published"}, 0, Verdict.UNTRUE, id="published and not there"),
        pytest.param({"state": "failed", **TOLD}, 0, Verdict.FAILED, id="failed and said why"),
        pytest.param({"state": "failed", **TOLD}, 1, Verdict.UNTRUE, id="failed, yet there"),
        pytest.param({"state": "failed"}, 0, Verdict.LOST, id="failed without a word"),
        pytest.param(
            {"state": "held", "hold_reason": "unconfirmed", **TOLD}, 1, Verdict.HELD, id="may be there"
        ),
        pytest.param({"state": "held", "hold_reason": "reconnect", **TOLD}, 0, Verdict.HELD, id="waits"),
        pytest.param(
            {"state": "held", "hold_reason": "reconnect", **TOLD}, 1, Verdict.UNTRUE, id="waits, yet there"
        ),
        pytest.param({"state": "uploading"}, 0, Verdict.LOST, id="still moving at the end"),
    ],
)
def test_judge(fields, copies, verdict):
    assert judge(Delivery(**fields), copies) == verdict
