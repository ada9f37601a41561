"""The engine: take one delivery as far as it goes now, and leave it in a state that is true.

The row is the job. A worker claims it with a lease, works with no transaction open, and writes only while it holds the
lease; whatever dies, the next claim goes on from what was committed.
"""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta

from django.conf import settings
from django.db import connection as database

from accounts.scopes import workspace_scope
from config.faultpoints import reached
from connections.errors import (
    AuthorizationError,
    CapError,
    ConfigurationError,
    JobNotFoundError,
    ProviderError,
    RateLimitError,
    RejectedError,
    ResponseError,
    TransportError,
)
from connections.limits import LocalLimitError
from connections.providers import provider_for
from publishing import ending, leaving, polling, preparing, sending
from publishing.attempts import note
from publishing.backoff import (
    CAP_LEAST,
    CAP_PATIENCE,
    CAP_WAIT,
    MAX_DEATHS,
    MAX_SILENCE,
    MAX_TRIES,
    limit_wait,
    retry_wait,
)
from publishing.blocks import FileChangedError
from publishing.models import Delivery, StaleTransitionError
from publishing.states import WORKING, DeliveryState, HoldReason

logger = logging.getLogger(__name__)


def advance_delivery(delivery_id: uuid.UUID) -> str:
    """Claim one delivery and work on it until it ends, waits or is handed back; return what happened in a word.

    Safe to call twice, late, or beside itself: who does not get the row goes away. Raises nothing.
    """
    delivery = Delivery.objects.claim(delivery_id, lease=settings.DELIVERY_LEASE)
    if delivery is None:
        return "not free"
    with workspace_scope(delivery.workspace_id):
        return _advance(delivery)


def _advance(delivery: Delivery) -> str:
    reached("claimed")
    try:
        with leaving.in_hand(delivery):
            return _work(delivery)
    except StaleTransitionError:
        ending.log_outcome(delivery, "lost the lease")
        return "lost"
    except Exception as error:
        logger.exception("unexpected error delivery=%s workspace=%s", delivery.pk, delivery.workspace_id)
        return _survive(delivery, error)


def _work(delivery: Delivery) -> str:
    if delivery.claim_count > MAX_DEATHS:
        return _give_up_on_killer(delivery)
    resumed = delivery.state == DeliveryState.UPLOADING
    while True:
        try:
            outcome = _step(delivery, resumed=resumed)
        except ProviderError as error:
            return _recover(delivery, error)
        except FileChangedError:
            outcome = _file_gone(delivery)
        if outcome is not None:
            return outcome
        resumed = False


def _step(delivery: Delivery, *, resumed: bool) -> str | None:
    match delivery.state:
        case DeliveryState.SCHEDULED:
            preparing.begin(delivery)
            reached("begun")
            return None
        case DeliveryState.PREPARING:
            return preparing.prepare(delivery)
        case DeliveryState.UPLOADING:
            return sending.upload(delivery, resumed=resumed)
        case DeliveryState.PROCESSING:
            return polling.poll(delivery)
        case DeliveryState.IN_INBOX:
            return polling.await_creator(delivery)
        case DeliveryState.PUBLISHED:
            return polling.await_post_id(delivery)
        case _:  # failed, canceled, held: nothing to do, and nobody should have rung
            delivery.release(wake_in=None, claim_count=0)
            return "at rest"


def _recover(delivery: Delivery, error: ProviderError) -> str:
    """Decide what follows a failed call. The provider sorted the error; the state says what is at stake."""
    if delivery.state in {DeliveryState.PUBLISHED, DeliveryState.IN_INBOX}:
        return _recover_after_end(delivery, error)
    match error:
        case LocalLimitError():
            delivery.release(wake_in=error.wait, claim_count=0)
            return "keeps the rate limit"
        case CapError():
            return _wait_for_cap(delivery, error)
        case RateLimitError():
            least = timedelta(seconds=60 if delivery.state == DeliveryState.PREPARING else 10)
            delay = limit_wait(delivery.tries, told=error.wait, least=least)
            return ending.wait(
                delivery,
                delay,
                error=error,
                message=f"{ending.platform(delivery)} asks to go slower; Broadside waits.",
            )
        case AuthorizationError():
            return ending.hold_for_reconnect(delivery, error)
        case ConfigurationError():
            return _hold_for_operator(delivery, error)
        case JobNotFoundError():  # a job's status may be unknown for a moment after its start
            return _try_again(delivery, error)
        case RejectedError() if not delivery.may_be_posted:
            return ending.fail(delivery, code=error.code, log_id=error.log_id)
        case _:
            return _try_again(delivery, error)


