"""What the rest of the product may ask of a provider, in the product's own words.

A provider is a folder beside this file. Only it knows the platform's URLs, field names and codes; everything here is
neutral. Clients know no models, settings, clock or retries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True)
class TokenGrant:
    """What a provider gives for a code or a refresh token. Lifetimes are remaining time, as it states them."""

    account_id: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: timedelta
    refresh_expires_in: timedelta | None
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class Profile:
    """A creator's public profile. What the granted scopes do not cover is empty or None."""

    account_id: str
    union_id: str = ""
    display_name: str = ""
    username: str = ""
    avatar_url: str = ""
    bio: str = ""
    profile_url: str = ""
    is_verified: bool | None = None
    follower_count: int | None = None
    following_count: int | None = None
    likes_count: int | None = None
    video_count: int | None = None


@dataclass(frozen=True)
class CreatorInfo:
    """What a creator may choose and do right now when posting directly."""

    nickname: str
    username: str
    avatar_url: str
    privacy_levels: tuple[str, ...]
    is_comment_disabled: bool
    is_duet_disabled: bool
    is_stitch_disabled: bool
    max_duration: timedelta | None


class PublishMode(StrEnum):
    """Where a video goes: straight to the profile, or to the creator's inbox as a draft."""

    DIRECT = "direct"
    INBOX = "inbox"


@dataclass(frozen=True)
class PublishOptions:
    """What the creator chose for one post. A video's draft takes none of it, a photo post's draft only the texts.

    `title`, `adds_music` and `cover_index` (from 0) are for photo posts, whose `caption` is the description below the
    title; duet, stitch and `cover_timestamp_ms` are for videos.
    """

    caption: str = ""
    title: str = ""
    privacy_level: str = ""
    allow_comment: bool = False
    allow_duet: bool = False
    allow_stitch: bool = False
    is_own_brand: bool = False
    is_paid_partnership: bool = False
    is_ai_generated: bool = False
    cover_timestamp_ms: int | None = None
    adds_music: bool = False
    cover_index: int = 0


@dataclass(frozen=True)
class Chunk:
    """A byte range of the file, sent in one request. `first` is counted from 0, `last` is inclusive."""

    index: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """Bytes in this chunk."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class ChunkPlan:
    """How a file of `total_bytes` is cut: `count` chunks of `chunk_size` bytes, the last one taking the remainder."""

    total_bytes: int
    chunk_size: int
    count: int

    def chunk(self, index: int) -> Chunk:
        """Return chunk `index`. Raises IndexError outside 0 … count - 1."""
        if not 0 <= index < self.count:
            raise IndexError(f"chunk {index} of {self.count}")
        first = index * self.chunk_size
        last = self.total_bytes - 1 if index == self.count - 1 else first + self.chunk_size - 1
        return Chunk(index=index, first=first, last=last)

    def chunks(self) -> tuple[Chunk, ...]:
        """All chunks in order."""
        return tuple(self.chunk(index) for index in range(self.count))

    def boundary_at(self, stored_bytes: int) -> int:
        """Return the byte at which the chunk begins that holds the first byte missing after `stored_bytes`."""
        return next(chunk.first for chunk in reversed(self.chunks()) if chunk.first <= stored_bytes)

    def index_at(self, offset: int) -> int:
        """Return the index of the chunk that starts at byte `offset`. Raises ValueError if none does."""
        for chunk in self.chunks():
            if chunk.first == offset:
                return chunk.index
        raise ValueError(f"no chunk starts at byte {offset}")


@dataclass(frozen=True)
class PublishJob:
    """A publish job that the provider accepted. `upload_url` carries a secret: never log it."""

    publish_id: str
    upload_url: str = field(repr=False, default="")
    upload_expires_in: timedelta | None = None


@dataclass(frozen=True)
class ChunkReceipt:
    """The provider's answer to a chunk: what it holds (None if it did not say), and whether that is the whole file."""

    is_complete: bool
    stored_bytes: int | None


class PublishPhase(StrEnum):
    """How far a publish job has got."""

    UPLOADING = "uploading"  # waiting for bytes, or processing them: the platform uses one word for both
    DOWNLOADING = "downloading"
    IN_INBOX = "in_inbox"
    PUBLISHED = "published"
    FAILED = "failed"


