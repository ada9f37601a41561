"""Videos, posts and deliveries for operators: look, search, retry, cancel. What happened is never edited by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import User
from publishing import services
from publishing.models import (
    Attempt,
    Delivery,
    IllegalTransitionError,
    Photo,
    Post,
    StaleTransitionError,
    Video,
    WorkspaceQuota,
)
from publishing.preflight import format_gigabytes
from publishing.quota import read_usage
from publishing.services import CancelOutcome

ATTEMPT_FIELDS = (
    "step",
    "started_at",
    "finished_at",
    "outcome",
    "code",
    "http_status",
    "log_id",
    "message",
    "detail",
    "repeat_count",
)
DELIVERY_FIELDS = ("connection", "mode", "state", "state_changed_at", "reason_code", "wake_at")
CANCEL_WORDS = {
    CancelOutcome.CANCELED: "canceled",
    CancelOutcome.STOPPING: "stopping: the worker cancels it before the last part",
    CancelOutcome.TOO_LATE: "too late: the platform has the whole video",
}


class RecordAdmin(admin.ModelAdmin):
    """Shows rows that only the product itself may write."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows come from people's posts."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """History stays."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """All that is shown."""
        shown = [name for _, options in self.get_fieldsets(request, obj) for name in options["fields"]]
        return [str(name) for name in shown]


def _link(row: Model, words: str) -> SafeString:
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', url, words)


class AttemptInline(admin.TabularInline):
    """The timeline, the newest first."""

    model = Attempt
    fields = ATTEMPT_FIELDS
    readonly_fields = ATTEMPT_FIELDS
    ordering = ["-started_at"]
    extra = 0
    can_delete = False
    show_change_link = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Attempts are written by the engine."""
        return False


