"""A delivery said to a person: what is happening, how far it is, what it came to, and what can be done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from connections.providers import provider_for
from connections.providers.base import Provider, PublishMode
from publishing import scanning
from publishing.models import Delivery
from publishing.notifying import finishing
from publishing.progress import Progress, read_progress
from publishing.states import EDGES, WORKING, DeliveryState, HoldReason

NO_WORKER_AFTER = timedelta(seconds=15)
"""A row that is due and was not claimed for this long means that no worker is running."""

_S = DeliveryState
_REACHED = {
    _S.SCHEDULED: 0,
    _S.PREPARING: 0,
    _S.UPLOADING: 1,
    _S.PROCESSING: 2,
    _S.IN_INBOX: 3,
    _S.PUBLISHED: 4,
}
_POLL_SECONDS = {_S.IN_INBOX: 10, _S.HELD: 3, _S.PUBLISHED: 5}


@dataclass(frozen=True)
class Step:
    """One station of the way: its name, and "done", "now", "failed" or "" for yet to come."""

    name: str
    status: str


@dataclass(frozen=True)
class Bar:
    """A progress bar: `sent` of `total` bytes, or no figures while nobody can know."""

    title: str
    sent: int | None = None
    total: int | None = None


@dataclass(frozen=True)
class Link:
    """Where to look at the result."""

    words: str
    url: str


@dataclass(frozen=True)
class Panel:
    """All that the panel of one delivery shows. `tone` is "info", "success", "warning" or "danger"."""

    delivery: Delivery
    platform: str
    headline: str
    sentences: tuple[str, ...]
    tone: str
    steps: tuple[Step, ...]
    bar: Bar | None = None
    links: tuple[Link, ...] = ()
    next_try_at: datetime | None = None
    poll_seconds: int | None = None

    @property
    def can_retry(self) -> bool:
        """Whether it may be sent again."""
        return _S.SCHEDULED in EDGES[DeliveryState(self.delivery.state)] and not self.source_removed_at

    @property
    def source_removed_at(self) -> datetime | None:
        """When the source video was deleted; without it nothing can be sent again."""
        video = self.delivery.post.video
        return video.source_removed_at if video else None

    @property
    def needs_new_upload(self) -> bool:
        """Whether it could be sent again if the source were still there."""
        return self.source_removed_at is not None and self.delivery.state in {_S.FAILED, _S.CANCELED}

    @property
    def wants_other_media(self) -> bool:
        """Whether a new post with the same words is a way on: this one ended without being published."""
        return self.delivery.state in {_S.FAILED, _S.CANCELED}

    @property
    def can_cancel(self) -> bool:
        """Whether stopping it still makes sense."""
        is_too_late = self.delivery.is_pulled and self.delivery.committed_at is not None
        return (
            self.delivery.is_open
            and self.delivery.cancel_requested_at is None
            and not is_too_late
            and not self.is_unconfirmed
        )

    @property
    def is_unconfirmed(self) -> bool:
        """Whether it may already be posted, so that sending it again may post it twice."""
        return self.delivery.state == _S.HELD and self.delivery.hold_reason == HoldReason.UNCONFIRMED

    @property
    def needs_reconnect(self) -> bool:
        """Whether connecting the account again is what helps."""
        return self.delivery.state == _S.HELD and self.delivery.hold_reason == HoldReason.RECONNECT

    @property
    def is_inbox(self) -> bool:
        """Whether it goes to the creator's inbox."""
        return self.delivery.mode == PublishMode.INBOX.value

    @property
    def wants_caption(self) -> bool:
        """Whether the creator has yet to put the caption in by hand: a draft of a video comes without it."""
        post, is_out = self.delivery.post, self.delivery.state == _S.PUBLISHED
        return self.is_inbox and bool(post.caption) and not post.is_photo and not is_out

    @property
    def privacy(self) -> str:
        """The chosen visibility in words."""
        level = self.delivery.options.get("privacy_level", "")
        return str(provider_for(self.delivery.connection.provider).privacy_labels.get(level, level))

    @property
    def allowed(self) -> str:
        """What viewers may do with it."""
        table = (("allow_comment", "comments"), ("allow_duet", "duets"), ("allow_stitch", "stitches"))
        words = [word for name, word in table if self.delivery.options.get(name)]
        nothing = "No comments" if self.delivery.post.is_photo else "No comments, duets or stitches"
        return ", ".join(words).capitalize() or nothing

    @property
    def labels(self) -> str:
        """The labels that it carries."""
        options = self.delivery.options
        paid, own = options.get("is_paid_partnership"), options.get("is_own_brand")
        words = ["Paid partnership"] if paid else ["Promotional content"] if own else []
        words += ["AI-generated"] if options.get("is_ai_generated") else []
        return ", ".join(words)

    @property
    def has_ids(self) -> bool:
        """Whether there is a code to quote when asking for help."""
        return bool(self.delivery.reason_code or self.delivery.reason_log_id or self.delivery.publish_id)


