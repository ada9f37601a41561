"""What and when: the video, what to say with it, and its way to each account."""

from __future__ import annotations

import time
import uuid
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Case, DateTimeField, F, Q, Value, When
from django.db.models.functions import Now

from accounts.models import TenantModel, Workspace
from accounts.scopes import System, system_scope
from connections.crypto import EncryptedTextField
from connections.models import SocialConnection
from connections.providers.base import ChunkPlan, PublishMode, PublishOptions
from publishing.scannable import Scannable, scan_queue, scan_state_known
from publishing.states import EDGES, OPEN, STOPPED, DeliveryState, HoldReason


class IllegalTransitionError(Exception):
    """There is no edge between the two states: what was asked makes no sense for this delivery now."""


class StaleTransitionError(Exception):
    """The row or its lease changed hands since it was read."""


def video_path(video: Video, filename: str) -> str:
    """Return where a video's file is stored: by workspace and id, never under a name that a person chose."""
    suffix = filename.rsplit(".", 1)[-1].lower() if "." in filename else "mp4"
    return f"videos/{video.workspace_id}/{video.pk}.{suffix if suffix in {'mp4', 'mov', 'webm'} else 'mp4'}"


def poster_path(video: Video, _filename: str) -> str:
    """Return where a video's poster frame is stored."""
    return f"posters/{video.workspace_id}/{video.pk}.jpg"


class Video(Scannable, TenantModel):
    """A file, and what probing found in it."""

    workspace = models.ForeignKey(
        Workspace,
        on_delete=models.CASCADE,
        related_name="videos",
        db_index=False,  # key_by_workspace makes one
    )
    file = models.FileField(upload_to=video_path, blank=True, max_length=200)
    original_name = models.CharField(max_length=255)
    content_type = models.CharField(max_length=40)
    total_bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    duration_ms = models.PositiveIntegerField(null=True)
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    frame_rate = models.FloatField(null=True)
    container = models.CharField(max_length=20, blank=True)
    video_codec = models.CharField(max_length=20, blank=True)
    audio_codec = models.CharField(max_length=20, blank=True)
    poster = models.FileField(upload_to=poster_path, blank=True, max_length=200)
    source_removed_at = models.DateTimeField(
        null=True, blank=True, help_text="When the file was deleted after publishing; the poster stays."
    )
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="video_not_empty", condition=Q(total_bytes__gt=0)),
            models.CheckConstraint(
                name="video_has_file_or_date", condition=~Q(file="") | Q(source_removed_at__isnull=False)
            ),
            scan_state_known("video"),
        ]
        indexes = [scan_queue("video")]

    def __str__(self) -> str:
        return self.original_name

    @property
    def duration(self) -> timedelta | None:
        """Playing time, None if probing could not tell."""
        return None if self.duration_ms is None else timedelta(milliseconds=self.duration_ms)


class PostKind(models.TextChoices):
    """What a post shows."""

    VIDEO = "video", "Video"
    PHOTO = "photo", "Photos"


class Post(TenantModel):
    """What a creator wants published: one video, or photos. Of photos the caption is the text below the title."""

    workspace = models.ForeignKey(
        Workspace,
        on_delete=models.CASCADE,
        related_name="posts",
        db_index=False,  # key_by_workspace makes one
    )
    kind = models.CharField(max_length=5, choices=PostKind, default=PostKind.VIDEO)
    video = models.ForeignKey(Video, on_delete=models.PROTECT, null=True, blank=True, related_name="posts")
    title = models.CharField(max_length=90, blank=True, help_text="Of photos only.")
    caption = models.TextField(blank=True)
    scheduled_at = models.DateTimeField(null=True, blank=True, help_text="Empty: publish at once.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    submission_key = models.UUIDField(
        default=uuid.uuid4,
        editable=False,
        help_text="One for each form shown, so that a double click is one post.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(name="post_one_per_submission", fields=["workspace", "submission_key"]),
            models.CheckConstraint(
                name="post_kind_fits_video",
                condition=Q(kind="video", video__isnull=False) | Q(kind="photo", video__isnull=True),
            ),
        ]
        indexes = [models.Index(name="post_newest_first", fields=["workspace", "-created_at"])]

    def __str__(self) -> str:
        return (self.title or self.caption)[:60] or f"Post of {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def is_photo(self) -> bool:
        """Whether it shows photos."""
        return self.kind == PostKind.PHOTO

    @property
    def name(self) -> str:
        """What to call it: the first words that somebody gave it."""
        return self.title or self.caption or (self.video.original_name if self.video else "Photos")