class DeliveryInline(admin.TabularInline):
    """Where a post goes."""

    model = Delivery
    fields = DELIVERY_FIELDS
    readonly_fields = DELIVERY_FIELDS
    ordering = ["created_at"]
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deliveries come with their post."""
        return False


@admin.register(Delivery)
class DeliveryAdmin(RecordAdmin):
    """One post on its way to one account."""

    list_display = ["short_id", "workspace", "connection", "state", "mode", "progress", "reason_code"]
    list_display += ["wake_at", "tries", "state_changed_at"]
    list_filter = [
        "state",
        "hold_reason",
        "mode",
        "reason_code",
        ("workspace", admin.RelatedOnlyFieldListFilter),
    ]
    list_select_related = ["workspace", "connection"]
    search_fields = ["id", "publish_id", "reason_log_id", "reason_code", "account_username", "post__caption"]
    search_fields += ["attempts__log_id", "workspace__slug", "workspace__name"]
    search_help_text = "Id, publish id, log id, code, handle, caption or workspace"
    ordering = ["-created_at"]
    date_hierarchy = "created_at"
    actions = ["retry", "cancel"]
    inlines = [AttemptInline]
    fieldsets = [
        (None, {"fields": ["id", "workspace", "post_link", "connection", "mode", "options", "created_at"]}),
        (
            "State",
            {
                "fields": [
                    "state",
                    "state_changed_at",
                    "hold_reason",
                    "held_from",
                    "reason_code",
                    "reason_log_id",
                    "reason_message",
                    "reason_next_step",
                    "cancel_requested_at",
                ]
            },
        ),
        (
            "Queue",
            {
                "fields": [
                    "wake_at",
                    "rung_at",
                    "lease_token",
                    "lease_until",
                    "claim_count",
                    "tries",
                    "poll_count",
                ]
            },
        ),
        (
            "Upload",
            {
                "fields": [
                    "publish_id",
                    "job_count",
                    "upload_expires_at",
                    "total_bytes",
                    "sent_bytes",
                    "chunk_size",
                    "chunk_count",
                    "committed_at",
                ]
            },
        ),
        ("Result", {"fields": ["published_at", "platform_post_ids", "account_username"]}),
    ]

    @admin.display(description="id", ordering="pk")
    def short_id(self, delivery: Delivery) -> str:
        """The id's last part, which differs where the first is a time."""
        return str(delivery.pk)[-12:]

    @admin.display(description="sent")
    def progress(self, delivery: Delivery) -> str:
        """Bytes that were committed as sent."""
        return f"{delivery.sent_bytes / 1e6:.1f} of {delivery.total_bytes / 1e6:.1f} MB"

    @admin.display(description="post")
    def post_link(self, delivery: Delivery) -> SafeString:
        """The post, to go to."""
        return _link(delivery.post, str(delivery.post))

    @admin.action(description="Retry", permissions=["change"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Start each again, as its people could."""

        def act(delivery: Delivery, user: User | None) -> str:
            services.retry_delivery(delivery=delivery, user=user)
            return "started again"

        self._each(request, queryset, act)

    @admin.action(description="Cancel", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Stop each that can still be stopped."""

        def act(delivery: Delivery, user: User | None) -> str:
            return CANCEL_WORDS[services.cancel_delivery(delivery=delivery, user=user)]

        self._each(request, queryset, act)

    def _each(
        self, request: HttpRequest, rows: QuerySet[Delivery], act: Callable[[Delivery, User | None], str]
    ) -> None:
        """Do it row by row, and say how often it came to what."""
        user = request.user if isinstance(request.user, User) else None
        outcomes: Counter[str] = Counter()
        for delivery in rows:
            try:
                outcomes[act(delivery, user)] += 1
            except IllegalTransitionError:
                outcomes[f"left alone, being {delivery.get_state_display().lower()}"] += 1
            except StaleTransitionError:
                outcomes["left alone, having just changed"] += 1
        words = "; ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
        self.message_user(request, f"{words}.", messages.INFO)


@admin.register(Post)
class PostAdmin(RecordAdmin):
    """What somebody wanted published."""

    list_display = ["__str__", "workspace", "created_by", "created_at", "scheduled_at"]
    list_filter = [("workspace", admin.RelatedOnlyFieldListFilter), "created_at"]
    list_select_related = ["workspace", "created_by"]
    search_fields = [
        "id",
        "caption",
        "created_by__email",
        "workspace__slug",
        "workspace__name",
        "video__original_name",
    ]
    ordering = ["-created_at"]
    date_hierarchy = "created_at"
    inlines = [DeliveryInline]
    fields = [
        "id",
        "workspace",
        "kind",
        "video_link",
        "title",
        "caption",
        "scheduled_at",
        "created_by",
        "created_at",
        "submission_key",
    ]

    @admin.display(description="video")
    def video_link(self, post: Post) -> SafeString:
        """The video, to go to."""
        return _link(post.video, str(post.video)) if post.video else format_html("{}", "photos")


@admin.register(Video)
class VideoAdmin(RecordAdmin):
    """A file, and what probing found."""

    list_display = [
        "original_name",
        "workspace",
        "size",
        "container",
        "video_codec",
        "dimensions",
        "created_at",
    ]
    list_filter = ["container", "video_codec", ("workspace", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["workspace"]
    search_fields = [
        "id",
        "original_name",
        "sha256",
        "workspace__slug",
        "workspace__name",
        "uploaded_by__email",
    ]
    ordering = ["-created_at"]
    date_hierarchy = "created_at"
    fields = [
        "id",
        "workspace",
        "original_name",
        "stored_as",
        "content_type",
        "total_bytes",
        "sha256",
        "duration_ms",
        "width",
        "height",
        "frame_rate",
        "container",
        "video_codec",
        "audio_codec",
        "scan_state",
        "scan_signature",
        "scanned_at",
        "uploaded_by",
        "created_at",
    ]

    @admin.display(description="stored as")
    def stored_as(self, video: Video) -> str:
        """The file's name in the storage; no link, since files are for the workspace's members."""
        there = video.file.storage.exists(str(video.file.name))
        return f"{video.file.name}{'' if there else ' (gone from the storage)'}"

    @admin.display(description="size", ordering="total_bytes")
    def size(self, video: Video) -> str:
        """In powers of ten, as the pages say it."""
        return f"{video.total_bytes / 1e6:.1f} MB"

    @admin.display(description="picture")
    def dimensions(self, video: Video) -> str:
        """Width and height."""
        return f"{video.width} × {video.height}"


@admin.register(Photo)
class PhotoAdmin(RecordAdmin):
    """One picture of a post."""

    list_display = ["original_name", "workspace", "post", "position", "total_bytes", "created_at"]
    list_filter = [("workspace", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["workspace", "post"]
    search_fields = ["id", "original_name", "sha256", "workspace__slug", "workspace__name"]
    ordering = ["-created_at"]
    date_hierarchy = "created_at"
    fields = [
        "id",
        "workspace",
        "post",
        "position",
        "original_name",
        "content_type",
        "total_bytes",
        "sha256",
        "width",
        "height",
        "scan_state",
        "scan_signature",
        "scanned_at",
        "uploaded_by",
        "created_at",
    ]


@admin.register(WorkspaceQuota)
class WorkspaceQuotaAdmin(admin.ModelAdmin):
    """What single workspaces may keep; for all others WORKSPACE_QUOTA_BYTES holds."""

    list_display = ["workspace", "allowed", "used"]
    list_select_related = ["workspace"]
    search_fields = ["workspace__slug", "workspace__name"]
    autocomplete_fields = ["workspace"]
    fields = ["workspace", "allowed_bytes"]

    @admin.display(description="may keep", ordering="allowed_bytes")
    def allowed(self, row: WorkspaceQuota) -> str:
        """In powers of ten, as the pages say it."""
        return format_gigabytes(row.allowed_bytes) if row.allowed_bytes else "No limit"

    @admin.display(description="keeps")
    def used(self, row: WorkspaceQuota) -> str:
        """What it keeps now."""
        return format_gigabytes(read_usage(row.workspace).used_bytes)
