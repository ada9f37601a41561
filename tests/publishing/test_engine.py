"""The engine against the real sandbox: each delivery ends published once, or in a state that tells the truth."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime, timedelta

import pytest
import redis
from django.conf import settings as configured
from django.db import connection as database
from django.db.models.functions import Now
from django.utils import timezone

from connections.models import ConnectionStatus, SocialConnection
from connections.providers.base import PublishPhase, PublishStatus
from connections.signals import connection_usable
from publishing import engine, leaving, polling, sending
from publishing.backoff import MAX_DEATHS, MAX_TRIES
from publishing.models import Delivery
from publishing.states import DeliveryState, HoldReason

pytestmark = pytest.mark.django_db
PUBLIC = {"privacy_level": "PUBLIC_TO_EVERYONE"}


@pytest.fixture
def small_chunks(monkeypatch):
    """Plans of 5 MB chunks, so that several chunks need no large file."""
    from connections.providers.tiktok import chunks

    monkeypatch.setattr(chunks, "SINGLE_CHUNK_BYTES", 6_000_000)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 5_000_000)


@pytest.fixture
def big(make_video):
    """Return a maker of a video of 16 MB: three small chunks, the last one larger."""
    return lambda workspace: make_video(workspace, content=bytes(range(256)) * 62_500)


def drive(delivery: Delivery, *, until: set[str] | None = None, rounds: int = 20) -> Delivery:
    """Wake and advance the delivery until it reaches a state of `until` or nobody must wake it any more."""
    for _ in range(rounds):
        Delivery.objects.filter(pk=delivery.pk, wake_at__isnull=False).update(wake_at=timezone.now())
        engine.advance_delivery(delivery.pk)
        delivery = Delivery.objects.get(pk=delivery.pk)
        if delivery.wake_at is None or (until and delivery.state in until):
            break
    return delivery


def forget_windows() -> None:
    """Let what was counted for the rate limits be long ago."""
    with redis.Redis.from_url(configured.REDIS_URL) as client:
        client.flushall()


def steps(delivery: Delivery) -> list[tuple[str, str]]:
    return list(delivery.attempts.order_by("started_at").values_list("step", "outcome"))


def test_a_direct_post_is_published_with_its_bytes_caption_and_options(acme, connect, make_delivery, tiktok):
    delivery = make_delivery(
        acme, connection=connect(acme), caption="from the press", options=PUBLIC | {"allow_comment": True}
    )

    delivery = drive(delivery)

    [post] = tiktok.posts()
    [task] = tiktok.control("GET", "/tasks")
    assert delivery.state == DeliveryState.PUBLISHED
    assert delivery.platform_post_ids == [str(post["post_id"])]
    assert post["caption"] == "from the press"
    assert task["sha256"] == delivery.post.video.sha256
    assert task["post_info"]["disable_comment"] is False
    assert task["post_info"]["disable_duet"] is True
    assert delivery.published_at is not None
    assert delivery.upload_url == ""


def test_several_chunks_arrive_in_order_and_whole(acme, connect, make_delivery, big, small_chunks, tiktok):
    video = big(acme)
    delivery = drive(make_delivery(acme, connection=connect(acme), video=video, options=PUBLIC))

    [task] = tiktok.control("GET", "/tasks")
    assert delivery.state == DeliveryState.PUBLISHED
    assert task["sha256"] == video.sha256 == hashlib.sha256(bytes(range(256)) * 62_500).hexdigest()
    assert [outcome for step, outcome in steps(delivery) if step == "chunk"] == ["ok"] * 3


def test_an_inbox_draft_ends_in_the_inbox_and_follows_the_creator(acme, connect, make_delivery, tiktok):
    delivery = make_delivery(acme, connection=connect(acme), mode="inbox", options={})
    delivery = drive(delivery, until={DeliveryState.IN_INBOX})
    assert delivery.state == DeliveryState.IN_INBOX
    assert tiktok.posts() == []

    tiktok.control("POST", f"/tasks/{delivery.publish_id}/finish", {"privacy": "PUBLIC_TO_EVERYONE"})
    delivery = drive(delivery, until={DeliveryState.PUBLISHED})

    assert delivery.state == DeliveryState.PUBLISHED


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_draft_is_followed_through_every_post_that_is_made_of_it(
    acme, connect, make_delivery, tiktok, count
):
    delivery = make_delivery(acme, connection=connect(acme), mode="inbox", options={})
    delivery = drive(delivery, until={DeliveryState.IN_INBOX})

    for _ in range(count):
        tiktok.control("POST", f"/tasks/{delivery.publish_id}/finish", {"privacy": "PUBLIC_TO_EVERYONE"})
        delivery = drive(delivery, rounds=2)

    assert sorted(delivery.platform_post_ids) == sorted(str(post["post_id"]) for post in tiktok.posts())
    assert len(delivery.platform_post_ids) == count
    assert delivery.state == (DeliveryState.PUBLISHED if count else DeliveryState.IN_INBOX)
    assert delivery.wake_at is not None


@pytest.mark.parametrize(("days", "is_asked"), [(1, True), (8, False)])
def test_a_draft_is_asked_about_again_once_its_account_is_connected_again(
    acme, connect, make_delivery, tiktok, days, is_asked
):
    connection = connect(acme)
    delivery = make_delivery(acme, connection=connection, mode="inbox", options={})
    delivery = drive(delivery, until={DeliveryState.IN_INBOX})
    tiktok.control("POST", f"/tasks/{delivery.publish_id}/finish", {"privacy": "PUBLIC_TO_EVERYONE"})
    tiktok.fault({"endpoint": "status"}, {"status": 401, "code": "scope_not_authorized"})
    delivery = drive(delivery)
    assert (delivery.state, delivery.wake_at) == (DeliveryState.IN_INBOX, None)

    Delivery.objects.update(state_changed_at=timezone.now() - timedelta(days=days))
    connection_usable.send(SocialConnection, connection=connection)
    engine.advance_delivery(delivery.pk)

    delivery.refresh_from_db()
    assert delivery.state == (DeliveryState.PUBLISHED if is_asked else DeliveryState.IN_INBOX)


def test_a_draft_that_was_posted_is_let_go_after_two_days(acme, connect, make_delivery, tiktok):
    delivery = make_delivery(acme, connection=connect(acme), mode="inbox", options={})
    delivery = drive(delivery, until={DeliveryState.IN_INBOX})
    tiktok.control("POST", f"/tasks/{delivery.publish_id}/finish", {"privacy": "PUBLIC_TO_EVERYONE"})
    delivery = drive(delivery, until={DeliveryState.PUBLISHED})
    Delivery.objects.update(state_changed_at=timezone.now() - timedelta(days=2, minutes=1))

    delivery = drive(delivery, rounds=1)

    assert (len(delivery.platform_post_ids), delivery.wake_at) == (1, None)


def test_processing_is_asked_again_until_it_ends(acme, connect, make_delivery, tiktok):
    tiktok.settings(processing_seconds=3600.0)
    delivery = drive(
        make_delivery(acme, connection=connect(acme), options=PUBLIC), until={DeliveryState.PROCESSING}
    )
    drive(delivery, rounds=4)
    assert Delivery.objects.get(pk=delivery.pk).state == DeliveryState.PROCESSING

    tiktok.settings(clock_offset=3601.0)
    delivery = drive(delivery, until={DeliveryState.PUBLISHED})

    assert delivery.state == DeliveryState.PUBLISHED
    assert len([step for step, _ in steps(delivery) if step == "status"]) == 2


def test_a_post_id_that_comes_late_is_fetched(acme, connect, make_delivery, tiktok):
    tiktok.settings(moderation_seconds=3600.0)
    delivery = drive(
        make_delivery(acme, connection=connect(acme), options=PUBLIC), until={DeliveryState.PUBLISHED}
    )
    assert delivery.platform_post_ids == []
    assert delivery.wake_at is not None

    tiktok.settings(clock_offset=3601.0)
    delivery = drive(delivery)

    assert delivery.platform_post_ids == [str(tiktok.posts()[0]["post_id"])]
    assert delivery.wake_at is None


def test_a_private_post_waits_for_no_id(acme, connect, make_delivery):
    delivery = drive(make_delivery(acme, connection=connect(acme), options={"privacy_level": "SELF_ONLY"}))

    assert delivery.state == DeliveryState.PUBLISHED
    assert delivery.wake_at is None


@pytest.mark.parametrize(
    ("endpoint", "action"),
    [
        pytest.param("creator_info", {"status": 500}, id="creator 500"),
        pytest.param("video_init", {"drop": "before"}, id="start reset before"),
        pytest.param("video_init", {"drop": "after"}, id="start reset after it was done"),
        pytest.param("video_init", {"status": 503}, id="start 503"),
        pytest.param("video_init", {"malformed": True, "process": True}, id="start unreadable but done"),
        pytest.param("video_init", {"empty": True}, id="start empty"),
        pytest.param("upload", {"status": 502, "html": True}, id="chunk 502"),
        pytest.param("upload", {"drop": "mid_body", "after_bytes": 1000}, id="chunk cut off"),
        pytest.param("upload", {"drop": "after"}, id="last chunk stored but not answered"),
        pytest.param("upload", {"status": 504, "process": True}, id="last chunk stored but 504"),
        pytest.param("status", {"truncated": True}, id="status truncated"),
        pytest.param("status", {"drop": "before"}, id="status reset"),
        pytest.param("status", {"status": 429, "code": "rate_limit_exceeded"}, id="status 429"),
        pytest.param("video_init", {"status": 429, "code": "rate_limit_exceeded"}, id="start 429"),
        pytest.param("status", {"code": "internal_error"}, id="status 200 with an error inside"),
    ],
)
def test_one_fault_ends_in_one_post(acme, connect, make_delivery, tiktok, endpoint, action):
    delivery = make_delivery(acme, connection=connect(acme), options=PUBLIC)
    tiktok.fault({"endpoint": endpoint}, action)

    delivery = drive(delivery)

    assert delivery.state == DeliveryState.PUBLISHED
    assert len(tiktok.posts()) == 1


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize(
    "action", [{"drop": "after"}, {"drop": "mid_body", "after_bytes": 2_000_000}, {"status": 503}]
)
def test_a_fault_at_any_chunk_resumes_there(
    acme, connect, make_delivery, big, small_chunks, tiktok, index, action
):
    delivery = make_delivery(acme, connection=connect(acme), video=big(acme), options=PUBLIC)
    tiktok.fault({"endpoint": "upload", "chunk_index": index}, action)

    delivery = drive(delivery)

    [task] = tiktok.control("GET", "/tasks")
    assert delivery.state == DeliveryState.PUBLISHED
    assert task["sha256"] == delivery.post.video.sha256
    sent = tiktok.control("GET", "/requests")["counts"]["upload"]
    assert sent <= 4


def test_a_claim_after_a_death_goes_on_at_the_missing_chunk(
    acme, connect, make_delivery, big, small_chunks, tiktok, monkeypatch
):
    delivery = make_delivery(acme, connection=connect(acme), video=big(acme), options=PUBLIC)

    class Died(BaseException):
        """Stands for kill -9: nothing that catches Exception sees it."""

    real, calls = sending._send, []

    def die_at_the_second(*args: object) -> object:
        calls.append(args)
        if len(calls) == 2:
            raise Died
        return real(*args)

    monkeypatch.setattr(sending, "_send", die_at_the_second)
    with pytest.raises(Died):
        engine.advance_delivery(delivery.pk)
    left = Delivery.objects.get(pk=delivery.pk)
    assert (left.state, left.sent_bytes) == (DeliveryState.UPLOADING, 5_000_000)
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    monkeypatch.setattr(sending, "_send", real)

    delivery = drive(delivery)

    assert delivery.state == DeliveryState.PUBLISHED
    assert len(tiktok.posts()) == 1
    assert tiktok.control("GET", "/requests")["counts"]["upload"] == 3


def test_an_expired_upload_url_leads_to_a_new_job_and_one_post(
    acme, connect, make_delivery, big, small_chunks, tiktok
):
    delivery = make_delivery(acme, connection=connect(acme), video=big(acme), options=PUBLIC)
    tiktok.fault({"endpoint": "upload", "chunk_index": 1}, {"status": 503})
    drive(delivery, rounds=1)
    first = Delivery.objects.get(pk=delivery.pk).publish_id
    tiktok.control("POST", f"/tasks/{first}/expire-upload")

    delivery = drive(delivery)

    assert delivery.state == DeliveryState.PUBLISHED
    assert delivery.publish_id != first
    assert len(tiktok.posts()) == 1


@pytest.mark.parametrize(
    "reason",
    [
        "file_format_check_failed",
        "duration_check_failed",
        "frame_rate_check_failed",
        "picture_size_check_failed",
        "spam_risk_text",
        "spam_risk",
        "spam_risk_user_banned_from_posting",
    ],
)
def test_a_refusal_while_processing_is_told_and_not_repeated(acme, connect, make_delivery, tiktok, reason):
    tiktok.control("PATCH", "/creators/demo.public", {"next_failure": reason})

    delivery = drive(make_delivery(acme, connection=connect(acme), options=PUBLIC))

    assert delivery.state == DeliveryState.FAILED
    assert delivery.reason_code == reason
    assert delivery.reason_message
    assert delivery.reason_next_step
    assert delivery.reason_log_id
    assert tiktok.posts() == []
    assert delivery.job_count == 1


SOON, LATER, NEVER = timedelta(seconds=8), timedelta(hours=1), None


def is_about(moment: datetime | None, wait: timedelta | None) -> bool:
    """Whether `moment` comes after `wait`, as far as jitter and a slow machine allow."""
    if moment is None or wait is None:
        return moment is None and wait is None
    return abs(moment - timezone.now() - wait) < wait * 0.9


@pytest.mark.parametrize(
    ("reason", "state", "wait"),
    [
        ("file_format_check_failed", DeliveryState.FAILED, NEVER),
        ("duration_check_failed", DeliveryState.FAILED, NEVER),
        ("frame_rate_check_failed", DeliveryState.FAILED, NEVER),
        ("picture_size_check_failed", DeliveryState.FAILED, NEVER),
        ("internal", DeliveryState.PREPARING, SOON),
        ("video_pull_failed", DeliveryState.PREPARING, SOON),
        ("photo_pull_failed", DeliveryState.PREPARING, SOON),
        ("publish_cancelled", DeliveryState.CANCELED, NEVER),
        ("auth_removed", DeliveryState.HELD, NEVER),
        ("spam_risk_too_many_posts", DeliveryState.PREPARING, LATER),
        ("spam_risk_user_banned_from_posting", DeliveryState.FAILED, NEVER),
        ("spam_risk_text", DeliveryState.FAILED, NEVER),
        ("spam_risk", DeliveryState.FAILED, NEVER),
        pytest.param("a_reason_of_tomorrow", DeliveryState.FAILED, NEVER, id="unknown"),
    ],
)
def test_each_reason_of_a_failure_has_its_consequence_and_its_words(
    acme, connect, make_delivery, tiktok, reason, state, wait
):
    delivery = make_delivery(acme, connection=connect(acme), options=PUBLIC)
    tiktok.settings(processing_seconds=3600.0)
    drive(delivery, until={DeliveryState.PROCESSING}, rounds=1)
    answer = {"data": {"status": "FAILED", "fail_reason": reason}, "error": {"code": "ok", "log_id": "L1"}}
    tiktok.fault({"endpoint": "status"}, {"body": answer})

    delivery = drive(delivery, rounds=1)

    assert delivery.state == state
    assert is_about(delivery.wake_at, wait)
    assert (delivery.hold_reason == HoldReason.RECONNECT) == (reason == "auth_removed")
    assert bool(delivery.reason_message and delivery.reason_next_step) == (state != DeliveryState.CANCELED)
    assert delivery.reason_code == (reason if state in {"failed", "preparing"} else "")


def test_tiktoks_own_failure_is_repeated_with_a_new_job(acme, connect, make_delivery, tiktok):
    tiktok.control("PATCH", "/creators/demo.public", {"next_failure": "internal"})

    delivery = drive(make_delivery(acme, connection=connect(acme), options=PUBLIC))

    assert delivery.state == DeliveryState.PUBLISHED
    assert delivery.job_count == 2
    assert len(tiktok.posts()) == 1


def test_a_failure_that_stays_is_given_up(acme, connect, make_delivery, tiktok):
    delivery = make_delivery(acme, connection=connect(acme), options=PUBLIC)
    for _ in range(12):
        tiktok.control("PATCH", "/creators/demo.public", {"next_failure": "internal"})
        delivery = drive(delivery, rounds=1)

    assert delivery.state == DeliveryState.FAILED
    assert delivery.reason_code == "internal"
    assert tiktok.posts() == []


@pytest.mark.parametrize(
    ("creator", "options", "code"),
    [
        pytest.param("demo.banned", PUBLIC, "spam_risk_user_banned_from_posting", id="banned"),
        pytest.param("demo.private", PUBLIC, "privacy_not_offered", id="privacy no longer offered"),
        pytest.param("demo.short", PUBLIC, "too_long", id="longer than this creator may post"),
        pytest.param("demo.public", {}, "privacy_required", id="no privacy chosen"),
    ],
)
def test_a_refusal_before_sending_fails_with_words_and_sends_nothing(
    acme, connect, make_delivery, make_video, tiktok, creator, options, code
):
    video = make_video(acme, duration_ms=20_000)
    delivery = drive(make_delivery(acme, connection=connect(acme, creator), video=video, options=options))

    assert delivery.state == DeliveryState.FAILED
    assert delivery.reason_code == code
    assert delivery.reason_message
    assert tiktok.control("GET", "/tasks") == []


def test_an_unaudited_app_on_a_public_account_says_what_to_do(acme, connect, make_delivery, tiktok):
    tiktok.settings(audited=False)

    delivery = drive(make_delivery(acme, connection=connect(acme), options={"privacy_level": "SELF_ONLY"}))

    assert delivery.state == DeliveryState.FAILED
    assert delivery.reason_code == "unaudited_client_can_only_post_to_private_accounts"
    assert "private" in delivery.reason_next_step


def test_a_daily_cap_waits_and_says_so(acme, connect, make_delivery, tiktok):
    delivery = make_delivery(acme, connection=connect(acme, "demo.capped"), options=PUBLIC)

    engine.advance_delivery(delivery.pk)

    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.PREPARING
    assert delivery.wake_at > timezone.now() + timedelta(minutes=30)
    assert delivery.reason_code == "spam_risk_too_many_posts"
    assert delivery.reason_message


def test_a_cap_of_pending_drafts_waits_and_says_so(acme, connect, make_delivery, tiktok):
    connection = connect(acme)
    tiktok.settings(pending_drafts=1)
    first, second = (make_delivery(acme, connection=connection, mode="inbox", options={}) for _ in range(2))

    drive(first, until={DeliveryState.IN_INBOX})
    capped = drive(second, rounds=1)

    assert capped.state == DeliveryState.PREPARING
    assert is_about(capped.wake_at, timedelta(hours=1))
    assert capped.reason_code == "spam_risk_too_many_pending_share"
    assert "draft" in capped.reason_message.lower()


def test_a_cap_that_outlasts_a_day_fails_with_its_reason(acme, connect, make_delivery, tiktok):
    delivery = make_delivery(acme, connection=connect(acme, "demo.capped"), options=PUBLIC)
    engine.advance_delivery(delivery.pk)
    Delivery.objects.update(state_changed_at=timezone.now() - timedelta(hours=27))

    delivery = drive(delivery, rounds=1)

    assert (delivery.state, delivery.reason_code) == (DeliveryState.FAILED, "spam_risk_too_many_posts")
    assert delivery.reason_next_step


def test_disabled_comments_are_left_to_tiktok(acme, connect, make_delivery):
    delivery = make_delivery(
        acme, connection=connect(acme, "demo.quiet"), options=PUBLIC | {"allow_comment": True}
    )

    assert drive(delivery).state == DeliveryState.PUBLISHED


def test_a_dead_connection_holds_the_post_and_reconnecting_resumes_it(
    acme, connect, make_delivery, tiktok, django_capture_on_commit_callbacks
):
    connection = connect(acme)
    delivery = make_delivery(acme, connection=connection, options=PUBLIC)
    tiktok.control("POST", "/creators/demo.public/tokens/kill")

    delivery = drive(delivery)
    assert delivery.state == DeliveryState.HELD
    assert delivery.hold_reason == HoldReason.RECONNECT
    connection.refresh_from_db()
    assert connection.status == ConnectionStatus.NEEDS_REAUTH

    from connections.crypto import seal
    from connections.signals import connection_usable

    answer = tiktok.tokens("demo.public")
    connection.access_token = seal(connection, "access_token", answer["access_token"])
    connection.refresh_token = seal(connection, "refresh_token", answer["refresh_token"])
    connection.status = ConnectionStatus.ACTIVE
    connection.save()
    with django_capture_on_commit_callbacks():
        connection_usable.send(sender=None, connection=connection)
    delivery = drive(Delivery.objects.get(pk=delivery.pk))

    assert delivery.state == DeliveryState.PUBLISHED
    assert len(tiktok.posts()) == 1


def test_a_connection_lost_while_processing_never_sends_again(
    acme, connect, make_delivery, tiktok, django_capture_on_commit_callbacks
):
    tiktok.settings(processing_seconds=3600.0)
    connection = connect(acme)
    delivery = drive(
        make_delivery(acme, connection=connection, options=PUBLIC), until={DeliveryState.PROCESSING}
    )
    from publishing.services import hold_open, resume_held

    hold_open(connection)
    assert Delivery.objects.get(pk=delivery.pk).state == DeliveryState.HELD

    with django_capture_on_commit_callbacks():
        resume_held(connection)

    assert Delivery.objects.get(pk=delivery.pk).state == DeliveryState.PROCESSING
    tiktok.settings(clock_offset=3601.0)
    assert drive(delivery).state == DeliveryState.PUBLISHED
    assert len(tiktok.posts()) == 1


def test_an_expired_access_token_is_refreshed_on_the_way(acme, connect, make_delivery, tiktok):
    delivery = make_delivery(acme, connection=connect(acme), options=PUBLIC)
    tiktok.control("POST", "/creators/demo.public/tokens/expire", {"purpose": "access"})

    assert drive(delivery).state == DeliveryState.PUBLISHED


def test_a_file_that_vanished_is_told_and_leaves_no_job(acme, connect, make_delivery, tiktok):
    delivery = make_delivery(acme, connection=connect(acme), options=PUBLIC)
    delivery.post.video.file.storage.delete(delivery.post.video.file.name)

    delivery = drive(delivery)

    assert delivery.state == DeliveryState.FAILED
    assert delivery.reason_code == "file_missing"
    assert "storage" in delivery.reason_message
    assert tiktok.control("GET", "/tasks") == []


def test_a_file_cut_short_is_told_and_posts_nothing(acme, connect, make_delivery, make_video, tiktok):
    video = make_video(acme, content=b"x" * 1000)
    with video.file.storage.open(video.file.name, "wb") as file:
        file.write(b"x" * 400)

    delivery = drive(make_delivery(acme, connection=connect(acme), video=video, options=PUBLIC))

    assert delivery.state == DeliveryState.FAILED
    assert delivery.reason_code == "file_missing"
    assert tiktok.posts() == []


def test_a_row_that_kills_workers_is_put_before_a_person(acme, make_delivery, connect):
    delivery = make_delivery(
        acme,
        connection=connect(acme),
        claim_count=MAX_DEATHS,
        lease_token=uuid.uuid4(),
        lease_until=timezone.now() - timedelta(seconds=1),
    )

    engine.advance_delivery(delivery.pk)

    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.HELD
    assert delivery.hold_reason == HoldReason.CONFIGURATION


def test_a_chunk_that_got_through_is_no_death(
    acme, connect, make_delivery, big, small_chunks, tiktok, monkeypatch
):
    delivery = make_delivery(
        acme, connection=connect(acme), video=big(acme), options=PUBLIC, claim_count=MAX_DEATHS - 1
    )

    def die(name: str) -> None:
        if name == "chunk recorded":
            raise KeyboardInterrupt  # nothing of the engine catches it, as nothing catches SIGKILL

    with monkeypatch.context() as patched:
        patched.setattr(sending, "reached", die)
        with pytest.raises(KeyboardInterrupt):
            engine.advance_delivery(delivery.pk)

    assert Delivery.objects.get(pk=delivery.pk).claim_count == 1
    Delivery.objects.filter(pk=delivery.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert drive(delivery).state == DeliveryState.PUBLISHED


def test_claims_that_ended_well_are_no_deaths(acme, connect, make_delivery, tiktok):
    tiktok.settings(processing_seconds=3600.0)
    delivery = make_delivery(acme, connection=connect(acme), options=PUBLIC)

    delivery = drive(delivery, rounds=MAX_DEATHS + 3)

    assert (delivery.state, delivery.claim_count) == (DeliveryState.PROCESSING, 0)


@pytest.mark.django_db(transaction=True)
def test_a_worker_whose_database_restarted_hands_the_row_back_by_a_new_connection(
    acme, make_delivery, monkeypatch
):
    delivery = make_delivery(acme)

    def cut_off(*_: object, **__: object) -> None:
        with database.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr("publishing.preparing.begin", cut_off)

    assert engine.advance_delivery(delivery.pk) == "unexpected error"

    left = Delivery.objects.get(pk=delivery.pk)
    assert (left.lease_token, left.tries) == (None, 1)
    assert steps(left) == [("engine", "unexpected OperationalError")]


def test_missing_bytes_are_sent_again_from_the_beginning_of_their_chunk(acme, make_delivery):
    delivery = make_delivery(
        acme,
        state=DeliveryState.PROCESSING,
        total_bytes=16_000_000,
        chunk_size=5_000_000,
        chunk_count=3,
        sent_bytes=16_000_000,
    )
    claimed = Delivery.objects.claim(delivery.pk, lease=timedelta(seconds=30))

    polling._send_again(claimed, PublishStatus(phase=PublishPhase.UPLOADING, stored_bytes=7_654_321))

    delivery.refresh_from_db()
    assert (delivery.state, delivery.sent_bytes) == (DeliveryState.UPLOADING, 5_000_000)
    assert steps(delivery) == [("resend", "bytes missing")]


def test_an_unforeseen_error_hands_the_row_back_without_its_text(
    acme, connect, make_delivery, monkeypatch, caplog
):
    delivery = make_delivery(acme, connection=connect(acme), options=PUBLIC)

    def explode(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret-text")

    monkeypatch.setattr("publishing.preparing.find_problems", explode)

    assert engine.advance_delivery(delivery.pk) == "unexpected error"

    delivery.refresh_from_db()
    assert delivery.lease_token is None
    assert delivery.wake_at > timezone.now()
    assert "secret-text" not in str(list(delivery.attempts.values()))


def test_a_worker_that_is_asked_to_end_hands_the_rest_back(
    acme, connect, make_delivery, big, small_chunks, tiktok, monkeypatch
):
    delivery = make_delivery(acme, connection=connect(acme), video=big(acme), options=PUBLIC)
    real = sending._send

    def end_during_the_first(*args: object) -> object:
        leaving.stopping.set()
        return real(*args)

    monkeypatch.setattr(sending, "_send", end_during_the_first)
    try:
        assert engine.advance_delivery(delivery.pk) == "handed back"
    finally:
        leaving.stopping.clear()
    monkeypatch.setattr(sending, "_send", real)

    left = Delivery.objects.get(pk=delivery.pk)
    assert (left.state, left.sent_bytes, left.lease_token) == (DeliveryState.UPLOADING, 5_000_000, None)
    assert drive(delivery).state == DeliveryState.PUBLISHED
    assert len(tiktok.posts()) == 1


def test_the_rate_limit_is_kept_before_tiktok_has_to_refuse(acme, connect, make_delivery, tiktok):
    connection = connect(acme)
    rows = [make_delivery(acme, connection=connection, options=PUBLIC) for _ in range(8)]

    outcomes = [engine.advance_delivery(row.pk) for row in rows]

    assert outcomes.count("keeps the rate limit") == 2
    assert tiktok.control("GET", "/requests")["rate_limited"] == 0


def test_a_chunk_that_was_answered_but_never_arrived_is_sent_again_to_the_same_job(
    acme, connect, make_delivery, big, small_chunks, tiktok, settings
):
    settings.ENGINE_TIME_SCALE = 0.0
    delivery = make_delivery(acme, connection=connect(acme), video=big(acme), options=PUBLIC)
    tiktok.fault({"endpoint": "upload", "chunk_index": 2}, {"code": "internal_error"})

    delivery = drive(delivery)

    assert delivery.state == DeliveryState.PUBLISHED
    assert delivery.job_count == 1
    assert len(tiktok.posts()) == 1


def test_a_refused_upload_url_leads_to_a_new_job(acme, connect, make_delivery, tiktok):
    delivery = make_delivery(acme, connection=connect(acme), options=PUBLIC)
    tiktok.fault({"endpoint": "upload"}, {"status": 401, "code": "access_token_invalid"})

    delivery = drive(delivery)

    assert delivery.state == DeliveryState.PUBLISHED
    assert delivery.job_count == 2
    assert len(tiktok.posts()) == 1


@pytest.mark.parametrize(
    "action",
    [
        pytest.param({"status": 503}, id="silence"),
        pytest.param({"code": "some_new_code"}, id="an unknown refusal"),
    ],
)
def test_silence_after_the_last_byte_is_never_told_as_not_posted(
    acme, connect, make_delivery, tiktok, settings, monkeypatch, action
):
    settings.ENGINE_TIME_SCALE = 0.0
    monkeypatch.setattr(engine, "MAX_SILENCE", MAX_TRIES)
    delivery = make_delivery(acme, connection=connect(acme), options=PUBLIC)
    tiktok.fault({"endpoint": "upload"}, {"drop": "after"})
    tiktok.fault({"endpoint": "status"}, action, times=None)
    tiktok.settings(rate_limits_on=False)

    for _ in range(60):
        if drive(delivery, rounds=1).wake_at is None:
            break
        forget_windows()
    delivery.refresh_from_db()

    assert (delivery.state, delivery.hold_reason) == (DeliveryState.HELD, HoldReason.UNCONFIRMED)
    assert "profile" in delivery.reason_next_step
    assert len(tiktok.posts()) == 1


def test_a_poll_waits_by_the_databases_clock(acme, connect, make_delivery, tiktok, monkeypatch):
    tiktok.settings(processing_seconds=3600.0)
    delivery = drive(
        make_delivery(acme, connection=connect(acme), options=PUBLIC), until={DeliveryState.PROCESSING}
    )
    later = timezone.now() + timedelta(days=30)
    monkeypatch.setattr("django.utils.timezone.now", lambda: later)

    Delivery.objects.filter(pk=delivery.pk).update(wake_at=Now())
    engine.advance_delivery(delivery.pk)

    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.PROCESSING
    assert delivery.wake_at < later - timedelta(days=29)
