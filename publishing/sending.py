"""The uploading step: send the chunks in order, go on from wherever it stopped, never past a cancel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.utils import timezone

from config.faultpoints import reached
from connections.crypto import open_sealed
from connections.errors import (
    JobNotFoundError,
    ProviderError,
    RateLimitError,
    ResponseError,
    TransportError,
    UnreachableError,
    UploadError,
    UploadExpiredError,
    UploadRangeError,
)
from connections.models import ConnectionStatus, SocialConnection
from connections.providers import provider_for
from connections.providers.base import (
    Chunk,
    ChunkPlan,
    ChunkReceipt,
    FailureClass,
    PublishPhase,
    PublishStatus,
)
from publishing import ending, polling
from publishing.attempts import attempt, note
from publishing.blocks import read_blocks
from publishing.leaving import stopping
from publishing.models import Delivery, StaleTransitionError
from publishing.progress import tell_progress
from publishing.states import DeliveryState

_TELL_EVERY_S = 0.4
_LOOK_EVERY_S = 1.5

MAX_DISAGREEMENTS = 5
"""How often one claim takes the platform's word on where the upload stands before it lets some time pass."""

UNKNOWN_TRIES = 5
"""Failures in a row, a minute of them, after which a job that the platform does not know is taken for gone."""


class CancelRequestedError(Exception):
    """Somebody canceled while a chunk was on its way; the chunk is cut off before its last block."""


class DisconnectedError(Exception):
    """Somebody disconnected the account while a chunk was on its way; it is cut off likewise."""


def upload(delivery: Delivery, *, resumed: bool) -> str | None:
    """Send what the platform does not have yet. `resumed` says that an earlier claim may have sent some.

    Raises ProviderError for what the engine's back-off shall judge.
    """
    if delivery.cancel_requested_at and not delivery.committed_at:
        return ending.cancel(delivery)
    if resumed:
        moved = _resume(delivery)
        if delivery.state != DeliveryState.UPLOADING:
            return moved
    plan = delivery.chunk_plan
    try:
        return _send_from(delivery, plan)
    except CancelRequestedError:
        return ending.cancel(delivery)
    except DisconnectedError:
        delivery.connection.refresh_from_db()
        return ending.hold_for_reconnect(delivery)


def _resume(delivery: Delivery) -> str | None:
    try:
        return resynchronize(delivery)
    except JobNotFoundError:
        if delivery.committed_at or delivery.tries < UNKNOWN_TRIES:
            raise
    start_again(delivery, code="invalid_publish_id")
    return None


def _send_from(delivery: Delivery, plan: ChunkPlan) -> str | None:
    disagreements = 0
    while delivery.sent_bytes < plan.total_bytes:
        if stopping.is_set():
            delivery.release(wake_in=timedelta(0), claim_count=0)
            return "handed back"
        chunk = plan.chunk(plan.index_at(delivery.sent_bytes))
        try:
            receipt = _send(delivery, plan, chunk)
        except (UploadRangeError, UploadExpiredError) as error:
            disagreements += 1
            if disagreements > MAX_DISAGREEMENTS:
                raise TransportError(
                    "The platform and Broadside do not agree on what was sent", code=error.code
                ) from None
            moved = _find_place(delivery, error)
            if delivery.state != DeliveryState.UPLOADING:
                return moved
            continue
        if chunk.last + 1 == plan.total_bytes:
            reached("last chunk answered")
            break
        reached("chunk answered")
        delivery.record(
            sent_bytes=chunk.last + 1,
            tries=0,
            claim_count=1,  # whatever happened before, this claim got on
            lease_until=Now() + settings.DELIVERY_LEASE,
        )
        reached("chunk recorded")
        if receipt.is_complete:
            raise ResponseError(f"Chunk {chunk.index} was answered as if it were the last one")
    finish(delivery)
    return None


def finish(delivery: Delivery) -> None:
    """All bytes are with the platform: from here on only its status counts."""
    passed = {} if delivery.committed_at else {"committed_at": Now()}
    delivery.advance(
        DeliveryState.PROCESSING,
        sent_bytes=delivery.total_bytes,
        poll_count=0,
        claim_count=1,
        lease_until=Now() + settings.DELIVERY_LEASE,
        **passed,
    )
    reached("finished")
    ending.log_outcome(delivery, "uploaded", publish_id=delivery.publish_id, bytes=delivery.total_bytes)


def _send(delivery: Delivery, plan: ChunkPlan, chunk: Chunk) -> ChunkReceipt:
    provider = provider_for(delivery.connection.provider)
    was_committed = delivery.committed_at is not None
    try:
        with attempt(delivery, "chunk", index=chunk.index, of=plan.count, bytes=chunk.size):
            return provider.send_chunk(
                upload_url=open_sealed(delivery, "upload_url"),
                chunk=chunk,
                total_bytes=plan.total_bytes,
                content_type=delivery.video.content_type,
                blocks=_watched_blocks(delivery, plan, chunk),
            )
    except (UploadError, RateLimitError, UnreachableError):
        if delivery.committed_at and not was_committed:  # refused, so that the last byte is ours still
            delivery.record(committed_at=None)
        raise