def photo_path(photo: Photo, filename: str) -> str:
    """Return where a photo's file is stored: by workspace and id, never under a name that a person chose."""
    suffix = filename.rsplit(".", 1)[-1].lower()
    return f"photos/{photo.workspace_id}/{photo.pk}.{suffix if suffix in {'jpg', 'webp'} else 'jpg'}"


class Photo(Scannable, TenantModel):
    """One picture of a photo post, at its `position` (from 0). One without a post waits for its form to be sent."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="photos")
    post = models.ForeignKey(Post, on_delete=models.CASCADE, null=True, blank=True, related_name="photos")
    position = models.PositiveSmallIntegerField(default=0)
    file = models.FileField(upload_to=photo_path, max_length=200)
    original_name = models.CharField(max_length=255)
    content_type = models.CharField(max_length=40)
    total_bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="photo_not_empty", condition=Q(total_bytes__gt=0)),
            scan_state_known("photo"),
            models.UniqueConstraint(
                name="photo_one_per_position",
                fields=["post", "position"],
                condition=Q(post__isnull=False),
            ),
        ]
        indexes = [scan_queue("photo")]

    def __str__(self) -> str:
        return self.original_name


class WorkspaceQuota(TenantModel):
    """How many bytes of videos and photos one workspace may keep, where that differs from WORKSPACE_QUOTA_BYTES."""

    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, related_name="storage_quota")
    allowed_bytes = models.BigIntegerField(help_text="0: no limit for this workspace.")

    class Meta:
        constraints = [models.CheckConstraint(name="quota_not_negative", condition=Q(allowed_bytes__gte=0))]

    def __str__(self) -> str:
        return f"quota of {self.workspace_id}"


class StorageReservation(TenantModel):
    """Bytes that an upload under way will need. One that nobody renews is forgotten: its process died."""

    total_bytes = models.BigIntegerField()
    renewed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="reservation_not_negative", condition=Q(total_bytes__gte=0))
        ]

    def __str__(self) -> str:
        return f"{self.total_bytes} bytes of {self.workspace_id}"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Which deliveries."""

    def due(self) -> Self:
        """What the engine may take now, by the database's clock: awake, and held by nobody."""
        return self.filter(Q(lease_until=None) | Q(lease_until__lte=Now()), wake_at__lte=Now())

    def open(self) -> Self:
        """Those not at an end yet."""
        return self.filter(state__in=OPEN)

    @system_scope(System.CLAIM)
    def claim(self, pk: uuid.UUID, *, lease: timedelta) -> Delivery | None:
        """Take one due row for one worker and return it as it now stands, or None if it is not free."""
        token = uuid.uuid4()
        taken = (
            self.due()
            .filter(pk=pk)
            .update(
                lease_token=token, lease_until=Now() + lease, rung_at=None, claim_count=F("claim_count") + 1
            )
        )
        if not taken:
            return None
        row = self.select_related("post__video", "connection", "workspace").annotate(read_at=Now()).get(pk=pk)
        row.read_tick = time.monotonic()
        return row


