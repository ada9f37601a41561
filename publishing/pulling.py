"""Publishing by PULL_FROM_URL: the platform fetches the files itself, so the request alone may become a post.

What protects from doubles elsewhere, that a job without bytes never is a post, does not hold here. So the wish is
committed before the request goes out, and a request whose answer is unknown is never repeated: a person is asked.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from config.faultpoints import reached
from connections.clients import call
from connections.errors import ProviderError, RejectedError, ResponseError, TransportError
from connections.providers import provider_for
from connections.providers.base import Client, PublishJob, PublishPhase, PublishStatus
from publishing import ending
from publishing.attempts import attempt
from publishing.models import Delivery, Photo, StaleTransitionError, Video
from publishing.pull_urls import pull_url
from publishing.states import DeliveryState, HoldReason


class CanceledBeforeRequestError(Exception):
    """Somebody canceled before the request went out."""


def is_by_pull(delivery: Delivery) -> bool:
    """Whether the platform shall fetch the files: photos it takes in no other way, videos where it may."""
    return delivery.post.is_photo or provider_for(delivery.connection.provider).pulls_videos


def media_of(delivery: Delivery) -> list[Video | Photo]:
    """Return the files of the post in their order."""
    if delivery.post.video is not None:
        return [delivery.post.video]
    return list(delivery.post.photos.order_by("position"))


def start_pull(delivery: Delivery) -> str | None:
    """Ask the platform to fetch and post, and commit its handle; `held` if the answer leaves open what happened.

    Raises ProviderError where it is sure that nothing happened.
    """
    try:
        _request(delivery)
    except CanceledBeforeRequestError:
        return ending.cancel(delivery)
    except ProviderError as error:
        if delivery.pull_requested_at is None:
            raise
        return hold_unconfirmed(delivery, error)
    ending.log_outcome(delivery, "asked to pull", publish_id=delivery.publish_id)
    return None


def after_death(delivery: Delivery) -> str | None:
    """Go on with the job of a worker that asked and died: by the handle it noted, else by asking a person."""
    noted = delivery.attempts.filter(step="start", detail__requested_at=_stamp(delivery)).order_by(
        "started_at"
    )
    detail = noted.values_list("detail", flat=True).first()
    if detail is None:
        return hold_unconfirmed(delivery)
    _commit(delivery, detail["publish_id"], total_bytes=detail["total_bytes"])
    return None


def _stamp(delivery: Delivery) -> str:
    return delivery.pull_requested_at.isoformat() if delivery.pull_requested_at else ""


def hold_unconfirmed(delivery: Delivery, error: ProviderError | None = None) -> str:
    """Ask a person: the request went out, and whether it became a post is not known here."""
    name = ending.platform(delivery)
    return ending.hold(
        delivery,
        HoldReason.UNCONFIRMED,
        message=f"{name} was asked to fetch and post this, but its answer did not arrive. It may be posted.",
        next_step=f"Wait a few minutes, then check your {name} profile and inbox: mark it as posted or send it again.",
        error=error,
    )


def _request(delivery: Delivery) -> None:
    media = media_of(delivery)
    total_bytes = sum(one.total_bytes for one in media)

    def start(client: Client) -> PublishJob:
        requested_at = _announce(delivery)
        urls = [pull_url(delivery, one, requested_at=requested_at) for one in media]
        try:
            if delivery.post.is_photo:
                return client.start_photos(
                    mode=delivery.publish_mode, photo_urls=urls, options=delivery.publish_options
                )
            return client.start_pull(
                mode=delivery.publish_mode, video_url=urls[0], options=delivery.publish_options
            )
        except ProviderError as error:
            if error.nothing_happened:
                delivery.record(pull_requested_at=None)
            raise

    with attempt(delivery, "start", announced=True, files=len(media), total_bytes=total_bytes) as row:
        job = call(delivery.connection, start)
        reached("pull answered")
        row.detail |= {"publish_id": job.publish_id, "requested_at": _stamp(delivery)}
        row.save(update_fields=["detail"])  # whoever comes after our death, or after our lease, goes on by it
        reached("pull noted")
        _commit(delivery, job.publish_id, total_bytes=total_bytes)
    reached("pull committed")


def _commit(delivery: Delivery, publish_id: str, *, total_bytes: int) -> None:
    delivery.advance(
        DeliveryState.PROCESSING,
        publish_id=publish_id,
        upload_url="",
        upload_expires_at=None,
        total_bytes=total_bytes,
        chunk_size=0,
        chunk_count=0,
        sent_bytes=0,
        poll_count=0,
        committed_at=None,
        account_username=delivery.connection.username[:64],
        job_count=F("job_count") + 1,
        reason_code="",
        reason_log_id="",
        reason_message="",
        reason_next_step="",
    )


def _announce(delivery: Delivery) -> datetime:
    """Commit that the request goes out now, unless somebody canceled first. One statement: there is no between."""
    now = timezone.now()
    ours = Delivery.objects.filter(pk=delivery.pk, state=delivery.state, lease_token=delivery.lease_token)
    if ours.filter(cancel_requested_at=None).update(
        pull_requested_at=now, lease_until=Now() + settings.DELIVERY_LEASE
    ):
        delivery.pull_requested_at = now
        reached("pull announced")
        return now
    if ours.exists():
        raise CanceledBeforeRequestError
    raise StaleTransitionError(f"delivery {delivery.pk} was taken over before it was asked for")


def ask_to_cancel(delivery: Delivery) -> ProviderError | None:
    """Pass a person's wish on to the platform, which says whether it is too late; return the error if it did not hear.

    Its yes is not the end, nor is silence, nor a refusal for another reason: the status that is asked next is. Raises
    ProviderError where that would be refused, too.
    Source: https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide
    """
    if not delivery.cancel_requested_at or delivery.committed_at or not delivery.is_pulled:
        return None
    try:
        with attempt(delivery, "cancel"):
            call(delivery.connection, lambda client: client.cancel(delivery.publish_id))
        reached("cancel answered")
    except RejectedError as error:
        if error.code == "publish_not_cancellable":  # committed: from here on it is too late
            delivery.record(committed_at=Now(), cancel_requested_at=None)
            ending.log_outcome(delivery, "too late to cancel", publish_id=delivery.publish_id)
    except (TransportError, ResponseError) as error:
        return error
    return None


def fetched_bytes(delivery: Delivery, status: PublishStatus) -> int:
    """Return how many bytes the platform has fetched, for the bar: all, once it no longer says that it is fetching."""
    if status.phase is PublishPhase.DOWNLOADING:
        return min(status.stored_bytes or 0, delivery.total_bytes)
    return delivery.total_bytes