def _watched_blocks(delivery: Delivery, plan: ChunkPlan, chunk: Chunk) -> Iterator[bytes | memoryview]:
    """Yield the chunk's blocks while holding the lease, telling progress and listening for a cancel.

    The file's last block is only let go after the point of no return was committed, so that a cancel either comes
    before it and nothing is posted, or is told that it is too late. Raises CancelRequestedError, DisconnectedError,
    StaleTransitionError, FileChangedError.
    """
    video = delivery.video
    sent = chunk.first
    told_at = looked_at = time.monotonic()
    for block in read_blocks(video.file.storage, str(video.file.name), first=chunk.first, size=chunk.size):
        now = time.monotonic()
        if now - looked_at >= _LOOK_EVERY_S:
            _keep_or_stop(delivery)
            looked_at = now
        if sent > chunk.first:
            reached("mid chunk")
        if sent + len(block) == plan.total_bytes:
            reached("before point of no return")
            _commit(delivery)
            reached("after point of no return")
        yield block
        sent += len(block)
        if now - told_at >= _TELL_EVERY_S:
            tell_progress(delivery, sent)
            told_at = now


def _keep_or_stop(delivery: Delivery) -> None:
    delivery.renew(settings.DELIVERY_LEASE)
    if delivery.committed_at:
        return
    wishes = Delivery.objects.filter(pk=delivery.pk).values_list("cancel_requested_at", "connection__status")
    canceled, status = wishes.get()
    if canceled:
        delivery.cancel_requested_at = canceled
        raise CancelRequestedError
    if status == ConnectionStatus.REVOKED:
        raise DisconnectedError


def _commit(delivery: Delivery) -> None:
    """Pass the point of no return, unless somebody canceled or disconnected the account first.

    One statement, so that there is no between. An account that only needs reconnecting is no reason to stop: the upload
    URL needs no token.
    """
    if delivery.committed_at:  # by an earlier claim; what is left to prove is that the row is still ours
        delivery.renew(settings.DELIVERY_LEASE)
        return
    ours = Delivery.objects.filter(pk=delivery.pk, lease_token=delivery.lease_token)
    gone = SocialConnection.objects.filter(pk=OuterRef("connection_id"), status=ConnectionStatus.REVOKED)
    if ours.filter(~Exists(gone), cancel_requested_at=None).update(
        committed_at=Now(), lease_until=Now() + settings.DELIVERY_LEASE
    ):
        delivery.committed_at = timezone.now()
        return
    if ours.filter(cancel_requested_at=None).exists():
        raise DisconnectedError
    if ours.exists():
        raise CancelRequestedError
    raise StaleTransitionError(f"delivery {delivery.pk} was taken over before its last block")


def resynchronize(delivery: Delivery) -> str | None:
    """Ask the platform how much it has, and take its word. Raises ProviderError."""
    status = polling.ask(delivery)
    note(delivery, "resume", status.phase.value, log_id=status.log_id, stored_bytes=status.stored_bytes)
    return _take_word(delivery, status)


def _take_word(delivery: Delivery, status: PublishStatus) -> str | None:
    if status.phase in {PublishPhase.PUBLISHED, PublishPhase.IN_INBOX} or _has_or_may_have_all(
        delivery, status
    ):
        finish(delivery)
        return None
    if status.phase is PublishPhase.FAILED:
        return _after_failure(delivery, status)
    delivery.record(sent_bytes=delivery.chunk_plan.boundary_at(status.stored_bytes or 0))
    if Delivery.objects.filter(pk=delivery.pk, upload_expires_at__lte=Now()).exists():
        _give_up_url(delivery)
    return None


def _after_failure(delivery: Delivery, status: PublishStatus) -> str | None:
    # A job that failed for want of bytes (its hour is over) never was a post, so a new one is safe.
    if status.failure is FailureClass.RETRY:
        start_again(delivery, code=status.fail_reason)
        return None
    return polling.refuse(delivery, status)


def _has_or_may_have_all(delivery: Delivery, status: PublishStatus) -> bool:
    # Once the last byte went out, only a count that says otherwise allows sending again.
    if status.stored_bytes is None:
        return delivery.committed_at is not None
    return 0 < delivery.total_bytes <= status.stored_bytes


def _find_place(delivery: Delivery, error: ProviderError) -> str | None:
    """A chunk was refused for its place or its URL: the platform knows better than we do where we are."""
    if isinstance(error, UploadRangeError) and error.stored_bytes is not None:
        if error.stored_bytes >= delivery.total_bytes:
            finish(delivery)
        else:
            delivery.record(sent_bytes=delivery.chunk_plan.boundary_at(error.stored_bytes))
        return None
    moved = resynchronize(delivery)
    if delivery.state == DeliveryState.UPLOADING and isinstance(error, UploadExpiredError):
        _give_up_url(delivery)
    return moved


def _give_up_url(delivery: Delivery) -> None:
    """The upload URL is dead. Before the last byte went out, a new job is safe.

    After it a platform that counts too few bytes may only lag behind, and the job may be a post already. So it is asked
    for a while, as after any last chunk; what it misses then is sent again, and a URL still dead tells the rest.
    """
    if delivery.committed_at and not polling.was_sent_again(delivery):
        finish(delivery)
    else:
        start_again(delivery, code="upload_expired")


def start_again(delivery: Delivery, *, code: str) -> None:
    """Go back for a new publish job, since the old one never got all bytes and no longer will; `code` says why."""
    delivery.advance(
        DeliveryState.PREPARING,
        reason_code=code[:80],
        publish_id="",
        upload_url="",
        upload_expires_at=None,
        sent_bytes=0,
        committed_at=None,
    )
    ending.log_outcome(delivery, "starts again")
