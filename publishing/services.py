"""What people and programs may do with posts: the use cases behind pages, admin, command line and API."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models.functions import Coalesce, Now

from accounts import audit
from accounts.models import User, Workspace
from config.faultpoints import reached
from connections.models import SocialConnection
from connections.providers.base import PublishMode
from publishing import ending
from publishing.attempts import note
from publishing.dispatch import ring_on_commit
from publishing.models import (
    Delivery,
    IllegalTransitionError,
    Photo,
    Post,
    PostKind,
    StaleTransitionError,
    Video,
)
from publishing.notifying import advance_and_tell
from publishing.sources import require_source
from publishing.states import DeliveryState, HoldReason


class CancelOutcome(StrEnum):
    """What became of a wish to cancel."""

    CANCELED = "canceled"  # nothing was posted, and nothing will be
    STOPPING = "stopping"  # a worker is at it and will stop before the last block
    ASKED = "asked"  # the platform is fetching the files, and is asked to stop
    TOO_LATE = "too_late"  # all bytes are out; only the platform decides now


def create_post(
    *,
    workspace: Workspace,
    user: User | None,
    video: Video,
    connection: SocialConnection,
    caption: str,
    mode: PublishMode,
    options: dict[str, Any],
    submission_key: uuid.UUID | None = None,
    scheduled_at: datetime | None = None,
) -> Post:
    """Create a post with one delivery, due now or at `scheduled_at`, and ring for it on commit.

    May be called twice with one `submission_key`: the second call returns the first one's post. Raises ValueError if
    the video or the connection belongs to another workspace, SourceRemovedError if the video's file was deleted.
    """
    if not video.workspace_id == connection.workspace_id == workspace.pk:
        raise ValueError("video, connection and post must share a workspace")
    key = submission_key or uuid.uuid4()
    with transaction.atomic():
        post, is_new = Post.objects.get_or_create(
            workspace=workspace,
            submission_key=key,
            defaults={"video": video, "caption": caption, "created_by": user, "scheduled_at": scheduled_at},
        )
        if is_new:
            require_source(post)
            _deliver(post, connection, mode, options, total_bytes=video.total_bytes, user=user)
    return post


def create_photo_post(
    *,
    workspace: Workspace,
    user: User | None,
    photos: Sequence[Photo],
    connection: SocialConnection,
    title: str,
    caption: str,
    mode: PublishMode,
    options: dict[str, Any],
    submission_key: uuid.UUID | None = None,
    scheduled_at: datetime | None = None,
) -> Post:
    """Create a post of `photos`, in this order, as `create_post` does of a video. `caption` stands below the title.

    Raises ValueError if a photo or the connection belongs to another workspace, or a photo to another post.
    """
    if {connection.workspace_id, *(photo.workspace_id for photo in photos)} != {workspace.pk}:
        raise ValueError("photos, connection and post must share a workspace")
    with transaction.atomic():
        post, is_new = Post.objects.get_or_create(
            workspace=workspace,
            submission_key=submission_key or uuid.uuid4(),
            defaults={
                "kind": PostKind.PHOTO,
                "title": title,
                "caption": caption,
                "created_by": user,
                "scheduled_at": scheduled_at,
            },
        )
        if is_new:
            for position, photo in enumerate(photos):
                if not workspace.photos.filter(pk=photo.pk, post=None).update(post=post, position=position):
                    raise ValueError(f"photo {photo.pk} belongs to another post")
            total_bytes = sum(photo.total_bytes for photo in photos)
            _deliver(post, connection, mode, options, total_bytes=total_bytes, user=user)
    return post


def _deliver(
    post: Post,
    connection: SocialConnection,
    mode: PublishMode,
    options: dict[str, Any],
    *,
    total_bytes: int,
    user: User | None,
) -> None:
    left_out = {"caption", "title"} | (set() if post.is_photo else {"adds_music", "cover_index"})
    delivery = Delivery.objects.create(
        workspace_id=post.workspace_id,
        post=post,
        connection=connection,
        mode=mode.value,
        options={name: value for name, value in options.items() if name not in left_out},
        total_bytes=total_bytes,
        wake_at=post.scheduled_at or Now(),
    )
    _note_person(delivery, "created", "post.created", user)
    reached("confirming")
    if post.scheduled_at is None:
        ring_on_commit(delivery)


def retry_delivery(*, delivery: Delivery, user: User | None) -> None:
    """Start a failed, canceled or held delivery anew; one whose job is unconfirmed is thereby sent again.

    One that is held for another reason while its job may become a post goes on with that job instead: nobody was asked
    whether it is there already. Raises IllegalTransitionError from any other state, StaleTransitionError if it just
    changed, SourceRemovedError if the video's file was deleted meanwhile.
    """
    with transaction.atomic():
        Delivery.objects.select_for_update().filter(
            pk=delivery.pk
        ).first()  # a removal of the file waits, or we do
        require_source(delivery.post)
        if _has_a_job_to_go_on_with(delivery):
            _go_on(delivery)
        else:
            delivery.advance(
                DeliveryState.SCHEDULED,
                **(ending.stopped() | {"wake_at": Now()}),
                **_fresh(),
            )
        _note_person(delivery, "retried", "post.retried", user)
        ring_on_commit(delivery)


def _has_a_job_to_go_on_with(delivery: Delivery) -> bool:
    is_asked = delivery.hold_reason == HoldReason.UNCONFIRMED
    return delivery.state == DeliveryState.HELD and not is_asked and delivery.may_be_posted


def cancel_delivery(*, delivery: Delivery, user: User | None) -> CancelOutcome:
    """Stop a delivery if that is still possible, and say so truly if not.

    A free row is canceled at once. A row in a worker's hands gets the wish, which the worker honors before it lets the
    last block go; that and the wish exclude each other in the database. One that is held while it may be posted is
    canceled here alone, and says so: its account may be gone for good. Raises IllegalTransitionError at an end state.
    """
    if not delivery.is_open:
        raise IllegalTransitionError(f"delivery {delivery.pk} is {delivery.state}")
    with transaction.atomic():
        row = Delivery.objects.select_for_update().get(pk=delivery.pk)
        if not row.is_open:
            raise IllegalTransitionError(f"delivery {row.pk} is {row.state}")
        is_held = row.state == DeliveryState.HELD
        if row.committed_at and not is_held:
            return CancelOutcome.TOO_LATE
        if row.is_pulled and not is_held:
            return _ask_to_cancel(row, user)
        if _is_leased(row):
            # Awake too: a worker that meets a cap just now would else let the wish lie for an hour.
            Delivery.objects.filter(pk=row.pk).update(cancel_requested_at=Now(), wake_at=Now())
            _note_person(row, "asked to cancel", "post.canceled", user)
            return CancelOutcome.STOPPING
        _note_person(row, "canceled", "post.canceled", user)
        if is_held and (row.may_be_posted or row.hold_reason == HoldReason.UNCONFIRMED):
            # It may be there, and `committed_at` is what that is told from.
            row.record(committed_at=Coalesce("committed_at", Now()))
        ending.cancel(row)
    delivery.refresh_from_db()
    return CancelOutcome.CANCELED


def _ask_to_cancel(row: Delivery, user: User | None) -> CancelOutcome:
    """Once the platform was asked to fetch, it alone can say whether there is still time; the row gets its answer."""
    Delivery.objects.filter(pk=row.pk).update(cancel_requested_at=Now(), wake_at=Now())
    _note_person(row, "asked to cancel", "post.canceled", user)
    ring_on_commit(row)
    return CancelOutcome.ASKED


def mark_as_posted(*, delivery: Delivery, user: User | None) -> None:
    """A person looked at the profile and says that it is there. Only for one that is held while it may be posted.

    Raises IllegalTransitionError otherwise.
    """
    if not delivery.waits_for_a_look:
        raise IllegalTransitionError(f"delivery {delivery.pk} is {delivery.state}, and not in doubt")
    with transaction.atomic():
        advance_and_tell(
            delivery,
            DeliveryState.PUBLISHED,
            told_by=user,
            published_at=Now(),
            **ending.stopped(),
            **ending.unexplained(),
        )
        _note_person(delivery, "marked as posted", "post.marked_as_posted", user)


def _note_person(delivery: Delivery, words: str, action: str, user: User | None) -> None:
    """Put a person's deed into the post's timeline and into the audit log."""
    note(delivery, "person", words, by=str(user or ""), by_id=str(user.pk) if user else "")
    audit.record(
        action,
        workspace=delivery.workspace_id,
        actor=user,
        outcome=words,
        post=delivery.post_id,
        delivery=delivery.pk,
        connection=delivery.connection_id,
    )


def resume_held(connection: SocialConnection) -> int:
    """Let what waited for `connection` go on from where it was; return how many."""
    held = Delivery.objects.filter(
        connection=connection, state=DeliveryState.HELD, hold_reason=HoldReason.RECONNECT
    ).select_related("connection")
    resumed = 0
    for delivery in held:
        try:
            _go_on(delivery)
        except StaleTransitionError:
            continue
        note(delivery, "person", "resumed", message="The account was connected again")
        ring_on_commit(delivery)
        resumed += 1
    return resumed


def hold_open(connection: SocialConnection) -> int:
    """Hold what is open for `connection` and in nobody's hands; a worker finds out by itself. Return how many."""
    rows = (
        Delivery.objects.open()
        .exclude(state=DeliveryState.HELD)
        .filter(connection=connection, lease_token=None)
    )
    held = 0
    told: set[uuid.UUID | None] = set()  # one notice for each creator, however many posts wait
    for delivery in rows.select_related("connection", "workspace", "post"):
        creator_id = delivery.post.created_by_id
        try:
            ending.hold_for_reconnect(delivery, is_quiet=creator_id in told)
        except StaleTransitionError:
            continue
        told.add(creator_id)
        held += 1
    return held


def _go_on(delivery: Delivery) -> None:
    """Let a held delivery go on from where it was. Raises StaleTransitionError."""
    delivery.advance(
        DeliveryState(delivery.held_from or DeliveryState.SCHEDULED),
        **(ending.stopped() | {"wake_at": _resumed_wake(delivery)}),
        **ending.unexplained(),
    )


def _resumed_wake(delivery: Delivery) -> Any:
    if delivery.held_from == DeliveryState.SCHEDULED and delivery.post.scheduled_at:
        return delivery.post.scheduled_at
    return Now()


def _is_leased(delivery: Delivery) -> bool:
    return Delivery.objects.filter(pk=delivery.pk, lease_until__gt=Now()).exists()


def _fresh() -> dict[str, Any]:
    return {
        "publish_id": "",
        "upload_url": "",
        "upload_expires_at": None,
        "sent_bytes": 0,
        "chunk_size": 0,
        "chunk_count": 0,
        "job_count": 0,
        "poll_count": 0,
        "cancel_requested_at": None,
        "committed_at": None,
        "pull_requested_at": None,
        "platform_post_ids": [],
        **ending.unexplained(),
    }
