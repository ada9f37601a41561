"""The judge: what counts as lost, doubled, untrue."""

from __future__ import annotations

import uuid

import pytest

from chaos.__main__ import _conclude
from chaos.cast import SMALL_BYTES, make_connection, make_delivery, make_video, make_workspace
from chaos.verdict import Verdict, judge, judge_all
from publishing import engine
from publishing.models import Delivery, Post

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
        pytest.param({"state": "canceled"}, 0, Verdict.CANCELED, id="canceled"),
        pytest.param({"state": "canceled"}, 1, Verdict.UNTRUE, id="canceled, yet there"),
        pytest.param({"state": "uploading"}, 0, Verdict.LOST, id="still moving at the end"),
    ],
)
def test_judge(fields, copies, verdict):
    assert judge(Delivery(**fields), copies) == verdict


@pytest.fixture
def published(stack):
    """A post that went out, and its delivery."""
    connection = make_connection(make_workspace(), stack.tiktok)
    delivery = make_delivery(connection, make_video(connection.workspace, SMALL_BYTES))
    assert engine.advance_delivery(delivery.pk) == "published"
    return delivery


def told(stack, delivery):
    """What the suite says of one delivery, and its exit status."""
    results = judge_all({delivery.pk: "it"}, stack.tiktok, rested={}, expected={delivery.pk: Verdict.ONCE})
    return results[0].verdict, _conclude({"test": results}, seed=0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.stack
class TestTheCountAtThePlatform:
    """The suite must be able to fail: each lie is one that was made true."""

    def test_one_copy_is_once_and_the_suite_passes(self, stack, published):
        assert told(stack, published) == (Verdict.ONCE, 0)

    def test_a_second_copy_is_doubled_and_the_suite_fails(self, stack, published):
        again = make_delivery(published.connection, published.post.video)
        Post.objects.filter(pk=again.post_id).update(caption=published.post.caption)
        assert engine.advance_delivery(again.pk) == "published"

        assert told(stack, published) == (Verdict.DOUBLED, 1)

    def test_a_copy_that_is_gone_is_told_untruly_and_the_suite_fails(self, stack, published):
        [post] = stack.tiktok.posts()
        stack.tiktok.control("DELETE", f"/posts/{post['post_id']}")

        assert told(stack, published) == (Verdict.UNTRUE, 1)

    def test_a_post_that_nobody_moves_any_more_is_lost_and_the_suite_fails(self, stack):
        connection = make_connection(make_workspace(), stack.tiktok)
        forgotten = make_delivery(connection, make_video(connection.workspace, SMALL_BYTES))
        Delivery.objects.filter(pk=forgotten.pk).update(wake_at=None)

        assert told(stack, forgotten) == (Verdict.LOST, 1)

    def test_a_post_without_a_row_stops_the_suite(self, stack, published):
        with pytest.raises(RuntimeError, match="forgot"):
            judge_all({uuid.uuid4(): "gone", published.pk: "it"}, stack.tiktok, rested={})
