"""The states of a delivery and the edges between them. Nothing changes state but along an edge."""

from __future__ import annotations

from django.db import models


class DeliveryState(models.TextChoices):
    """Where a delivery stands. Waiting to retry is no state: that is `wake_at`."""

    SCHEDULED = "scheduled", "Scheduled"
    PREPARING = "preparing", "Preparing"
    UPLOADING = "uploading", "Uploading"
    PROCESSING = "processing", "Processing"
    PUBLISHED = "published", "Published"
    IN_INBOX = "in_inbox", "In the inbox"
    FAILED = "failed", "Failed"
    CANCELED = "canceled", "Canceled"
    HELD = "held", "Waiting for you"


_S = DeliveryState
STOPPED = frozenset({_S.FAILED, _S.CANCELED, _S.HELD})
"""Nothing happens any more unless a person acts."""

EDGES: dict[DeliveryState, frozenset[DeliveryState]] = {
    _S.SCHEDULED: STOPPED | {_S.PREPARING},
    _S.PREPARING: STOPPED | {_S.UPLOADING, _S.PROCESSING},
    _S.UPLOADING: STOPPED | {_S.PROCESSING, _S.PREPARING},
    _S.PROCESSING: STOPPED | {_S.PUBLISHED, _S.IN_INBOX, _S.PREPARING, _S.UPLOADING},
    _S.IN_INBOX: frozenset({_S.PUBLISHED, _S.FAILED, _S.HELD}),
    _S.PUBLISHED: frozenset(),
    _S.FAILED: frozenset({_S.SCHEDULED}),
    _S.CANCELED: frozenset({_S.SCHEDULED}),
    _S.HELD: frozenset(
        {
            _S.SCHEDULED,
            _S.PREPARING,
            _S.UPLOADING,
            _S.PROCESSING,
            _S.IN_INBOX,
            _S.PUBLISHED,
            _S.CANCELED,
            _S.FAILED,
        }
    ),
}

WORKING = frozenset({_S.PREPARING, _S.UPLOADING, _S.PROCESSING})
"""The engine is at it."""

OPEN = WORKING | {_S.SCHEDULED, _S.HELD}
"""Not at an end yet."""


class HoldReason(models.TextChoices):
    """Why a delivery waits for a person."""

    RECONNECT = "reconnect", "The account needs reconnecting"
    UNCONFIRMED = "unconfirmed", "It may already be posted"
    CONFIGURATION = "configuration", "An operator must act"
