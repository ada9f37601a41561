"""PULL_FROM_URL against the real sandbox, which fetches from the real pages: one post, or a question to a person."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from chaos.proxy import Proxy
from connections.providers import provider_for
from publishing import engine, pulling, services
from publishing.models import Delivery
from publishing.services import CancelOutcome
from publishing.states import DeliveryState, HoldReason
from tests.publishing.test_engine import drive
from tests.sandbox.process import CLIENT_KEY
from tests.sandbox.receivers import eventually

pytestmark = pytest.mark.django_db(transaction=True)
PUBLIC = {"privacy_level": "PUBLIC_TO_EVERYONE"}


class Died(BaseException):
    """Stands for kill -9: nothing that catches Exception sees it."""


@pytest.fixture
def delivery(acme, connect, make_delivery, pulls):
    """A video's delivery that the sandbox will fetch."""
    return make_delivery(acme, connection=connect(acme), caption="pulled", options=PUBLIC)


def downloaded(tiktok):
    """Wait until the sandbox has fetched all that it was asked for."""
    eventually(
        lambda: [task["status"] for task in tiktok.control("GET", "/tasks")],
        lambda states: "PROCESSING_DOWNLOAD" not in states,
    )


def fetched(tiktok, total_bytes):
    """Wait until the one task has all its bytes."""
    eventually(
        lambda: [task["stored_bytes"] for task in tiktok.control("GET", "/tasks")],
        lambda counts: counts == [total_bytes],
    )


def finish(delivery, tiktok):
    """Drive the delivery to its end, letting the download end in between."""
    delivery = drive(delivery, until={DeliveryState.PROCESSING}, rounds=6)
    downloaded(tiktok)
    return drive(delivery)