def describe(delivery: Delivery, *, now: datetime) -> Panel:
    """Say how `delivery` stands at `now`. Its post, video and connection are loaded with it."""
    provider = provider_for(delivery.connection.provider)
    words = _WORDS[DeliveryState(delivery.state)](delivery, provider, now)
    waits_until = _waits_until(delivery, now)
    return Panel(
        delivery=delivery,
        platform=provider.label,
        headline=words.headline,
        sentences=words.sentences,
        tone=words.tone,
        steps=_steps(delivery, provider),
        bar=words.bar,
        links=words.links,
        next_try_at=waits_until if delivery.reason_message else None,
        poll_seconds=_poll_seconds(delivery),
    )


@dataclass(frozen=True)
class _Words:
    headline: str
    sentences: tuple[str, ...] = ()
    tone: str = "info"
    bar: Bar | None = None
    links: tuple[Link, ...] = ()


def _waits_until(delivery: Delivery, now: datetime) -> datetime | None:
    is_at_work = delivery.state in WORKING or delivery.state == _S.SCHEDULED
    return delivery.wake_at if is_at_work and delivery.wake_at and delivery.wake_at > now else None


def _poll_seconds(delivery: Delivery) -> int | None:
    """How often the open page asks, None where nothing more will happen by itself."""
    if delivery.state in WORKING or delivery.state == _S.SCHEDULED:
        return 1
    if delivery.state == _S.PUBLISHED and delivery.wake_at is None:
        return None
    return _POLL_SECONDS.get(DeliveryState(delivery.state))


def _reason(delivery: Delivery) -> tuple[str, ...]:
    return tuple(part for part in (delivery.reason_message, delivery.reason_next_step) if part)


def _scheduled(delivery: Delivery, provider: Provider, now: datetime) -> _Words:
    if delivery.reason_message:
        return _Words("Waiting to try again", _reason(delivery), "warning", Bar("Waiting"))
    if delivery.post.scheduled_at and delivery.post.scheduled_at > now:
        return _Words("Scheduled", ("It is sent by itself when its time comes.",))
    since = max(filter(None, (delivery.wake_at, delivery.state_changed_at)))
    if now - since > NO_WORKER_AFTER:
        return _Words(
            "Waiting for a worker",
            ("No worker has taken it up yet. It is safe here and goes on by itself as soon as one runs.",),
            "warning",
            Bar("Waiting"),
        )
    return _Words("Queued", ("It is taken up in a moment.",), bar=Bar("Waiting"))


def _preparing(delivery: Delivery, provider: Provider, now: datetime) -> _Words:
    if delivery.reason_code == scanning.WAITS:
        return _Words("Waiting for the malware check", _reason(delivery), "warning", Bar("Waiting"))
    if delivery.reason_message:
        return _Words("Waiting to try again", _reason(delivery), "warning", Bar("Waiting"))
    return _Words(
        "Preparing",
        (f"Checking the account with {provider.label} and starting the upload.",),
        bar=Bar("Preparing"),
    )


def _uploading(delivery: Delivery, provider: Provider, now: datetime) -> _Words:
    progress: Progress = read_progress(delivery)
    bar = Bar(f"Sent to {provider.label}", progress.sent_bytes, progress.total_bytes)
    if delivery.cancel_requested_at and not delivery.committed_at:
        return _Words("Stopping", ("It is canceled before the last part is sent.",), "warning", bar)
    if delivery.reason_message:
        return _Words("Waiting to go on", _reason(delivery), "warning", bar)
    return _Words(
        f"Sending to {provider.label}", ("You can close this page; it goes on without it.",), bar=bar
    )


def _processing(delivery: Delivery, provider: Provider, now: datetime) -> _Words:
    since = now - delivery.state_changed_at
    if delivery.is_pulled and (delivery.sent_bytes < delivery.total_bytes or delivery.cancel_requested_at):
        return _fetching(delivery, provider)
    bar = Bar(f"{provider.label} is processing the {_noun(delivery)}")
    sentences: tuple[str, ...] = (
        f"All {_megabytes(delivery.total_bytes)} are with {provider.label}, which has been at it for {_span(since)}. "
        f"{_expectation(delivery.total_bytes)}",
    )
    if delivery.is_pulled and delivery.committed_at:
        sentences = (
            "It was too late to cancel. Once it is posted, you can delete it in the app.",
            *sentences,
        )
    if delivery.reason_message:
        return _Words(f"{provider.label} is processing", (*sentences, *_reason(delivery)), "warning", bar)
    return _Words(f"{provider.label} is processing", sentences, bar=bar)


