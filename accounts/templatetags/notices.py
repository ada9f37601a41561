"""What templates show of notices."""

from __future__ import annotations

from typing import Any

from django import template

from accounts.models import Notice, NoticeKind
from accounts.notices import preferences_of

register = template.Library()

_LOOKS = {
    NoticeKind.PUBLISHED: ("success", "success"),
    NoticeKind.FAILED: ("danger", "danger"),
    NoticeKind.HELD: ("warning", "warning"),
    NoticeKind.RECONNECT: ("link", "warning"),
    NoticeKind.ACCESS_ENDING: ("clock", "warning"),
    NoticeKind.EXPORT: ("copy", "success"),
}


@register.filter
def notice_icon(notice: Notice) -> str:
    """The icon of the sprite that stands for this kind."""
    return _LOOKS[NoticeKind(notice.kind)][0]


@register.filter
def notice_tone(notice: Notice) -> str:
    """The tone of its badge: success, warning or danger."""
    return _LOOKS[NoticeKind(notice.kind)][1]


@register.inclusion_tag("accounts/notices_switches.html", takes_context=True)
def notice_switches(context: dict[str, Any]) -> dict[str, Any]:
    """The form with the user's switches: for each kind, on the site and by e-mail."""
    request = context["request"]
    return {
        "switches": [(kind, switches) for kind, switches in preferences_of(request.user).items()],
        "address": request.user.email,
        "unconfirmed_email": context["frame"].unconfirmed_email,
        "csrf_token": context.get("csrf_token"),
    }
