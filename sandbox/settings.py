"""The knobs: everything about the stand-in's behavior that can be changed while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

LIFETIMES = {"legacy": (86_400, 31_536_000), "2026-11": (7_200, 15_552_000)}
"""Seconds that an access and a refresh token live, before and after TikTok's pages of November 2026."""

RATE_LIMITS = {
    "user_info": 600,
    "video_list": 600,
    "video_query": 600,
    "creator_info": 20,
    "video_init": 6,
    "inbox_init": 6,
    "content_init": 6,
    "status": 30,
}
"""Requests a minute for each access token. https://developers.tiktok.com/doc/tiktok-api-v2-rate-limit"""

CHOICES = {
    "profile": {"demo", "strict"},
    "lifetimes": set(LIFETIMES),
    "unfinished_upload": {"fail", "stay"},
    "params_code": {"invalid_params", "invalid_param"},
    "error_data": {"empty", "absent"},
    "log_id_key": {"log_id", "logid"},
    "range_header": {"last_index", "count"},
    "chunk_lengths": {"declared", "any"},
    "non_target_answer": {"redirect", "page"},
    "post_id_type": {"number", "string"},
}


class SettingError(ValueError):
    """A knob that does not exist, or a value that it cannot take."""


@dataclass
class Settings:
    """All knobs with the values of the ``strict`` profile. Durations are seconds."""

    profile: str = "strict"
    # The app's standing with TikTok
    audited: bool = False
    narrow_options_when_unaudited: bool = False
    target_users_only: bool = True
    non_target_answer: str = "redirect"
    auto_auth: bool = True
    # Time
    clock_offset: float = 0.0
    processing_seconds: float = 0.0
    moderation_seconds: float = 0.0
    status_lag_seconds: float = 0.0
    code_seconds: float = 600.0
    upload_url_seconds: float = 3600.0
    pull_seconds: float = 3600.0
    avatar_seconds: float = 7200.0
    cover_seconds: float = 21600.0
    # Tokens
    lifetimes: str = "2026-11"
    access_seconds: int | None = None
    refresh_seconds: int | None = None
    rotation: bool = True
    rotation_restarts_lifetime: bool = True
    oauth_errors_always_200: bool = False
    # Limits and caps
    rate_limits_on: bool = True
    rate_limits: dict[str, int] = field(default_factory=lambda: dict(RATE_LIMITS))
    retry_after: int | None = None
    posts_per_day: int | None = 15
    pending_drafts: int | None = 5
    active_users_unaudited: int | None = 5
    active_users_audited: int | None = 100
    # Shapes that TikTok leaves open
    params_code: str = "invalid_params"
    error_data: str = "empty"
    log_id_key: str = "log_id"
    range_header: str = "last_index"
    chunk_lengths: str = "declared"
    refuse_upload_authorization: bool = True
    upload_bytes_per_second: int | None = None
    unfinished_upload: str = "fail"
    branded_private_accepted: bool = False
    post_id_type: str = "number"
    # Media
    media_checks: bool = False
    keep_bodies: bool = True
    hash_bodies: bool = True
    pull_insecure: bool = False
    # Webhooks
    webhook_timeout_seconds: float = 5.0
    webhook_speed: float = 1.0
    webhook_duplicate: bool = False
    webhook_shuffle: bool = False
    webhook_delay_seconds: float = 0.0

    def token_seconds(self) -> tuple[int, int]:
        """How long a new access and a new refresh token live."""
        access, refresh = LIFETIMES[self.lifetimes]
        return (
            access if self.access_seconds is None else self.access_seconds,
            refresh if self.refresh_seconds is None else self.refresh_seconds,
        )

    def update(self, changes: Mapping[str, Any]) -> None:
        """Set several knobs, all or none. A change of `profile` first takes over that profile's values.

        SettingError: an unknown name, a value of the wrong type, or a word that is no choice.
        """
        checked = {name: _checked(name, value) for name, value in changes.items()}
        if "profile" in checked:
            vars(self).update(PROFILES[checked["profile"]])
        for name, value in checked.items():
            if name == "rate_limits":
                value = {**self.rate_limits, **value}
            setattr(self, name, value)


_DEMO: dict[str, Any] = {
    "audited": True,
    "processing_seconds": 3.0,
    "moderation_seconds": 3.0,
    "posts_per_day": 500,
    "pending_drafts": 50,
    "media_checks": True,
    "pull_insecure": True,
}
PROFILES = {"strict": {name: getattr(Settings(), name) for name in _DEMO}, "demo": _DEMO}
"""What a profile changes. Caps are generous in the demo so that one can play; rate limits hold in both."""

_TAKEN: dict[str, tuple[type, ...]] = {"bool": (bool,), "float": (float, int), "int": (int,), "str": (str,)}
_TYPES = {f.name: str(f.type) for f in fields(Settings)}


def _checked(name: str, value: Any) -> Any:
    kind = _TYPES.get(name)
    if kind is None:
        raise SettingError(f"There is no setting called {name}")
    if name in CHOICES and value not in CHOICES[name]:
        raise SettingError(f"{name} is one of: {', '.join(sorted(CHOICES[name]))}")
    if kind.startswith("dict"):
        return _checked_limits(value)
    if value is None and kind.endswith("None"):
        return None
    wanted = _TAKEN[kind.split(" ")[0]]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise SettingError(f"{name} is a {kind}")
    if isinstance(value, int | float) and value < 0 and name != "clock_offset":
        raise SettingError(f"{name} is not negative")
    return value


def _checked_limits(value: Any) -> dict[str, int]:
    if not isinstance(value, dict) or not set(value) <= set(RATE_LIMITS):
        raise SettingError(f"rate_limits holds requests a minute for: {', '.join(RATE_LIMITS)}")
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in value.values()):
        raise SettingError("rate_limits holds whole numbers")
    return value
