"""The records of the stand-in: plain data, JSON all the way down, so that each can be written as one row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

ALL_SCOPES = (
    "user.info.basic",
    "user.info.profile",
    "user.info.stats",
    "video.list",
    "video.upload",
    "video.publish",
)
SANDBOX_KEY_PREFIX = "sb"
"""Keys of TikTok's own app sandboxes begin so; such an app admits its target users only."""

FINAL = {"PUBLISH_COMPLETE", "SEND_TO_USER_INBOX", "FAILED"}


@dataclass
class Record:
    """Something that is stored under `kind` and `key()`."""

    kind: ClassVar[str]

    def key(self) -> str:
        raise NotImplementedError  # pragma: no cover


@dataclass
class App(Record):
    """A registered client of the API."""

    kind = "app"
    client_key: str
    client_secret: str
    name: str = "Demo app"
    platform: str = "desktop"
    redirect_uris: list[str] = field(default_factory=list)
    scopes: list[str] = field(default_factory=lambda: list(ALL_SCOPES))
    webhook_url: str = ""
    approved: bool = True
    verified_domains: list[str] = field(default_factory=list)
    verified_prefixes: list[str] = field(default_factory=list)

    def key(self) -> str:
        return self.client_key

    @property
    def is_sandbox(self) -> bool:
        return self.client_key.startswith(SANDBOX_KEY_PREFIX)


@dataclass
class Creator(Record):
    """A TikTok account and the choices its owner made in the TikTok app."""

    kind = "creator"
    handle: str
    nickname: str = ""
    note: str = ""
    bio: str = ""
    private: bool = False
    comment_disabled: bool = False
    duet_disabled: bool = False
    stitch_disabled: bool = False
    max_duration_seconds: int = 600
    banned: bool = False
    target: bool = True
    verified: bool = False
    app_version: str = "40.1"
    daily_post_cap: int | None = None
    posts_elsewhere: int = 0
    drafts_elsewhere: int = 0
    next_failure: str = ""
    followers: int = 0
    following: int = 0
    likes: int = 0

    def key(self) -> str:
        return self.handle

    def privacy_options(self) -> list[str]:
        """What this creator may choose, in TikTok's order.

        https://developers.tiktok.com/doc/content-posting-api-reference-query-creator-info
        """
        first = "FOLLOWER_OF_CREATOR" if self.private else "PUBLIC_TO_EVERYONE"
        return [first, "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]


@dataclass
class Grant(Record):
    """One creator's consent to one app."""

    kind = "grant"
    client_key: str
    handle: str
    open_id: str
    scopes: list[str]
    created_at: float
    active: bool = True
    consents: int = 0
    refreshes: int = 0

    def key(self) -> str:
        return f"{self.client_key}|{self.handle}"


@dataclass
class Token(Record):
    """An access or refresh token, known by its SHA-256 only."""

    kind = "token"
    digest: str
    purpose: str
    grant: str
    scopes: list[str]
    expires_at: float
    issued_at: float
    dead: str = ""

    def key(self) -> str:
        return self.digest


@dataclass
class Task(Record):
    """One publish task, from init to its end."""

    kind = "task"
    publish_id: str
    client_key: str
    handle: str
    mode: str
    media: str
    source: str
    created_at: float
    status: str
    post_info: dict[str, Any] = field(default_factory=dict)
    fail_reason: str = ""
    changed_at: float = 0.0
    # File upload
    upload_id: str = ""
    upload_token: str = ""
    upload_expires_at: float = 0.0
    video_size: int = 0
    chunk_size: int = 0
    total_chunk_count: int = 0
    stored_bytes: int = 0
    content_type: str = ""
    chunks: list[dict[str, Any]] = field(default_factory=list)
    # Pull from URL
    urls: list[str] = field(default_factory=list)
    cover_index: int = 0
    # The media as it stands
    files: list[dict[str, Any]] = field(default_factory=list)
    sha256: str = ""
    # What comes next: processing ends at this time; None while nothing is due
    due_at: float | None = None
    posts: list[str] = field(default_factory=list)

    def key(self) -> str:
        return self.publish_id

    @property
    def publish_type(self) -> str:
        return "DIRECT_PUBLISH" if self.mode == "direct" else "INBOX_SHARE"

    @property
    def is_open(self) -> bool:
        return self.status not in FINAL


@dataclass
class Post(Record):
    """Something that stands on a creator's profile."""

    kind = "post"
    post_id: str
    publish_id: str
    client_key: str
    handle: str
    media: str
    created_at: float
    caption: str
    privacy: str
    title: str = ""
    disable_comment: bool = False
    disable_duet: bool = False
    disable_stitch: bool = False
    is_aigc: bool = False
    brand_content: bool = False
    brand_organic: bool = False
    auto_add_music: bool = False
    cover_timestamp_ms: int = 0
    files: list[dict[str, Any]] = field(default_factory=list)
    size: int = 0
    sha256: str = ""
    duration: int = 0
    width: int = 0
    height: int = 0
    announced_at: float | None = None
    """When moderation passed and the id became known; only ever set while the post is public."""
    available_at: float | None = None
    """When moderation will have passed."""
    deleted: bool = False

    def key(self) -> str:
        return self.post_id


@dataclass
class Hook(Record):
    """One event on its way to an app's webhook URL."""

    kind = "hook"
    hook_id: str
    client_key: str
    url: str
    event: str
    body: str
    created_at: float
    next_at: float | None
    state: str = "pending"
    attempts: list[dict[str, Any]] = field(default_factory=list)

    def key(self) -> str:
        return self.hook_id
