"""How pages write playing times and spans of time."""

from __future__ import annotations

from datetime import timedelta

from django import template

from accounts.models import Workspace
from publishing import quota, scanning
from publishing.models import Photo, Video
from publishing.preflight import format_duration

register = template.Library()


@register.filter
def playing_time(duration: timedelta | None) -> str:
    """Write a playing time: 12.5 s, 1:05 min, 1:02:03 h."""
    return "" if duration is None else format_duration(duration)


@register.filter
def storage_usage(workspace: Workspace) -> quota.Usage:
    """Count what a workspace keeps."""
    return quota.read_usage(workspace)


@register.filter
def room_left(workspace: Workspace) -> int | None:
    """How many bytes may still come, None where nothing limits them."""
    usage = quota.read_usage(workspace)
    return usage.left_bytes if usage.is_limited else None


@register.filter
def scan_wait(media: Video | Photo) -> str:
    """Say why a file is held back for the malware scanner, "" if it is not."""
    return scanning.explain_wait(media)


@register.filter
def megabytes_of(sent_bytes: int, total_bytes: int) -> str:
    """Write how much of a file was sent, in powers of ten: "32.4 of 70.0 MB", "16 of 58 kB"."""
    if total_bytes < 999_500:
        return f"{sent_bytes / 1e3:.0f} of {total_bytes / 1e3:.0f} kB"
    return f"{sent_bytes / 1e6:.1f} of {total_bytes / 1e6:.1f} MB"
