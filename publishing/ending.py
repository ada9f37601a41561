"""The ways in which a delivery stops being worked on, each with its words for the creator."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from typing import Any

from connections.errors import ProviderError
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
    """Wait until the account is connected again; that resumes it by itself."""
    return hold(
        delivery,
        HoldReason.RECONNECT,
        message=f"{platform(delivery)} no longer lets Broadside use this account. Nothing is lost.",
        next_step="Reconnect the account. The post then goes on by itself.",
        error=error,
        is_quiet=is_quiet,
    )


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
