"""The diary of a delivery, said to a person: what was tried, when, and how it ended."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from publishing.models import Attempt

_TITLES: dict[str, Callable[[Attempt, str], str]] = {
    "refresh": lambda attempt, platform: "Renewed the access to the account",
    "creator": lambda attempt, platform: "Checked what the account may post",
    "start": lambda attempt, platform: _start_title(attempt, platform),
    "chunk": lambda attempt, platform: _chunk_title(attempt),
    "resume": lambda attempt, platform: f"Asked {platform} where to go on",
    "status": lambda attempt, platform: f"Asked {platform} how far it is",
    "cancel": lambda attempt, platform: f"Asked {platform} to cancel",
    "engine": lambda attempt, platform: "Something unforeseen happened here",
}
_DEEDS = {
    "created": "Confirmed by {who}",
    "retried": "Sent again by {who}",
    "canceled": "Canceled by {who}",
    "asked to cancel": "{who} asked to cancel",
    "marked as posted": "Marked as posted by {who}",
    "resumed": "Went on after the account was connected again",
}
_GOOD = {"ok", "published", "in_inbox"}
_UNDER_WAY = {"uploading", "downloading", "processing"}


@dataclass(frozen=True)
class Entry:
    """One line of the timeline. `tone` is "ok", "warning", "danger", "now" or ""."""

    pk: uuid.UUID
    title: str
    outcome: str
    tone: str
    started_at: datetime
    finished_at: datetime | None
    repeat_count: int
    sent_bytes: int | None
    message: str
    code: str
    log_id: str
    http_status: int | None

    @property
    def took(self) -> str:
        """How long it took, where that says something: "12.3 s", else empty."""
        if self.finished_at is None or self.repeat_count > 1:
            return ""
        seconds = (self.finished_at - self.started_at).total_seconds()
        return f"{seconds:.1f} s" if seconds >= 0.1 else ""

    @property
    def has_details(self) -> bool:
        """Whether there is more to tell than the line says."""
        return bool(self.message or self.code or self.log_id or self.http_status)


def tell_attempt(attempt: Attempt, *, platform: str, is_over: bool = True) -> Entry:
    """Say one attempt; `is_over` is False for one that may still be running."""
    return Entry(
        pk=attempt.pk,
        title=_title(attempt, platform),
        outcome=_outcome(attempt, platform, is_over=is_over),
        tone=_tone(attempt, is_over=is_over),
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
        repeat_count=attempt.repeat_count,
        sent_bytes=attempt.detail.get("bytes") if attempt.step == "chunk" else None,
        message=attempt.message,
        code=attempt.code,
        log_id=attempt.log_id,
        http_status=attempt.http_status,
    )


def _start_title(attempt: Attempt, platform: str) -> str:
    files = attempt.detail.get("files")
    if files is None:
        return f"Announced the video to {platform}"
    return f"Asked {platform} to fetch {'the file' if files == 1 else f'{files} files'}"


def _chunk_title(attempt: Attempt) -> str:
    index, of = attempt.detail.get("index"), attempt.detail.get("of")
    if index is None or of is None:
        return "Sent a part of the video"
    return "Sent the video" if of == 1 else f"Sent part {index + 1} of {of}"


def _title(attempt: Attempt, platform: str) -> str:
    if attempt.step == "person":
        who = str(attempt.detail.get("by") or "") or "the command line"
        return _DEEDS.get(attempt.outcome, attempt.outcome.capitalize()).format(who=who)
    say = _TITLES.get(attempt.step)
    return say(attempt, platform) if say else attempt.step.capitalize()


def _outcome(attempt: Attempt, platform: str, *, is_over: bool) -> str:
    if attempt.step == "person":
        return ""
    if not attempt.outcome:
        return "Cut off" if is_over else "Under way"
    if attempt.step in {"status", "resume"} and attempt.outcome in _UNDER_WAY:
        return "Still processing" if attempt.step == "status" else "Goes on from there"
    known = {
        "ok": "Done",
        "published": "Published",
        "in_inbox": "In the inbox",
        "failed": f"Refused by {platform}",
        "Transport": "Failed: no answer arrived",
        "Unreachable": f"Failed: {platform} could not be reached",
        "Response": f"Failed: {platform}'s answer could not be read",
        "Upload": f"Failed: {platform} did not take it",
    }
    return known.get(attempt.outcome, f"Failed: {attempt.outcome}")


def _tone(attempt: Attempt, *, is_over: bool) -> str:
    if attempt.step == "person" or (attempt.step in {"status", "resume"} and attempt.outcome in _UNDER_WAY):
        return ""
    if not attempt.outcome:
        return "warning" if is_over else "now"
    if attempt.outcome in _GOOD:
        return "ok"
    return "danger" if attempt.outcome == "failed" else "warning"
