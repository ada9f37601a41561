"""Single accidents that need no server restarted."""

from __future__ import annotations

import pytest

from chaos import long_scenes, pull_scenes, scenes

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
        pull_scenes.pull_answer_lost,
        *(
            pytest.param(scene, marks=[pytest.mark.exhaustive, pytest.mark.timeout(240)])
            for scene in (
                pull_scenes.pull_sent_again,
                pull_scenes.pull_canceled,
                pull_scenes.pull_canceled_too_late,
                long_scenes.reconnected,
                long_scenes.processed_for_days,
                long_scenes.post_id_comes_late,
                long_scenes.daily_cap,
                long_scenes.draft_finished_twice,
                long_scenes.upload_outlives_its_token,
            )
        ),
    ],
    ids=lambda scene: scene.__name__,
)
def test_scene(stack, scene):
    assert [result for result in scene(stack) if result.is_bad] == []