class FailureClass(StrEnum):
    """What may be done after the platform refused a video while processing it."""

    RETRY = "retry"  # the platform's own fault, or a pull that failed: a new job may work
    PERMANENT = "permanent"  # this video or caption will be refused again
    CAP = "cap"  # not today
    REAUTHORIZE = "reauthorize"  # the creator removed the app
    CANCELED = "canceled"


@dataclass(frozen=True)
class PublishStatus:
    """The provider's answer to "how far is it?". `post_ids` are strings; empty until (or unless) the post is public."""

    phase: PublishPhase
    failure: FailureClass | None = None
    fail_reason: str = ""
    stored_bytes: int | None = None
    post_ids: tuple[str, ...] = ()
    log_id: str = ""


@dataclass(frozen=True)
class PlatformVideo:
    """A video on the creator's profile, as the platform lists it."""

    id: str
    title: str
    description: str
    share_url: str
    cover_url: str
    created_at_epoch_s: int
    duration: timedelta | None
    view_count: int | None = None
    like_count: int | None = None
    comment_count: int | None = None
    share_count: int | None = None


@dataclass(frozen=True)
class VideoPage:
    """One page of a creator's videos; `cursor` fetches the next one."""

    videos: tuple[PlatformVideo, ...]
    cursor: int
    has_more: bool


@dataclass(frozen=True)
class Explanation:
    """A code of the platform, said to a creator: what happened, and what to do next."""

    message: str
    next_step: str


@dataclass(frozen=True)
class VideoRules:
    """Which files a platform takes. Containers and codecs by their usual short names, sides in pixels."""

    containers: tuple[str, ...]
    video_codecs: tuple[str, ...]
    min_frame_rate: int
    max_frame_rate: int
    min_side_px: int
    max_side_px: int


@dataclass(frozen=True)
class PhotoRules:
    """Which photos a platform takes. Formats by their short names, sides in pixels, lengths as the platform counts."""

    formats: tuple[str, ...]
    max_count: int
    max_bytes: int
    max_short_side_px: int
    max_long_side_px: int
    title_limit: int
    description_limit: int


@dataclass(frozen=True)
class ConsentText:
    """A sentence to be shown beside the publish button: `opening`, then the links, joined by "and", and a full stop."""

    opening: str
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PostingRules:
    """What a platform asks a posting page to say, word for word, and the choices that exclude each other.

    `private_levels` are the privacy levels that a paid partnership may not have; a post of one of the `public_levels`
    gets an id that anybody can look up.
    """

    consent: ConsentText
    paid_partnership_consent: ConsentText
    own_brand_label: str
    paid_partnership_label: str
    disclosure_incomplete: str
    paid_partnership_not_private: str
    private_levels: frozenset[str]
    public_levels: frozenset[str]
    inbox_note: str
    photo_inbox_note: str


class Operation(StrEnum):
    """A call whose number a platform limits for each account."""

    START = "start"
    CREATOR = "creator"
    STATUS = "status"


@dataclass(frozen=True)
class RateLimit:
    """At most `amount` calls in any window of `period`."""

    amount: int
    period: timedelta


class WebhookKind(StrEnum):
    """What an event of a platform is about."""

    PUBLISH = "publish"  # a publish job or the post it became; the platform's status is what counts
    AUTHORIZATION_REMOVED = "authorization_removed"
    OTHER = "other"  # nothing that we act on
    UNREADABLE = "unreadable"  # truly from the platform, and not in the documented form


@dataclass(frozen=True)
class WebhookNotice:
    """What a platform told by a webhook. Text that it left out is empty; `name` is one spelling of several.

    `occurred_at` is the platform's own time in whole seconds. `message` says to people why an authorization ended, and
    `is_own_doing` that we may have ended it ourselves.
    """

    kind: WebhookKind
    name: str = ""
    account_id: str = ""
    occurred_at: datetime | None = None
    publish_id: str = ""
    post_id: str = ""
    message: str = ""
    is_own_doing: bool = False


class WebhookRefusedError(Exception):
    """What was received is not to be believed. The text is a constant, for logs: it holds nothing that was received.

    `is_signed` says whether the signature was right and something else was wrong.
    """

    def __init__(self, message: str, *, is_signed: bool) -> None:
        super().__init__(message)
        self.is_signed = is_signed