def wake_after_death(delivery):
    Delivery.objects.filter(pk=delivery.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_a_video_is_fetched_from_us_and_published_with_its_bytes(delivery, tiktok):
    done = finish(delivery, tiktok)

    [post], [task] = tiktok.posts(), tiktok.control("GET", "/tasks")
    assert done.state == DeliveryState.PUBLISHED
    assert done.platform_post_ids == [str(post["post_id"])]
    assert post["caption"] == "pulled"
    assert task["source"] == "PULL_FROM_URL"
    assert task["sha256"] == done.post.video.sha256
    assert not done.attempts.filter(step="chunk").exists()


def test_a_draft_is_fetched_into_the_inbox(acme, connect, make_delivery, pulls, tiktok):
    delivery = make_delivery(acme, connection=connect(acme), mode="inbox", options={})
    drive(delivery, until={DeliveryState.PROCESSING}, rounds=6)
    downloaded(tiktok)

    done = drive(delivery, until={DeliveryState.IN_INBOX})

    assert done.state == DeliveryState.IN_INBOX
    assert tiktok.posts() == []


def requests_to_start(tiktok):
    """The requests to start a job, but for one that an earlier test gave up on: its token died with that test."""
    entries = tiktok.control("GET", "/requests", endpoint="video_init")["entries"]
    return [entry for entry in entries if entry["status"] != 401]


@pytest.mark.parametrize(
    ("action", "posts"),
    [
        pytest.param({"drop": "before"}, 0, id="reset before"),
        pytest.param({"drop": "after"}, 1, id="reset after it was done"),
        pytest.param({"drop": "mid_answer"}, 1, id="answer cut off"),
        pytest.param({"malformed": True, "process": True}, 1, id="unreadable, done"),
        pytest.param({"malformed": True}, 0, id="unreadable, not done"),
        pytest.param({"empty": True, "process": True}, 1, id="empty, done"),
        pytest.param({"truncated": True, "process": True}, 1, id="truncated, done"),
        pytest.param({"status": 500}, 0, id="500"),
        pytest.param({"status": 502, "html": True, "process": True}, 1, id="502 of a gateway, done"),
        pytest.param({"status": 504, "process": True}, 1, id="504, done"),
        pytest.param({"code": "internal_error", "process": True}, 1, id="200 with an error inside, done"),
    ],
)
def test_a_request_of_unknown_end_is_held_and_never_repeated(delivery, tiktok, action, posts):
    tiktok.fault({"endpoint": "video_init"}, action)

    assert engine.advance_delivery(delivery.pk) == "held"
    held = finish(delivery, tiktok)

    assert (held.state, held.hold_reason) == (DeliveryState.HELD, HoldReason.UNCONFIRMED)
    assert "may be posted" in held.reason_message
    assert "mark it as posted" in held.reason_next_step
    assert len(requests_to_start(tiktok)) == 1
    assert len(tiktok.posts()) == posts


def test_a_request_that_times_out_is_held(delivery, tiktok, settings):
    settings.TIKTOK_READ_TIMEOUT = 0.3
    provider_for.cache_clear()
    tiktok.fault({"endpoint": "video_init"}, {"delay": 1.5})

    held = drive(delivery)

    assert (held.state, held.hold_reason) == (DeliveryState.HELD, HoldReason.UNCONFIRMED)


@pytest.mark.parametrize(
    ("action", "state"),
    [
        pytest.param({"status": 429, "code": "rate_limit_exceeded"}, DeliveryState.PUBLISHED, id="429"),
        pytest.param({"status": 401, "code": "access_token_invalid"}, DeliveryState.PUBLISHED, id="token"),
        pytest.param({"status": 400, "code": "invalid_params"}, DeliveryState.FAILED, id="bad request"),
        pytest.param(
            {"status": 403, "code": "spam_risk_user_banned_from_posting"}, DeliveryState.FAILED, id="banned"
        ),
    ],
)
def test_a_clear_refusal_leaves_no_doubt(delivery, tiktok, action, state):
    tiktok.fault({"endpoint": "video_init"}, action)

    drive(delivery, until={DeliveryState.PROCESSING, DeliveryState.FAILED})
    downloaded(tiktok)
    done = drive(delivery)

    assert done.state == state
    assert len(tiktok.posts()) == (1 if state == DeliveryState.PUBLISHED else 0)


def test_an_address_that_was_not_verified_waits_for_the_operator(delivery, tiktok):
    tiktok.control("POST", "/apps", {"client_key": CLIENT_KEY, "verified_prefixes": []})

    held = drive(delivery)

    assert (held.state, held.hold_reason) == (DeliveryState.HELD, HoldReason.CONFIGURATION)
    assert held.reason_code == "url_ownership_unverified"
    assert held.pull_requested_at is None


def test_a_connection_refused_at_the_very_request_leaves_no_doubt(delivery, tiktok, settings, monkeypatch):
    with Proxy(urlsplit(tiktok.url).port) as proxy:
        settings.TIKTOK_API_URL = proxy.url
        provider_for.cache_clear()

        def cut_off(point: str) -> None:
            if point == "pull announced":  # behind the last line before the request goes out
                proxy.close()

        with monkeypatch.context() as patched:
            patched.setattr(pulling, "reached", cut_off)
            assert engine.advance_delivery(delivery.pk) == "waits"
        waiting = Delivery.objects.get(pk=delivery.pk)
        refused = waiting.attempts.get(step="start")
        proxy.open()
        done = finish(delivery, tiktok)

    assert (waiting.state, waiting.pull_requested_at) == (DeliveryState.PREPARING, None)
    assert (refused.outcome, refused.message) == ("Unreachable", "TikTok could not be reached")
    assert done.state == DeliveryState.PUBLISHED
    assert len(requests_to_start(tiktok)) == 1
    assert len(tiktok.posts()) == 1


def test_a_token_that_cannot_be_renewed_leaves_no_doubt(delivery, tiktok):
    # The first answer is a refusal; what fails then is the refresh, which is no request to post.
    tiktok.fault({"endpoint": "video_init"}, {"status": 401, "code": "access_token_invalid"})
    tiktok.fault({"endpoint": "token"}, {"status": 503})

    engine.advance_delivery(delivery.pk)

    waiting = Delivery.objects.get(pk=delivery.pk)
    assert (waiting.state, waiting.pull_requested_at) == (DeliveryState.PREPARING, None)


def test_a_death_before_the_request_repeats_it(delivery, tiktok, monkeypatch):
    def die(*_):
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(pulling, "_announce", die)
        with pytest.raises(Died):
            engine.advance_delivery(delivery.pk)
    wake_after_death(delivery)

    done = finish(delivery, tiktok)

    assert done.state == DeliveryState.PUBLISHED
    assert len(tiktok.posts()) == 1


@pytest.mark.parametrize("sent", [False, True])
def test_a_death_between_the_request_and_its_record_is_held(delivery, tiktok, monkeypatch, sent):
    from connections.providers.tiktok.client import TikTokClient

    real = TikTokClient.start_pull

    def die(self, **values):
        if sent:
            real(self, **values)
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(TikTokClient, "start_pull", die)
        with pytest.raises(Died):
            engine.advance_delivery(delivery.pk)
    wake_after_death(delivery)

    held = finish(delivery, tiktok)

    assert (held.state, held.hold_reason) == (DeliveryState.HELD, HoldReason.UNCONFIRMED)
    assert len(tiktok.posts()) == int(sent)


@pytest.mark.parametrize("is_of_this_request", [True, False])
def test_a_death_after_the_handle_was_noted_goes_on_with_that_job_alone(
    delivery, tiktok, monkeypatch, is_of_this_request
):
    def die(*_, **__):
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(pulling, "_commit", die)
        with pytest.raises(Died):
            engine.advance_delivery(delivery.pk)
    wake_after_death(delivery)
    if not is_of_this_request:
        Delivery.objects.filter(pk=delivery.pk).update(pull_requested_at=timezone.now())

    ended = finish(delivery, tiktok)

    assert ended.state == (DeliveryState.PUBLISHED if is_of_this_request else DeliveryState.HELD)
    assert len(requests_to_start(tiktok)) == 1


def test_sent_again_the_earlier_job_can_no_longer_fetch(delivery, tiktok, erin):
    tiktok.fault({"endpoint": "video_init"}, {"drop": "before"})
    held = drive(delivery)
    assert held.state == DeliveryState.HELD

    services.retry_delivery(delivery=held, user=erin)
    done = finish(held, tiktok)

    assert done.state == DeliveryState.PUBLISHED
    assert len(tiktok.posts()) == 1
    assert done.pull_requested_at != held.pull_requested_at


def test_marked_as_posted_it_is_published_and_not_sent_again(delivery, tiktok, erin):
    tiktok.fault({"endpoint": "video_init"}, {"drop": "after"})
    held = finish(delivery, tiktok)

    services.mark_as_posted(delivery=held, user=erin)

    assert drive(held).state == DeliveryState.PUBLISHED
    assert len(tiktok.posts()) == 1


def test_a_failed_download_is_tried_again_by_itself(delivery, tiktok, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("publishing.pull_views.find_media", lambda token: None)
        drive(delivery, rounds=1)
        downloaded(tiktok)
    failed = Delivery.objects.get(pk=delivery.pk)

    drive(failed, rounds=1)
    done = finish(failed, tiktok)

    assert done.state == DeliveryState.PUBLISHED
    assert done.publish_id != failed.publish_id
    assert done.job_count == 2
    assert len(tiktok.posts()) == 1


def test_a_download_that_never_works_fails_within_bounds(delivery, tiktok, monkeypatch):
    video = delivery.post.video
    monkeypatch.setattr("publishing.pull_views.find_media", lambda token: None)
    monkeypatch.setattr("connections.limits.take", lambda *_: None)

    for _ in range(6):
        done = finish(delivery, tiktok)
        if done.state == DeliveryState.FAILED:
            break
        tiktok.control("DELETE", "/requests")

    assert video.file
    assert done.state == DeliveryState.FAILED
    assert done.reason_code == "video_pull_failed"
    assert done.job_count == 4
    assert tiktok.posts() == []


def test_a_file_that_is_gone_is_said_before_anything_is_sent(delivery, tiktok):
    delivery.post.video.file.storage.delete(delivery.post.video.file.name)

    failed = drive(delivery)

    assert (failed.state, failed.reason_code) == (DeliveryState.FAILED, "file_missing")
    assert "video_init" not in tiktok.control("GET", "/requests")["counts"]


def test_a_cancel_before_the_request_posts_nothing(delivery, tiktok, erin, monkeypatch):
    real = pulling._announce

    def cancel_first(row):
        assert services.cancel_delivery(delivery=delivery, user=erin) == CancelOutcome.STOPPING
        return real(row)

    monkeypatch.setattr(pulling, "_announce", cancel_first)

    assert drive(delivery).state == DeliveryState.CANCELED
    assert tiktok.control("GET", "/tasks") == []


def test_a_cancel_while_the_platform_downloads_is_passed_on(delivery, tiktok, erin, slow_download):
    drive(delivery, until={DeliveryState.PROCESSING}, rounds=2)
    delivery.refresh_from_db()

    outcome = services.cancel_delivery(delivery=delivery, user=erin)
    done = drive(delivery)
    slow_download.set()

    assert outcome == CancelOutcome.ASKED
    assert done.state == DeliveryState.CANCELED
    assert ("cancel", "ok") in list(done.attempts.values_list("step", "outcome"))
    assert tiktok.posts() == []


def test_a_cancel_that_comes_too_late_says_so(delivery, tiktok, erin):
    tiktok.settings(processing_seconds=3600.0)
    drive(delivery, until={DeliveryState.PROCESSING}, rounds=2)
    fetched(tiktok, delivery.total_bytes)
    tiktok.fault({"endpoint": "cancel"}, {"status": 400, "code": "publish_not_cancellable"})
    delivery.refresh_from_db()

    services.cancel_delivery(delivery=delivery, user=erin)
    drive(delivery, rounds=1)
    delivery.refresh_from_db()
    again = services.cancel_delivery(delivery=delivery, user=erin)
    tiktok.settings(clock_offset=3601.0)

    assert again == CancelOutcome.TOO_LATE
    assert drive(delivery).state == DeliveryState.PUBLISHED


def test_a_cancel_that_is_not_heard_hides_no_end(delivery, tiktok, erin, slow_download):
    drive(delivery, until={DeliveryState.PROCESSING}, rounds=2)
    slow_download.set()
    downloaded(tiktok)
    tiktok.fault({"endpoint": "cancel"}, {"status": 503}, times=None)
    delivery.refresh_from_db()

    services.cancel_delivery(delivery=delivery, user=erin)

    assert drive(delivery, rounds=1).state == DeliveryState.PUBLISHED


def test_a_cancel_that_is_not_heard_is_asked_again(delivery, tiktok, erin, slow_download):
    drive(delivery, until={DeliveryState.PROCESSING}, rounds=2)
    tiktok.fault({"endpoint": "cancel"}, {"drop": "before"})
    delivery.refresh_from_db()
    services.cancel_delivery(delivery=delivery, user=erin)

    unheard = drive(delivery, rounds=1)
    done = drive(delivery)
    slow_download.set()

    assert (unheard.state, unheard.tries) == (DeliveryState.PROCESSING, 1)
    assert done.state == DeliveryState.CANCELED
    assert tiktok.posts() == []


def test_a_cancel_while_held_ends_it_here_and_says_that_it_may_be_there(delivery, erin, tiktok):
    tiktok.settings(processing_seconds=3600.0)
    drive(delivery, until={DeliveryState.PROCESSING}, rounds=2)
    services.hold_open(delivery.connection)
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.HELD

    assert services.cancel_delivery(delivery=delivery, user=erin) == CancelOutcome.CANCELED
    assert delivery.committed_at is not None  # which is what its page tells it from


def test_progress_is_what_the_platform_fetched(delivery, tiktok, slow_download):
    from publishing.presentation import describe

    drive(delivery, until={DeliveryState.PROCESSING}, rounds=2)
    row = Delivery.objects.select_related("post__video", "connection").get(pk=delivery.pk)
    panel = describe(row, now=timezone.now())
    slow_download.set()

    assert panel.headline == "TikTok is downloading"
    assert panel.bar is not None
    assert (panel.bar.sent, panel.bar.total) == (0, row.post.video.total_bytes)


def test_the_setting_decides_between_uploading_and_fetching(acme, connect, make_delivery, tiktok):
    done = drive(make_delivery(acme, connection=connect(acme), options=PUBLIC))

    assert done.state == DeliveryState.PUBLISHED
    assert [task["source"] for task in tiktok.control("GET", "/tasks")] == ["FILE_UPLOAD"]
