"""The steps after the upload: ask until the platform gives the true end, and afterwards for the post's id."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from config.faultpoints import reached
from connections import webhooks
from connections.clients import call
from connections.errors import ProviderError
from connections.limits import take
from connections.providers import provider_for
from connections.providers.base import FailureClass, Operation, PublishMode, PublishPhase, PublishStatus
from publishing import ending, pulling
from publishing.attempts import note, note_error, note_status
from publishing.backoff import (
    BYTES_PATIENCE,
    CAP_WAIT,
    POST_ID_PATIENCE,
    STATUS_PATIENCE,
    retry_wait,
    scaled,
    status_wait,
)
from publishing.models import Delivery
from publishing.notifying import advance_and_tell
from publishing.states import DeliveryState, HoldReason


def ask(delivery: Delivery) -> PublishStatus:
    """Return the platform's word on the publish job. Raises ProviderError."""
    take(delivery.connection, Operation.STATUS)
    started_at = timezone.now()
    try:
        return call(delivery.connection, lambda client: client.fetch_status(delivery.publish_id))
    except ProviderError as error:
        note_error(delivery, "status", error, started_at=started_at)
        raise


def poll(delivery: Delivery) -> str | None:
    """Ask once; follow what the answer says, or wait for the next question."""
    unheard = pulling.ask_to_cancel(delivery)
    started_at = timezone.now()
    status = ask(delivery)
    reached("status answered")
    note_status(delivery, status, started_at=started_at)
    if status.phase is PublishPhase.PUBLISHED:
        return _published(delivery, status)
    if status.phase is PublishPhase.IN_INBOX:
        return _in_inbox(delivery)
    if status.phase is PublishPhase.FAILED:
        return refuse(delivery, status)
    if unheard is not None:
        raise unheard
    if delivery.is_pulled:
        delivery.record(sent_bytes=pulling.fetched_bytes(delivery, status))
    if _misses_bytes(delivery, status):
        _send_again(delivery, status)
        return None
    return _ask_later(delivery, patience=STATUS_PATIENCE)


def _misses_bytes(delivery: Delivery, status: PublishStatus) -> bool:
    """Whether a chunk that was answered as taken never arrived, for longer than a counter may lag."""
    if status.phase is not PublishPhase.UPLOADING or status.stored_bytes is None or not delivery.upload_url:
        return False
    late = delivery.poll_count >= 3 and delivery.age > scaled(BYTES_PATIENCE)
    return late and status.stored_bytes < delivery.total_bytes and not was_sent_again(delivery)


def was_sent_again(delivery: Delivery) -> bool:
    """Whether its job was sent bytes again that the platform missed."""
    return delivery.attempts.filter(step="resend", detail__publish_id=delivery.publish_id).exists()


def _send_again(delivery: Delivery, status: PublishStatus) -> None:
    # To the same upload URL: it is still one job, so that it stays one post.
    note(
        delivery, "resend", "bytes missing", stored_bytes=status.stored_bytes, publish_id=delivery.publish_id
    )
    delivery.advance(
        DeliveryState.UPLOADING, sent_bytes=delivery.chunk_plan.boundary_at(status.stored_bytes or 0)
    )


def await_post_id(delivery: Delivery) -> str | None:
    """A public post's id may come hours after the post, and a draft may be posted again: ask while that is likely."""
    status = ask(delivery)
    before = delivery.platform_post_ids
    # An id is kept when its post is public no longer.
    known = list(dict.fromkeys([*before, *status.post_ids]))
    asks_on = delivery.age <= POST_ID_PATIENCE and _has_more_to_say(delivery, known)
    delivery.release(
        wake_in=_next_question(delivery) if asks_on else None, platform_post_ids=known, claim_count=0, tries=0
    )
    if known != before:
        ending.log_outcome(delivery, "post id arrived", post_id=known[-1])
        return "post id arrived"
    return "waits" if asks_on else "no post id"


def await_creator(delivery: Delivery) -> str | None:
    """A draft in the inbox becomes a post when the creator finishes it, if ever."""
    status = ask(delivery)
    if status.phase is PublishPhase.PUBLISHED:
        return _published(delivery, status)
    if status.phase is PublishPhase.FAILED:
        return refuse(delivery, status)
    if delivery.age > STATUS_PATIENCE:
        delivery.release(wake_in=None, claim_count=0)
        return "draft left alone"
    delivery.release(
        wake_in=max(_next_question(delivery), scaled(timedelta(seconds=5))), claim_count=0, tries=0
    )
    return "waits"