class Delivery(TenantModel):
    """One post on its way to one connection: the unit of work, and a state machine.

    `wake_at` is when the engine must next touch the row, NULL when nobody must. `lease_token` and `lease_until` are the
    claim of the worker at it. `upload_url` carries a secret and is stored sealed.
    """

    workspace = models.ForeignKey(
        Workspace,
        on_delete=models.CASCADE,
        related_name="deliveries",
        db_index=False,  # key_by_workspace makes one
    )
    post = models.ForeignKey(Post, on_delete=models.CASCADE, related_name="deliveries")
    connection = models.ForeignKey(SocialConnection, on_delete=models.PROTECT, related_name="deliveries")
    mode = models.CharField(max_length=10, default=PublishMode.DIRECT.value)
    options = models.JSONField(default=dict, help_text="Privacy, interaction and disclosure choices.")

    state = models.CharField(max_length=12, choices=DeliveryState, default=DeliveryState.SCHEDULED)
    state_changed_at = models.DateTimeField(db_default=Now())
    wake_at = models.DateTimeField(null=True, blank=True)
    rung_at = models.DateTimeField(null=True, blank=True)
    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    claim_count = models.PositiveIntegerField(default=0)
    tries = models.PositiveIntegerField(default=0, help_text="Failures in a row in this state.")
    poll_count = models.PositiveIntegerField(default=0)

    publish_id = models.CharField(max_length=64, blank=True)
    upload_url = EncryptedTextField(blank=True)
    upload_expires_at = models.DateTimeField(null=True, blank=True)
    total_bytes = models.BigIntegerField(default=0)
    chunk_size = models.BigIntegerField(default=0)
    chunk_count = models.PositiveIntegerField(default=0)
    sent_bytes = models.BigIntegerField(default=0)
    job_count = models.PositiveIntegerField(default=0, help_text="Publish jobs started, this one included.")

    platform_post_ids = models.JSONField(default=list)
    account_username = models.CharField(max_length=64, blank=True)
    held_from = models.CharField(max_length=12, choices=DeliveryState, blank=True)
    hold_reason = models.CharField(max_length=16, choices=HoldReason, blank=True)
    reason_code = models.CharField(max_length=80, blank=True, help_text="The platform's code.")
    reason_log_id = models.CharField(max_length=80, blank=True)
    reason_message = models.CharField(max_length=400, blank=True, help_text="In a creator's words.")
    reason_next_step = models.CharField(max_length=400, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    committed_at = models.DateTimeField(
        null=True, blank=True, help_text="When the last byte went out: from here on it cannot be canceled."
    )
    pull_requested_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the platform was asked to fetch the files; written before that. It may be posted since.",
    )
    published_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DeliveryQuerySet.as_manager()

    read_at: datetime  # of a claimed row: the database's time at the claim, and our monotonic clock's
    read_tick: float

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                name="delivery_one_per_post_and_connection", fields=["post", "connection"]
            ),
            models.CheckConstraint(name="delivery_state_known", condition=Q(state__in=DeliveryState.values)),
            models.CheckConstraint(
                name="delivery_sent_fits_total", condition=Q(sent_bytes__lte=F("total_bytes"))
            ),
            models.CheckConstraint(
                name="delivery_mode_known", condition=Q(mode__in=[mode.value for mode in PublishMode])
            ),
            models.CheckConstraint(
                name="delivery_hold_has_reason", condition=~Q(state="held") | ~Q(hold_reason="")
            ),
        ]
        indexes = [
            models.Index(name="delivery_queue", fields=["wake_at"], condition=Q(wake_at__isnull=False)),
            models.Index(name="delivery_newest_first", fields=["workspace", "-created_at"]),
            models.Index(name="delivery_by_state", fields=["state", "workspace"]),
            models.Index(name="delivery_by_publish_id", fields=["publish_id"], condition=~Q(publish_id="")),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk} ({self.state})"

    @property
    def video(self) -> Video:
        """The post's video. Raises ValueError for photos."""
        if self.post.video is None:
            raise ValueError(f"delivery {self.pk} has photos, no video")
        return self.post.video

    @property
    def publish_options(self) -> PublishOptions:
        """What the creator chose, as the provider takes it."""
        return PublishOptions(caption=self.post.caption, title=self.post.title, **self.options)

    @property
    def chunk_plan(self) -> ChunkPlan:
        """The plan that was committed when the job was started."""
        return ChunkPlan(total_bytes=self.total_bytes, chunk_size=self.chunk_size, count=self.chunk_count)

    @property
    def publish_mode(self) -> PublishMode:
        """Direct post or inbox draft."""
        return PublishMode(self.mode)

    @property
    def is_open(self) -> bool:
        """Whether it is not at an end yet."""
        return self.state in OPEN

    @property
    def may_be_posted(self) -> bool:
        """Whether the last byte may be with the platform, so that only its word may say that nothing was posted."""
        return self.state == DeliveryState.PROCESSING or self.committed_at is not None or self.is_pulled

    @property
    def waits_for_a_look(self) -> bool:
        """Whether it is held while it may be posted: a person who finds it on the profile can say so."""
        is_asked = self.hold_reason == HoldReason.UNCONFIRMED
        return self.state == DeliveryState.HELD and (is_asked or self.may_be_posted)

    @property
    def is_pulled(self) -> bool:
        """Whether the platform was asked to fetch the files, and may have posted them since."""
        return self.pull_requested_at is not None

    @property
    def age(self) -> timedelta:
        """How long a claimed row has been in its state, by the database's clock: this machine's may be wrong."""
        return max(self._database_now() - self.state_changed_at, timedelta(0))

    def _database_now(self) -> datetime:
        """The database's time, without asking it again since the claim."""
        return self.read_at + timedelta(seconds=time.monotonic() - self.read_tick)

    def may_become(self, state: DeliveryState) -> bool:
        """Whether the graph has an edge from here to `state`."""
        return state in EDGES[DeliveryState(self.state)]

    def advance(self, to: DeliveryState, **changes: Any) -> None:
        """Follow one edge of the graph, writing `changes` with it. A held lease stays held.

        Raises IllegalTransitionError if there is no such edge, StaleTransitionError if the row or its lease changed
        hands since it was read.
        """
        if not self.may_become(to):
            raise IllegalTransitionError(f"delivery {self.pk}: {self.state} -> {to}")
        self._write(state=to, state_changed_at=Now(), tries=0, **changes)
        if hasattr(self, "read_at"):  # spares the question for `age`
            self.state_changed_at = self._database_now()

    def record(self, **changes: Any) -> None:
        """Write `changes` without changing the state. Raises StaleTransitionError as `advance` does."""
        self._write(**changes)

    def release(self, *, wake_in: timedelta | None, **changes: Any) -> None:
        """Hand the row back, to be woken after `wake_in` (None: by nobody), or at once if it was woken meanwhile.

        Raises StaleTransitionError.
        """
        wake_at = None if wake_in is None else Now() + wake_in
        self._write(lease_token=None, lease_until=None, rung_at=None, wake_at=wake_at, **changes)

    def renew(self, lease: timedelta) -> None:
        """Keep the row for another `lease` from now. Raises StaleTransitionError if it was lost."""
        self._write(lease_until=Now() + lease)

    def _write(self, **changes: Any) -> None:
        if self.lease_token is not None and changes.get("lease_token", self.lease_token) is None:
            changes["wake_at"] = self._wake_after_lease(changes)
        ours = Delivery.objects.filter(pk=self.pk, state=self.state, lease_token=self.lease_token)
        if not ours.update(**changes):
            raise StaleTransitionError(f"delivery {self.pk} is no longer {self.state} in these hands")
        for name, value in changes.items():
            if hasattr(value, "resolve_expression"):
                self.__dict__.pop(name, None)  # deferred: read again from the database when somebody asks
            else:
                setattr(self, name, value)

    def _wake_after_lease(self, changes: dict[str, Any]) -> Any:
        """`wake_at` stands still under a lease. If it moved, somebody has news that we may have asked too early for.

        Decided by the statement that lets go of the row, so that no waking falls between.
        """
        planned = changes.get("wake_at", self.wake_at)
        if changes.get("state", self.state) in STOPPED:
            return planned
        if not hasattr(planned, "resolve_expression"):
            planned = Value(planned, output_field=DateTimeField())
        return Case(When(wake_at=self.wake_at, then=planned), default=Now(), output_field=DateTimeField())