class WebhookReceiver(Protocol):
    """The side of a provider that its webhooks arrive at. It reads and judges; it stores and decides nothing."""

    def read(self, *, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookNotice:
        """Check the signature over the raw `body`, then read it. `headers` ignore case.

        Raises WebhookRefusedError for what is forged, too old or not for this app.
        """
        ...


class Authorizer(Protocol):
    """The OAuth side of a provider: needs the app's credentials, no user token."""

    def authorize_url(self, *, state: str, code_verifier: str | None) -> str: ...

    def exchange_code(self, *, code: str, code_verifier: str | None) -> TokenGrant: ...

    def refresh(self, *, refresh_token: str) -> TokenGrant: ...

    def revoke(self, *, access_token: str) -> None: ...


class Client(Protocol):
    """What a provider does for one account. Every method raises ProviderError and its kinds, and nothing else."""

    def fetch_profile(self) -> Profile: ...

    def fetch_creator(self) -> CreatorInfo: ...

    def start_upload(self, *, mode: PublishMode, plan: ChunkPlan, options: PublishOptions) -> PublishJob: ...

    def start_pull(self, *, mode: PublishMode, video_url: str, options: PublishOptions) -> PublishJob:
        """Have the platform fetch a video. Unlike `start_upload` it must not be repeated blindly: this is the post."""
        ...

    def start_photos(
        self, *, mode: PublishMode, photo_urls: Sequence[str], options: PublishOptions
    ) -> PublishJob:
        """Have the platform fetch photos, in this order. Must not be repeated blindly either."""
        ...

    def fetch_status(self, publish_id: str) -> PublishStatus: ...

    def cancel(self, publish_id: str) -> None: ...

    def list_videos(self, *, cursor: int | None = None, limit: int = 20) -> VideoPage: ...

    def query_videos(self, video_ids: Sequence[str]) -> tuple[PlatformVideo, ...]: ...


class Provider(Protocol):
    """A platform. One instance for each, made from settings by `connections.providers.provider_for`."""

    name: str
    label: str
    scope_labels: Mapping[str, str]
    required_scopes: frozenset[str]
    publish_scopes: Mapping[PublishMode, str]
    privacy_labels: Mapping[str, str]
    caption_limit: int
    max_video_bytes: int
    rate_limits: Mapping[Operation, RateLimit]
    longest_call: timedelta
    """The longest that one call may take until it ends or times out; sending a chunk is no such call."""
    video_rules: VideoRules
    photo_rules: PhotoRules
    posting_rules: PostingRules

    @property
    def is_configured(self) -> bool: ...

    @property
    def uses_pkce(self) -> bool: ...

    @property
    def redirect_uri(self) -> str: ...

    @property
    def pull_url_prefix(self) -> str:
        """Where the platform may fetch media of ours, "" if the operator has not proven any address to be ours."""
        ...

    @property
    def pulls_videos(self) -> bool:
        """Whether the platform shall fetch videos, too, rather than be sent them."""
        ...

    @property
    def requested_scopes(self) -> tuple[str, ...]: ...

    def authorizer(self) -> Authorizer: ...

    def for_sign_in(self, redirect_uri: str) -> Provider:
        """Return this provider as one that only asks who somebody is, and sends them back to `redirect_uri`."""
        ...

    def webhook_receiver(self) -> WebhookReceiver: ...

    def client(self, *, access_token: str, scopes: Iterable[str]) -> Client: ...

    def new_code_verifier(self) -> str: ...

    def caption_length(self, text: str) -> int:
        """Length of `text` as the platform counts it, to compare with `caption_limit`."""
        ...

    def plan_chunks(self, total_bytes: int) -> ChunkPlan:
        """Return a legal plan. Raises ValueError for a size that the platform does not take."""
        ...

    def send_chunk(
        self,
        *,
        upload_url: str,
        chunk: Chunk,
        total_bytes: int,
        content_type: str,
        blocks: Iterable[bytes | memoryview],
    ) -> ChunkReceipt:
        """Send one chunk, reading `blocks` as the socket takes them; needs no token.

        Raises UploadRangeError, UploadExpiredError, RejectedError, TransportError; whatever `blocks` raises passes
        through unchanged, with the connection closed.
        """
        ...

    def profile_url(self, username: str) -> str: ...

    def post_url(self, username: str, post_id: str) -> str: ...

    def explain(self, code: str) -> Explanation:
        """Say a refusal or fail reason in a creator's words; unknown codes get a general, honest sentence."""
        ...