def _recover_after_end(delivery: Delivery, error: ProviderError) -> str:
    # The post stands; only a detail is still being asked for.
    if isinstance(error, AuthorizationError | RejectedError) or delivery.tries >= MAX_TRIES:
        delivery.release(wake_in=None, claim_count=0)
        return "asked in vain"
    delivery.release(wake_in=retry_wait(delivery.tries + 4), claim_count=0, tries=delivery.tries + 1)
    return "waits"


def _try_again(delivery: Delivery, error: ProviderError) -> str:
    name = ending.platform(delivery)
    is_silence = delivery.may_be_posted and isinstance(error, TransportError | ResponseError)
    if delivery.tries >= (MAX_SILENCE if is_silence else MAX_TRIES):
        if delivery.may_be_posted:
            return _hold_unconfirmed(delivery, error)
        return ending.fail(
            delivery,
            code=error.code or "unreachable",
            message=f"{name} could not be reached for hours. Nothing was posted.",
            next_step=f"Retry when {name} works again.",
            log_id=error.log_id,
        )
    delivery.record(tries=delivery.tries + 1)
    return ending.wait(
        delivery,
        retry_wait(delivery.tries),
        error=error,
        message=f"{name} did not answer properly; Broadside tries again by itself.",
    )


def _hold_unconfirmed(delivery: Delivery, error: ProviderError | None = None) -> str:
    name = ending.platform(delivery)
    return ending.hold(
        delivery,
        HoldReason.UNCONFIRMED,
        message=f"All bytes went to {name}, but it does not answer what became of the video.",
        next_step=f"Look at the {name} profile: if it is there, mark it as posted; if not, send it again.",
        error=error,
    )


def _wait_for_cap(delivery: Delivery, error: CapError) -> str:
    if delivery.age > CAP_PATIENCE:
        if delivery.may_be_posted:
            return _hold_unconfirmed(delivery, error)
        return ending.fail(delivery, code=error.code, log_id=error.log_id)
    message = provider_for(delivery.connection.provider).explain(error.code).message
    delay = max(error.wait, CAP_LEAST) if error.wait else CAP_WAIT
    return ending.wait(delivery, delay, error=error, message=message)


def _hold_for_operator(delivery: Delivery, error: ProviderError) -> str:
    explanation = provider_for(delivery.connection.provider).explain(error.code)
    is_there = f" All of it is with {ending.platform(delivery)} and may be posted by now."
    return ending.hold(
        delivery,
        HoldReason.CONFIGURATION,
        message=explanation.message + (is_there if delivery.may_be_posted else ""),
        next_step=explanation.next_step,
        error=error,
    )


def _file_gone(delivery: Delivery) -> str | None:
    note(delivery, "chunk", "file missing", message="The stored file is gone or shorter than it was")
    if delivery.committed_at:  # its last byte was sent before: the platform's status is what tells the rest
        sending.finish(delivery)
        return None
    return ending.fail(
        delivery,
        code="file_missing",
        message="The video file vanished from Broadside's storage during the upload, so nothing was posted.",
        next_step="Upload the video again as a new post, or ask your operator to restore the file, then retry.",
    )


def _survive(delivery: Delivery, error: Exception) -> str:
    """An error that nobody foresaw: note its kind (never its text, which may hold anything) and try later."""
    if not database.in_atomic_block:
        database.close_if_unusable_or_obsolete()  # a database that restarted needs a new connection
    try:
        note(delivery, "engine", f"unexpected {type(error).__name__}")
        if delivery.tries >= MAX_TRIES:
            return _give_up_on_killer(delivery)
        delivery.release(
            wake_in=retry_wait(delivery.tries + 3), tries=delivery.tries + 1, **_trouble_of_ours(delivery)
        )
    except Exception:
        logger.exception("could not hand back delivery=%s; its lease will end by itself", delivery.pk)
    return "unexpected error"


def _trouble_of_ours(delivery: Delivery) -> dict[str, str]:
    if delivery.state not in WORKING:
        return {}
    return {
        "reason_code": "",
        "reason_log_id": "",
        "reason_message": "Broadside has a problem of its own with this post and tries again by itself.",
        "reason_next_step": "",
    }


def _give_up_on_killer(delivery: Delivery) -> str:
    if delivery.state in {DeliveryState.PUBLISHED, DeliveryState.IN_INBOX}:
        # That stands, whatever else is unknown.
        delivery.release(wake_in=None, claim_count=0)
        return "asked in vain"
    if delivery.may_be_posted:
        return _hold_unconfirmed(delivery)
    return ending.hold(
        delivery,
        HoldReason.CONFIGURATION,
        message="Broadside's worker stopped each time it worked on this post.",
        next_step="Ask your operator to look at the worker's log, then retry.",
    )
