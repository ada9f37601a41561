"""The ways in which a delivery stops being worked on, each with its words for the creator."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import transaction

from connections.errors import ProviderError
from connections.models import SocialConnection
from connections.providers import provider_for
from publishing.models import Delivery
from publishing.notifying import advance_and_tell
from publishing.states import DeliveryState, HoldReason

logger = logging.getLogger(__name__)


def log_outcome(delivery: Delivery, outcome: str, **ids: Any) -> None:
    """Log one line for an outcome, with its ids."""
    extra = "".join(f" {key}={value}" for key, value in ids.items() if value)
    logger.info(
        "%s delivery=%s workspace=%s connection=%s%s",
        outcome,
        delivery.pk,
        delivery.workspace_id,
        delivery.connection_id,
        extra,
    )


def platform(delivery: Delivery) -> str:
    """Return what people call the platform of this delivery."""
    return provider_for(delivery.connection.provider).label


def fail(delivery: Delivery, *, code: str, message: str = "", next_step: str = "", log_id: str = "") -> str:
    """End in `failed`. Without `message` the provider explains `code` in a creator's words."""
    explanation = provider_for(delivery.connection.provider).explain(code)
    advance_and_tell(
        delivery,
        DeliveryState.FAILED,
        reason_code=code[:80],
        reason_log_id=log_id[:80],
        reason_message=(message or explanation.message)[:400],
        reason_next_step=(next_step or explanation.next_step)[:400],
        upload_url="",
        **stopped(),
    )
    log_outcome(delivery, "failed", code=code, log_id=log_id)
    return "failed"


def hold(
    delivery: Delivery,
    reason: HoldReason,
    *,
    message: str,
    next_step: str,
    error: ProviderError | None = None,
    is_quiet: bool = False,
) -> str:
    """Wait for a person, remembering the state to go on from. `is_quiet`: this person was told of it already."""
    advance = delivery.advance if is_quiet else partial(advance_and_tell, delivery)
    advance(
        DeliveryState.HELD,
        held_from=delivery.state,
        hold_reason=reason,
        reason_code=error.code[:80] if error else "",
        reason_log_id=error.log_id[:80] if error else "",
        reason_message=message[:400],
        reason_next_step=next_step[:400],
        **stopped(),
    )
    log_outcome(delivery, "held", reason=reason.value, code=error.code if error else "")
    return "held"


def hold_for_reconnect(
    delivery: Delivery, error: ProviderError | None = None, *, is_quiet: bool = False
) -> str:
    """Wait until the account is connected again; that resumes it by itself.

    If it was connected again since `delivery.connection` was read, nothing would resume it: it goes on at once.
    """
    message, next_step = _words_to_reconnect(delivery)
    with transaction.atomic():
        if _is_connected_again(delivery):
            delivery.release(wake_in=timedelta(0), claim_count=0)
            return "connected again"
        return hold(
            delivery,
            HoldReason.RECONNECT,
            message=message,
            next_step=next_step,
            error=error,
            is_quiet=is_quiet,
        )


def _words_to_reconnect(delivery: Delivery) -> tuple[str, str]:
    name = platform(delivery)
    if delivery.may_be_posted:
        return (
            f"All of it is with {name} and may be posted by now, but {name} no longer lets Broadside use this account, "
            "so that it cannot ask.",
            "Reconnect the account. Broadside then asks by itself what became of the post.",
        )
    return (
        f"{name} no longer lets Broadside use this account. Nothing is lost.",
        "Reconnect the account. The post then goes on by itself.",
    )


def _is_connected_again(delivery: Delivery) -> bool:
    """The lock makes a reconnect that is under way come wholly before this or find the delivery held."""
    seen = delivery.connection
    now = SocialConnection.objects.select_for_update(no_key=True).filter(pk=seen.pk).first()
    is_newer = now is not None and now.token_generation != seen.token_generation
    return now is not None and now.is_active and (is_newer or not seen.is_active)


def cancel(delivery: Delivery) -> str:
    """End in `canceled`, nothing having been posted."""
    delivery.advance(
        DeliveryState.CANCELED,
        reason_code="",
        reason_message="",
        reason_next_step="",
        upload_url="",
        **stopped(),
    )
    log_outcome(delivery, "canceled")
    return "canceled"


def stopped() -> dict[str, Any]:
    """The changes that take a row out of the queue and out of any worker's hands."""
    return {"wake_at": None, "lease_token": None, "lease_until": None, "rung_at": None, "claim_count": 0}


def unexplained() -> dict[str, Any]:
    """The changes that forget why a row waited for a person, or ended."""
    return {
        "hold_reason": "",
        "held_from": "",
        "reason_code": "",
        "reason_log_id": "",
        "reason_message": "",
        "reason_next_step": "",
    }


def wait(
    delivery: Delivery, delay: timedelta, *, error: ProviderError | None = None, message: str = ""
) -> str:
    """Hand the row back to be woken after `delay`; `message` tells the creator why it waits."""
    delivery.release(
        wake_in=delay,
        claim_count=0,
        reason_code=error.code[:80] if error else "",
        reason_log_id=error.log_id[:80] if error else "",
        reason_message=message[:400],
        reason_next_step="",
    )
    if error is not None:
        log_outcome(delivery, "waits", seconds=round(delay.total_seconds(), 1), error=str(error))
    return "waits"
