"""Real workers, killed and doubled: each delivery is sent once, and goes on where it stopped."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from publishing.models import Delivery
from publishing.states import DeliveryState
from tests.publishing.processes import beat, eventually, worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack, pytest.mark.timeout(180)]
PUBLIC = {"privacy_level": "PUBLIC_TO_EVERYONE"}


@pytest.fixture
def env(process_env, tiktok):
    """The environment of our processes: this test's database and sandbox, and a short lease."""
    return process_env | {
        "TIKTOK_CLIENT_KEY": "sbdemo0000000000",
        "TIKTOK_CLIENT_SECRET": "sandbox-demo-secret",
        "TIKTOK_API_URL": tiktok.url,
        "TIKTOK_AUTHORIZE_URL": f"{tiktok.url}/v2/auth/authorize/",
        "DELIVERY_LEASE_SECONDS": "4",
    }


@pytest.fixture
def large(make_video):
    """Return a maker of a sparse 100 MB video: three chunks by the real plan."""

    def make(workspace):
        video = make_video(workspace)
        with Path(video.file.path).open("r+b") as file:
            file.truncate(100_000_000)
        video.total_bytes = 100_000_000
        video.save()
        return video

    return make


def _state(delivery: Delivery) -> str:
    return Delivery.objects.values_list("state", flat=True).get(pk=delivery.pk)


def _all_published(count: int) -> bool:
    return Delivery.objects.filter(state=DeliveryState.PUBLISHED).count() == count


def test_kill_9_in_mid_upload_resumes_at_its_chunk_and_posts_once(
    acme, connect, make_delivery, large, tiktok, env, tmp_path
):
    delivery = make_delivery(acme, connection=connect(acme), video=large(acme), options=PUBLIC)
    tiktok.fault({"endpoint": "upload", "chunk_index": 1}, {"delay": 60.0})
    with beat(env, tmp_path):
        with worker(env, tmp_path) as first:
            eventually(
                lambda: tiktok.control("GET", "/faults")[0]["used"] == 1, what="the second chunk under way"
            )
            assert Delivery.objects.get(pk=delivery.pk).sent_bytes == 32_000_000
            first.kill()
        assert _state(delivery) == DeliveryState.UPLOADING
        with worker(env, tmp_path, name="w2"):
            eventually(
                lambda: _state(delivery) == DeliveryState.PUBLISHED, what="published after the restart"
            )

    log = tiktok.control("GET", "/requests")
    [task] = tiktok.control("GET", "/tasks")
    assert len(tiktok.posts()) == 1
    assert task["stored_bytes"] == 100_000_000
    assert log["counts"]["video_init"] == 1
    assert list(
        delivery.attempts.filter(step="chunk").order_by("started_at").values_list("detail__index", flat=True)
    ) == [
        0,
        1,
        2,
    ]


def test_two_workers_and_two_dispatchers_send_each_delivery_once(
    acme, rival, connect, make_delivery, tiktok, env, tmp_path
):
    tiktok.settings(rate_limits_on=False)
    rows = [
        make_delivery(workspace, connection=connection, options=PUBLIC)
        for workspace in (acme, rival)
        for connection in (connect(workspace, "demo.public"), connect(workspace, "demo.quiet"))
        for _ in range(6)
    ]
    with contextlib.ExitStack() as stack:
        for name in ("w1", "w2"):
            stack.enter_context(worker(env, tmp_path, name=name))
        for name in ("beat1", "beat2"):
            stack.enter_context(beat(env, tmp_path, name=name))
        eventually(lambda: _all_published(len(rows)), seconds=90, what="all published")

    log = tiktok.control("GET", "/requests")
    assert len(tiktok.posts()) == len(rows)
    assert log["counts"]["video_init"] == len(rows)
    assert log["counts"]["upload"] == len(rows)
    assert set(Delivery.objects.values_list("job_count", flat=True)) == {1}


def test_a_worker_asked_to_end_hands_its_upload_to_another_at_once(
    acme, connect, make_delivery, large, tiktok, env, tmp_path
):
    env = env | {"DELIVERY_LEASE_SECONDS": "600"}  # nobody may have to wait for the lease
    delivery = make_delivery(acme, connection=connect(acme), video=large(acme), options=PUBLIC)
    rule = tiktok.fault({"endpoint": "upload", "chunk_index": 0}, {"delay": 3.0})
    with beat(env, tmp_path), worker(env, tmp_path) as first:
        eventually(lambda: tiktok.control("GET", "/faults")[0]["used"] == 1, what="the first chunk under way")
        first.terminate()
        assert first.wait(15) == 0
        assert Delivery.objects.get(pk=delivery.pk).lease_token is None
        with worker(env, tmp_path, name="w2"):
            eventually(
                lambda: _state(delivery) == DeliveryState.PUBLISHED, what="published by the other worker"
            )

    assert rule["times"] == 1
    assert len(tiktok.posts()) == 1
    assert tiktok.control("GET", "/requests")["counts"]["upload"] == 3