def _fetching(delivery: Delivery, provider: Provider) -> _Words:
    """The platform downloads from here; the figures are those that it gave last."""
    bar = Bar(f"Fetched by {provider.label}", delivery.sent_bytes, delivery.total_bytes)
    if delivery.cancel_requested_at:
        asked = f"{provider.label} is asked to stop. In a moment this page says whether that was in time."
        return _Words("Stopping", (asked,), "warning", bar)
    sentence = f"{provider.label} downloads the {_noun(delivery)} from here. You can close this page."
    if delivery.reason_message:
        return _Words(f"{provider.label} is downloading", (sentence, *_reason(delivery)), "warning", bar)
    return _Words(f"{provider.label} is downloading", (sentence,), bar=bar)


def _noun(delivery: Delivery) -> str:
    return "photos" if delivery.post.is_photo else "video"


def _expectation(total_bytes: int) -> str:
    """What is usual for a file of this size.

    Source: https://developers.tiktok.com/doc/content-posting-api-reference-get-video-status
    """
    usual = "half a minute" if total_bytes < 512_000_000 else "one to three minutes"
    return f"This usually takes up to {usual}; checks of the content can take longer, now and then hours."


def _published(delivery: Delivery, provider: Provider, now: datetime) -> _Words:
    username = delivery.account_username or delivery.connection.username
    if delivery.platform_post_ids:
        ids = delivery.platform_post_ids
        links = tuple(
            Link(
                f"Open on {provider.label}" if len(ids) == 1 else f"Open post {number} on {provider.label}",
                provider.post_url(username, post_id),
            )
            for number, post_id in enumerate(ids, start=1)
        )
        return _Words(f"Published on {provider.label}", tone="success", links=_real(links))
    profile = _real((Link("Open the profile", provider.profile_url(username)),))
    if delivery.wake_at is not None:
        words = f"{provider.label} has not given the post's own address yet, so this leads to the profile for now."
    else:
        words = f"{provider.label} gives an address only to public posts, so this leads to the profile."
    return _Words(f"Published on {provider.label}", (words,), "success", links=profile)


def _in_inbox(delivery: Delivery, provider: Provider, now: datetime) -> _Words:
    return _Words(
        f"The draft is in the {provider.label} inbox",
        (
            f"Open {provider.label} → Inbox to finish: {finishing(delivery)}.",
            "Once that is done, this page says so.",
        ),
        "success",
    )


def _failed(delivery: Delivery, provider: Provider, now: datetime) -> _Words:
    sentences = _reason(delivery) or (f"{provider.label} gave no reason.",)
    return _Words("Not published", sentences, "danger")


def _canceled(delivery: Delivery, provider: Provider, now: datetime) -> _Words:
    if delivery.committed_at:
        return _Words(
            "Canceled",
            (f"{provider.label} had the whole video by then, so look at the profile: it may be there.",),
        )
    return _Words("Canceled", ("Nothing was posted. You can send it after all.",))


def _held(delivery: Delivery, provider: Provider, now: datetime) -> _Words:
    links: tuple[Link, ...] = ()
    if delivery.waits_for_a_look:
        username = delivery.account_username or delivery.connection.username
        links = _real((Link("Open the profile", provider.profile_url(username)),))
    return _Words(HoldReason(delivery.hold_reason).label, _reason(delivery), "warning", links=links)


_WORDS = {
    _S.SCHEDULED: _scheduled,
    _S.PREPARING: _preparing,
    _S.UPLOADING: _uploading,
    _S.PROCESSING: _processing,
    _S.PUBLISHED: _published,
    _S.IN_INBOX: _in_inbox,
    _S.FAILED: _failed,
    _S.CANCELED: _canceled,
    _S.HELD: _held,
}


def _real(links: tuple[Link, ...]) -> tuple[Link, ...]:
    return tuple(link for link in links if link.url)


def _steps(delivery: Delivery, provider: Provider) -> tuple[Step, ...]:
    end = "In the inbox" if delivery.mode == PublishMode.INBOX.value else "Published"
    way = f"Download by {provider.label}" if delivery.is_pulled else f"Sending to {provider.label}"
    names = ("Preparing", way, "Processing", end)
    reached = _reached(delivery)
    now = {_S.FAILED: "failed", _S.CANCELED: ""}.get(DeliveryState(delivery.state), "now")
    return tuple(
        Step(name, "done" if place < reached else now if place == reached else "")
        for place, name in enumerate(names)
    )


def _reached(delivery: Delivery) -> int:
    """Index of the station it is at; 4 is behind the last."""
    if delivery.state == _S.IN_INBOX:
        return 4
    if delivery.state == _S.PROCESSING and delivery.is_pulled and delivery.sent_bytes < delivery.total_bytes:
        return 1
    if delivery.state in _REACHED:
        return _REACHED[DeliveryState(delivery.state)]
    if delivery.committed_at or (delivery.total_bytes and delivery.sent_bytes >= delivery.total_bytes):
        return 2
    return 1 if delivery.publish_id else 0


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _span(length: timedelta) -> str:
    seconds = max(int(length.total_seconds()), 0)
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