WENT_WRONG = ~Q(step__in=["person", "webhook"]) & ~Q(
    outcome__in=["", "ok", "published", "in_inbox", "uploading", "downloading"]
)
"""The attempts that did not do what they should: what the health page counts. Also the condition of its index."""


class AttemptQuerySet(models.QuerySet["Attempt"]):
    """Which attempts."""

    def went_wrong(self) -> Self:
        """Those whose outcome is an error: the platform's, the network's or ours."""
        return self.filter(WENT_WRONG)


class Attempt(TenantModel):
    """One step tried on a delivery, and its outcome. An unfinished one was cut off by a death."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    step = models.CharField(max_length=20, help_text="refresh, creator, start, chunk, status, cancel, person")
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(
        max_length=80, blank=True, help_text="ok, or what went wrong in a word. Empty: unfinished."
    )
    code = models.CharField(max_length=80, blank=True)
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)
    log_id = models.CharField(max_length=80, blank=True)
    message = models.CharField(max_length=500, blank=True, help_text="The platform's words.")
    detail = models.JSONField(default=dict, blank=True)
    repeat_count = models.PositiveIntegerField(default=1, help_text="Equal answers in a row, kept as one.")

    objects = AttemptQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(name="attempt_timeline", fields=["delivery", "started_at"]),
            models.Index(name="attempt_went_wrong", fields=["finished_at"], condition=WENT_WRONG),
        ]

    def __str__(self) -> str:
        return f"{self.step} {self.outcome or 'unfinished'}"
