"""Single accidents that need no server restarted."""

from __future__ import annotations

import pytest

from chaos import scenes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack, pytest.mark.timeout(120)]


@pytest.mark.parametrize(
    "scene",
    [
        scenes.asked_to_end,
        scenes.clock_ahead,
        scenes.frozen_and_thawed,
        pytest.param(scenes.polls_beside_uploads, marks=pytest.mark.exhaustive),
        pytest.param(scenes.clock_behind, marks=pytest.mark.exhaustive),
        pytest.param(scenes.dispatcher_killed, marks=pytest.mark.exhaustive),
        pytest.param(scenes.redis_wiped, marks=pytest.mark.exhaustive),
        pytest.param(scenes.one_beside_a_thousand, marks=pytest.mark.exhaustive),
    ],
    ids=lambda scene: scene.__name__,
)
def test_scene(stack, scene):
    assert [result for result in scene(stack) if result.is_bad] == []
