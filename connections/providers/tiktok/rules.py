"""What TikTok takes, and what it asks a posting page to say: data, checked and shown by the rest of the product."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

from connections.providers.base import (
    ConsentText,
    Operation,
    PhotoRules,
    PostingRules,
    RateLimit,
    VideoRules,
)

VIDEO_RULES = VideoRules(
    containers=("mp4", "mov", "webm"),
    video_codecs=("h264", "hevc", "vp8", "vp9"),
    min_frame_rate=23,
    max_frame_rate=60,
    min_side_px=360,
    max_side_px=4096,
)
"""Source: https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide"""

PHOTO_RULES = PhotoRules(
    formats=("jpeg", "webp"),
    max_count=35,
    max_bytes=20_000_000,
    max_short_side_px=1080,
    max_long_side_px=1920,
    title_limit=90,
    description_limit=4000,
)
"""Sources: https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide ("Maximum 1080p", 20 MB)
https://developers.tiktok.com/doc/content-posting-api-reference-photo-post"""

_MUSIC = ("Music Usage Confirmation", "https://www.tiktok.com/legal/page/global/music-usage-confirmation/en")
_BRANDED = ("Branded Content Policy", "https://www.tiktok.com/legal/page/global/bc-policy/en")

POSTING_RULES = PostingRules(
    consent=ConsentText("By posting, you agree to TikTok's ", links=(_MUSIC,)),
    paid_partnership_consent=ConsentText("By posting, you agree to TikTok's ", links=(_BRANDED, _MUSIC)),
    own_brand_label="Your photo/video will be labeled as 'Promotional content'",
    paid_partnership_label="Your photo/video will be labeled as 'Paid partnership'",
    disclosure_incomplete="You need to indicate if your content promotes yourself, a third party, or both.",
    paid_partnership_not_private="Branded content visibility cannot be set to private.",
    private_levels=frozenset({"SELF_ONLY"}),
    public_levels=frozenset({"PUBLIC_TO_EVERYONE"}),
    inbox_note="Drafts carry no caption or settings: you add them in the TikTok app when you finish the post.",
    photo_inbox_note="The draft takes title and description along; choose the rest in the TikTok app (31.8 or newer).",
)
"""Source: https://developers.tiktok.com/doc/content-sharing-guidelines (required wording of a posting page)"""

_MINUTE = timedelta(minutes=1)
RATE_LIMITS: Mapping[Operation, RateLimit] = MappingProxyType(
    {
        Operation.START: RateLimit(6, _MINUTE),
        Operation.CREATOR: RateLimit(20, _MINUTE),
        Operation.STATUS: RateLimit(30, _MINUTE),
    }
)
"""For each user token, in a sliding window. Sources, their lines on limits:
https://developers.tiktok.com/doc/content-posting-api-reference-direct-post
https://developers.tiktok.com/doc/content-posting-api-reference-query-creator-info
https://developers.tiktok.com/doc/content-posting-api-reference-get-video-status"""


def rate_limits_from(amounts: Mapping[str, int]) -> Mapping[Operation, RateLimit]:
    """Return the limits with other amounts a minute, which TikTok grants on request; 0 means none.

    Raises ValueError for an operation that has no limit. Source: https://developers.tiktok.com/doc/tiktok-api-v2-rate-limit
    """
    limits = dict(RATE_LIMITS)
    for name, amount in amounts.items():
        if amount:
            limits[Operation(name)] = RateLimit(amount, _MINUTE)
        else:
            limits.pop(Operation(name), None)
    return MappingProxyType(limits)
