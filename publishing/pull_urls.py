"""The addresses at which a platform fetches a delivery's files: signed, expiring, and dead once it is asked anew.

Each is bound to a file, a delivery and the request that named it. Sending a post again kills the addresses of the
earlier request, so that a job of which nobody knows whether it runs cannot become a second post afterwards.
"""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from django.core import signing

from accounts.scopes import System, system_scope
from connections.providers import provider_for
from publishing.models import Delivery, Photo, PostKind, Video
from publishing.states import DeliveryState

MAX_AGE = timedelta(minutes=90)
"""The platform gives up an hour after the request; the rest is for clocks, and for a request that came late."""

_SALT = "publishing.pull"
_FETCHED_IN = frozenset({DeliveryState.PREPARING, DeliveryState.PROCESSING, DeliveryState.HELD})
_LETTERS = re.compile(r"[A-Za-z0-9_\-:]{1,600}")


def pull_url(delivery: Delivery, media: Video | Photo, *, requested_at: datetime) -> str:
    """Return the address of `media` for the request of `delivery` made at `requested_at`: a secret, never logged."""
    token = signing.dumps([str(delivery.pk), str(media.pk), _stamp(requested_at)], salt=_SALT)
    suffix = PurePosixPath(str(media.file.name)).suffix
    return f"{provider_for(delivery.connection.provider).pull_url_prefix}{token}/file{suffix}"


@system_scope(System.PULL)
def find_media(token: str) -> Video | Photo | None:
    """Return what the token of an address stands for, None if it is forged, too old, or no longer wanted."""
    if not _LETTERS.fullmatch(token):
        return None
    try:
        delivery_id, media_id, stamp = signing.loads(token, salt=_SALT, max_age=MAX_AGE)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    delivery = (
        Delivery.objects.select_related("post__video")
        .filter(pk=uuid.UUID(delivery_id), state__in=_FETCHED_IN, pull_requested_at__isnull=False)
        .first()
    )
    if delivery is None or delivery.pull_requested_at is None or _stamp(delivery.pull_requested_at) != stamp:
        return None
    if delivery.post.kind == PostKind.VIDEO:
        video = delivery.post.video
        return video if video is not None and str(video.pk) == media_id else None
    return delivery.post.photos.filter(pk=uuid.UUID(media_id)).first()


def _stamp(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)
