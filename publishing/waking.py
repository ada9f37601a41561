"""Looking again at what the platform told something about, before its time. Whoever tells decides nothing by it."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now

from accounts.scopes import workspace_scope
from connections.models import SocialConnection
from connections.providers.base import PublishMode
from publishing import ending
from publishing.attempts import note
from publishing.backoff import STATUS_PATIENCE
from publishing.dispatch import ring_on_commit
from publishing.models import Delivery, StaleTransitionError
from publishing.states import DeliveryState, HoldReason

_S = DeliveryState
LOOKED_AT = frozenset({_S.UPLOADING, _S.PROCESSING, _S.IN_INBOX, _S.PUBLISHED})
"""Where the platform's status may say something new: a published draft may be published again, a post go public."""


def look_again(*, provider: str, publish_id: str) -> int:
    """Wake the deliveries of this publish job; return how many there are, those included that are past waking.

    A free row is rung for. One in a worker's hands is awake again as soon as that lets go of it, since its question may
    have been answered before the news (`Delivery.release`). One held as unconfirmed goes back to be asked about.
    """
    rows = Delivery.objects.filter(connection__provider=provider, publish_id=publish_id)
    found = list(rows.select_related("connection"))
    for delivery in found:
        with workspace_scope(delivery.workspace_id):
            if delivery.state == _S.HELD and delivery.hold_reason == HoldReason.UNCONFIRMED:
                _ask_after_all(delivery)
            elif delivery.state in LOOKED_AT and not _is_settled(delivery):
                _wake(delivery)
    return len(found)


def ask_about_drafts(connection: SocialConnection) -> int:
    """Ask again about the drafts of an account that can be used once more; return how many.

    While it could not be used, the questions about them were given up.
    """
    waiting = Delivery.objects.filter(
        connection=connection, state=_S.IN_INBOX, wake_at=None, state_changed_at__gt=Now() - STATUS_PATIENCE
    )
    return waiting.update(wake_at=Now())


def _is_settled(delivery: Delivery) -> bool:
    """Whether the platform has nothing left to say: the one post of a job is out, and its id is known."""
    is_one_post = delivery.mode == PublishMode.DIRECT
    return is_one_post and delivery.state == _S.PUBLISHED and bool(delivery.platform_post_ids)


def _wake(delivery: Delivery) -> None:
    with transaction.atomic():
        Delivery.objects.filter(pk=delivery.pk, state__in=LOOKED_AT).update(wake_at=Now())
        if Delivery.objects.due().filter(pk=delivery.pk).exists():
            ring_on_commit(delivery)


def _ask_after_all(delivery: Delivery) -> None:
    try:
        with transaction.atomic():
            delivery.advance(_S.PROCESSING, **(ending.stopped() | {"wake_at": Now()}), **ending.unexplained())
            note(delivery, "webhook", "asks again", message="The platform told something of this post")
            ring_on_commit(delivery)
    except StaleTransitionError:
        return  # a person decided just now
