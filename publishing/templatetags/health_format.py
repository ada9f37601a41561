"""How the health pages write figures."""

from __future__ import annotations

from datetime import timedelta

from django import template

register = template.Library()


@register.filter
def short_span(length: timedelta | float) -> str:
    """Write a span of time, given as such or in seconds, in its largest unit: "12 s", "5 min", "3 h", "2 d"."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(seconds, 0):.0f} s"


@register.filter
def workers_running(count: int) -> str:
    """Say how many worker processes run."""
    return f"{count} running"