def refuse(delivery: Delivery, status: PublishStatus) -> str | None:
    """The platform failed the job: repeat where that is safe and useful, else say why in the creator's words."""
    ending.log_outcome(delivery, "refused", reason=status.fail_reason, log_id=status.log_id)
    match status.failure:
        case FailureClass.RETRY:
            return _new_job(delivery, status, retry_wait(delivery.job_count + 2))
        case FailureClass.CAP:
            return _new_job(delivery, status, CAP_WAIT)
        case FailureClass.REAUTHORIZE:
            return _hold_for_new_job(delivery, status)
        case FailureClass.CANCELED:
            return ending.cancel(delivery)
        case _:
            return ending.fail(delivery, code=status.fail_reason or "unknown", log_id=status.log_id)


def _new_job(delivery: Delivery, status: PublishStatus, delay: timedelta) -> str:
    if delivery.state == DeliveryState.IN_INBOX:
        return ending.fail(delivery, code=status.fail_reason, log_id=status.log_id)
    explanation = provider_for(delivery.connection.provider).explain(status.fail_reason)
    _forget_job(delivery)
    delivery.release(
        wake_in=delay,
        claim_count=0,
        reason_code=status.fail_reason[:80],
        reason_log_id=status.log_id[:80],
        reason_message=explanation.message[:400],
        reason_next_step="Broadside tries again by itself.",
    )
    return "will start again"


def _hold_for_new_job(delivery: Delivery, status: PublishStatus) -> str:
    if delivery.state == DeliveryState.IN_INBOX:  # the job has ended: to ask for it again would tell the same
        return ending.fail(
            delivery,
            code=status.fail_reason,
            log_id=status.log_id,
            next_step="Connect the account again, then send the draft again.",
        )
    _forget_job(delivery)
    return ending.hold_for_reconnect(delivery)


def _forget_job(delivery: Delivery) -> None:
    delivery.advance(
        DeliveryState.PREPARING,
        publish_id="",
        upload_url="",
        upload_expires_at=None,
        sent_bytes=0,
        committed_at=None,
        pull_requested_at=None,
    )


def _published(delivery: Delivery, status: PublishStatus) -> str:
    reached("before published")
    asks_on = _will_be_public(delivery) and _has_more_to_say(delivery, status.post_ids)
    advance_and_tell(
        delivery,
        DeliveryState.PUBLISHED,
        upload_url="",
        published_at=Now(),
        platform_post_ids=list(status.post_ids),
        **_cleared(),
        **(ending.stopped() | {"wake_at": Now() + scaled(timedelta(seconds=2)) if asks_on else None}),
    )
    reached("published")
    ending.log_outcome(delivery, "published", publish_id=delivery.publish_id, log_id=status.log_id)
    return "published"


def _in_inbox(delivery: Delivery) -> str:
    advance_and_tell(
        delivery,
        DeliveryState.IN_INBOX,
        upload_url="",
        **_cleared(),
        **(ending.stopped() | {"wake_at": Now() + scaled(timedelta(seconds=5))}),
    )
    ending.log_outcome(delivery, "in inbox", publish_id=delivery.publish_id)
    return "in inbox"


def _cleared() -> dict[str, Any]:
    return {"reason_code": "", "reason_log_id": "", "reason_message": "", "reason_next_step": ""}


def _has_more_to_say(delivery: Delivery, post_ids: Sequence[str]) -> bool:
    """Whether another id may come: the first one, or of a draft one more each time that its creator posts it."""
    return not post_ids or delivery.publish_mode is PublishMode.INBOX


def _will_be_public(delivery: Delivery) -> bool:
    # What a creator chooses when finishing a draft is not told; its id comes if the post is public.
    public = provider_for(delivery.connection.provider).posting_rules.public_levels
    return delivery.publish_mode is PublishMode.INBOX or delivery.options.get("privacy_level") in public


def _ask_later(delivery: Delivery, *, patience: timedelta) -> str:
    if delivery.age > patience:
        name = ending.platform(delivery)
        return ending.hold(
            delivery,
            HoldReason.UNCONFIRMED,
            message=f"{name} has been processing this post for {patience.days} days without an answer.",
            next_step=f"Look at the {name} profile: if it is there, mark it as posted; if not, send it again.",
        )
    delivery.release(
        wake_in=_next_question(delivery),
        claim_count=0,
        tries=0,
        poll_count=F("poll_count") + 1,
        **_cleared(),
    )
    return "processing"


def _next_question(delivery: Delivery) -> timedelta:
    told = webhooks.are_arriving(delivery.connection.provider)
    return status_wait(delivery.age, has_webhooks=told)
