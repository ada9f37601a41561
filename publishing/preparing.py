"""The preparing step: look once more whether TikTok will take it, then start the publish job."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import F
from django.db.models.functions import Now

from config.faultpoints import reached
from connections.clients import call
from connections.crypto import seal
from connections.limits import require_room, take
from connections.profiles import creator_info_for
from connections.providers import provider_for
from connections.providers.base import Client, CreatorInfo, Operation, PublishJob, PublishMode
from publishing import ending, pulling, scanning
from publishing.attempts import attempt
from publishing.backoff import MAX_JOBS
from publishing.models import Delivery, Photo
from publishing.preflight import Problem, find_photo_problems, find_problems
from publishing.states import DeliveryState

DEFAULT_UPLOAD_LIFE = timedelta(hours=1)


def begin(delivery: Delivery) -> None:
    """Leave `scheduled`: its time has come."""
    delivery.advance(
        DeliveryState.PREPARING, reason_code="", reason_message="", reason_next_step="", reason_log_id=""
    )


def prepare(delivery: Delivery) -> str | None:
    """Check, then start a publish job and commit its handle before the first byte is sent.

    Starting a file upload twice is harmless: a job without bytes never becomes a post. Raises ProviderError.
    """
    if delivery.is_pulled:  # the worker that asked never recorded an answer
        return pulling.after_death(delivery)
    if delivery.cancel_requested_at:
        return ending.cancel(delivery)
    if not delivery.connection.is_active:
        return ending.hold_for_reconnect(delivery)
    if delivery.job_count >= MAX_JOBS:
        return ending.fail(delivery, code=delivery.reason_code or "internal")
    media = pulling.media_of(delivery)
    if waits := scanning.hold_back(delivery, media):
        return waits
    if not media or not all(one.file.storage.exists(str(one.file.name)) for one in media):
        return ending.fail(
            delivery,
            code="file_missing",
            message="The file is no longer in Broadside's storage, so nothing was sent.",
            next_step="Upload it again as a new post, or ask your operator to restore the file, then retry.",
        )
    require_room(delivery.connection, Operation.START)
    creator = _look_at_creator(delivery)
    problems = [
        problem
        for problem in _problems(delivery, creator)
        # Comments turned off since the form was filled in: the platform applies that by itself.
        if problem.code != "interaction_disabled"
    ]
    if problems:
        return ending.fail(
            delivery,
            code=problems[0].code,
            message=" ".join(problem.message for problem in problems),
            next_step="Nothing was sent. Create the post again with other choices.",
        )
    take(delivery.connection, Operation.START)
    if pulling.is_by_pull(delivery):
        return pulling.start_pull(delivery)
    _start_job(delivery)
    return None


def _problems(delivery: Delivery, creator: CreatorInfo | None) -> list[Problem]:
    provider = provider_for(delivery.connection.provider)
    if delivery.post.is_photo:
        return find_photo_problems(
            photos=[one for one in pulling.media_of(delivery) if isinstance(one, Photo)],
            provider=provider,
            creator=creator,
            mode=delivery.publish_mode,
            options=delivery.publish_options,
        )
    return find_problems(
        video=delivery.video,
        provider=provider,
        creator=creator,
        mode=delivery.publish_mode,
        options=delivery.publish_options,
    )


def _look_at_creator(delivery: Delivery) -> CreatorInfo | None:
    if delivery.publish_mode is PublishMode.INBOX:
        return None
    take(delivery.connection, Operation.CREATOR)
    reached("before creator_info")
    with attempt(delivery, "creator"):
        info = creator_info_for(delivery.connection, force=True)
    reached("after creator_info")
    return info


def _start_job(delivery: Delivery) -> None:
    plan = provider_for(delivery.connection.provider).plan_chunks(delivery.video.total_bytes)
    options = delivery.publish_options

    def start(client: Client) -> PublishJob:
        return client.start_upload(mode=delivery.publish_mode, plan=plan, options=options)

    with attempt(delivery, "start", announced=True, chunks=plan.count, total_bytes=plan.total_bytes) as row:
        reached("start announced")
        job = call(delivery.connection, start)
        reached("start answered")
        row.detail["publish_id"] = job.publish_id
        delivery.advance(
            DeliveryState.UPLOADING,
            publish_id=job.publish_id,
            upload_url=seal(delivery, "upload_url", job.upload_url),
            upload_expires_at=Now() + (job.upload_expires_in or DEFAULT_UPLOAD_LIFE),
            total_bytes=plan.total_bytes,
            chunk_size=plan.chunk_size,
            chunk_count=plan.count,
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
    reached("start committed")
    ending.log_outcome(delivery, "started", publish_id=delivery.publish_id, chunks=plan.count)
