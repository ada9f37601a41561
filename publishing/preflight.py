"""What can be known to go wrong before anything is sent. Used by the form, the command and the engine alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from connections.providers.base import CreatorInfo, Provider, PublishMode, PublishOptions
from publishing.containers import CONTAINERS
from publishing.models import Photo, Video

CODEC_LABELS = {
    "h264": "H.264",
    "hevc": "H.265",
    "vp8": "VP8",
    "vp9": "VP9",
    "av1": "AV1",
    "prores": "ProRes",
}


@dataclass(frozen=True)
class Problem:
    """One reason why a post would be refused: the field it belongs to, words for its creator, and a code for programs.

    `field` is "video", "caption", or an option's name.
    """

    field: str
    message: str
    code: str


def find_problems(
    *,
    video: Video,
    provider: Provider,
    creator: CreatorInfo | None,
    mode: PublishMode,
    options: PublishOptions,
) -> list[Problem]:
    """Return all that can be seen to be wrong without sending, in the order of the form; empty if nothing is.

    `creator` None leaves out what depends on the account. A draft for the inbox carries no caption or options, so only
    its file is checked; its length is not, since the creator may trim it in the app.
    """
    problems = list(_file_problems(video, provider))
    if mode is PublishMode.DIRECT:
        problems += _duration_problems(video, creator)
        problems += find_option_problems(provider=provider, creator=creator, options=options)
        problems += _cover_problems(video, options)
    return problems


def find_file_problems(*, video: Video, provider: Provider) -> list[Problem]:
    """Return what makes the file one that this platform never takes, whichever the account and the options."""
    return list(_file_problems(video, provider))


def find_photo_problems(
    *,
    photos: Sequence[Photo],
    provider: Provider,
    creator: CreatorInfo | None,
    mode: PublishMode,
    options: PublishOptions,
) -> list[Problem]:
    """As `find_problems`, for a photo post. Its texts go with a draft too; its settings do not."""
    problems = [*_photo_problems(photos, provider, options), *_text_problems(provider, options)]
    if mode is PublishMode.DIRECT:
        problems += _privacy_problems(provider, creator, options, noun="these photos")
        problems += _interaction_problems(creator, options)
        problems += _disclosure_problems(provider, options)
    return problems


def _photo_problems(
    photos: Sequence[Photo], provider: Provider, options: PublishOptions
) -> Iterator[Problem]:
    rules = provider.photo_rules
    if not photos:
        yield Problem("photos", "Choose at least one photo.", "required")
    elif len(photos) > rules.max_count:
        yield Problem(
            "photos",
            f"These are {len(photos)} photos; {provider.label} takes at most {rules.max_count} in a post. "
            f"Remove {len(photos) - rules.max_count}.",
            "too_many_photos",
        )
    elif not 0 <= options.cover_index < len(photos):
        yield Problem("cover", "Choose one of the photos as the cover.", "cover_out_of_range")


def _text_problems(provider: Provider, options: PublishOptions) -> Iterator[Problem]:
    rules = provider.photo_rules
    table = (
        ("title", "title", options.title, rules.title_limit),
        ("caption", "description", options.caption, rules.description_limit),
    )
    for field, noun, text, limit in table:
        length = provider.caption_length(text)
        if length > limit:
            yield Problem(
                field,
                f"The {noun} has {length:,} of at most {limit:,} characters (most emoji count as 2). "
                f"Shorten it by {length - limit:,}.",
                f"{noun}_too_long",
            )


def find_option_problems(
    *, provider: Provider, creator: CreatorInfo | None, options: PublishOptions
) -> list[Problem]:
    """Return what is wrong with the caption and the choices of a direct post, whatever the file."""
    return [
        *_caption_problems(provider, options),
        *_privacy_problems(provider, creator, options),
        *_interaction_problems(creator, options),
        *_disclosure_problems(provider, options),
    ]


def _file_problems(video: Video, provider: Provider) -> Iterator[Problem]:
    rules, label = provider.video_rules, provider.label
    if video.total_bytes > provider.max_video_bytes:
        yield Problem(
            "video",
            f"This file is {format_gigabytes(video.total_bytes)}; {label} takes at most "
            f"{format_gigabytes(provider.max_video_bytes)}.",
            "file_too_large",
        )
    if video.container not in rules.containers:
        kind = CONTAINERS[video.container].label if video.container in CONTAINERS else "unknown"
        yield Problem(
            "video",
            f"This is {_with_article(kind)} file; {label} takes "
            f"{_either(CONTAINERS[one].label for one in rules.containers)}.",
            "container_unsupported",
        )
    if video.video_codec not in rules.video_codecs:
        yield Problem(
            "video",
            f"The picture is encoded as {_codec(video.video_codec)}; {label} takes "
            f"{_either(_codec(one) for one in rules.video_codecs)}.",
            "codec_unsupported",
        )
    # Whole frames: a file of variable rate that a phone calls 60 averages a few hundredths more.
    if video.frame_rate is not None and not (
        rules.min_frame_rate <= round(video.frame_rate) <= rules.max_frame_rate
    ):
        yield Problem(
            "video",
            f"The video has {video.frame_rate:.4g} frames a second; {label} takes {rules.min_frame_rate} to "
            f"{rules.max_frame_rate}.",
            "frame_rate_out_of_range",
        )
    sides = (video.width or 0, video.height or 0)
    if min(sides) < rules.min_side_px or max(sides) > rules.max_side_px:
        yield Problem(
            "video",
            f"The picture is {sides[0]} × {sides[1]} pixels; {label} takes {rules.min_side_px} to {rules.max_side_px} "
            "on each side.",
            "picture_size_out_of_range",
        )


def _duration_problems(video: Video, creator: CreatorInfo | None) -> Iterator[Problem]:
    if creator is None or creator.max_duration is None or video.duration is None:
        return
    if video.duration > creator.max_duration:
        yield Problem(
            "video",
            f"The video runs {format_duration(video.duration)}; {creator.nickname} may post up to "
            f"{format_duration(creator.max_duration)}. Shorten it or choose another account.",
            "too_long",
        )


def _caption_problems(provider: Provider, options: PublishOptions) -> Iterator[Problem]:
    length, limit = provider.caption_length(options.caption), provider.caption_limit
    if length > limit:
        yield Problem(
            "caption",
            f"The caption has {length:,} of at most {limit:,} characters (most emoji count as 2). "
            f"Shorten it by {length - limit:,}.",
            "caption_too_long",
        )


def _privacy_problems(
    provider: Provider, creator: CreatorInfo | None, options: PublishOptions, *, noun: str = "this video"
) -> Iterator[Problem]:
    level = options.privacy_level
    if not level:
        yield Problem("privacy_level", f"Choose who can see {noun}.", "privacy_required")
    elif creator is not None and level not in creator.privacy_levels:
        offered = _either(provider.privacy_labels.get(one, one) for one in creator.privacy_levels)
        yield Problem(
            "privacy_level",
            f"{creator.nickname} cannot post as “{provider.privacy_labels.get(level, level)}”. Choose {offered}.",
            "privacy_not_offered",
        )


def _interaction_problems(creator: CreatorInfo | None, options: PublishOptions) -> Iterator[Problem]:
    if creator is None:
        return
    table = (
        ("allow_comment", "comments", options.allow_comment, creator.is_comment_disabled),
        ("allow_duet", "Duets", options.allow_duet, creator.is_duet_disabled),
        ("allow_stitch", "Stitches", options.allow_stitch, creator.is_stitch_disabled),
    )
    for field, noun, is_wanted, is_disabled in table:
        if is_wanted and is_disabled:
            yield Problem(
                field,
                f"{creator.nickname} has turned {noun} off in the app's settings, so this post cannot allow them.",
                "interaction_disabled",
            )


def _disclosure_problems(provider: Provider, options: PublishOptions) -> Iterator[Problem]:
    rules = provider.posting_rules
    if options.is_paid_partnership and options.privacy_level in rules.private_levels:
        yield Problem("privacy_level", rules.paid_partnership_not_private, "paid_partnership_private")


def _cover_problems(video: Video, options: PublishOptions) -> Iterator[Problem]:
    at = options.cover_timestamp_ms
    if at is None:
        return
    if at < 0 or (video.duration_ms is not None and at >= video.duration_ms):
        yield Problem("cover_timestamp_ms", "The cover's time lies outside the video.", "cover_out_of_range")


def format_gigabytes(total_bytes: int) -> str:
    """Say a large size as people read it in a file manager: "4.3 GB" (powers of ten)."""
    return f"{total_bytes / 1e9:.3g} GB" if total_bytes >= 10**9 else f"{total_bytes / 1e6:.3g} MB"


def format_duration(duration: timedelta) -> str:
    """Say a playing time: "1:05 min" or "1:02:03 h"; under a minute "12.5 s"."""
    seconds = duration.total_seconds()
    if seconds < 60:
        return f"{seconds:.3g} s"
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02} h" if hours else f"{minutes}:{left:02} min"


def _codec(name: str) -> str:
    return CODEC_LABELS.get(name, name or "something unknown")


def _either(words: Iterator[str]) -> str:
    *first, last = list(words) or ["nothing"]
    return f"{', '.join(first)} or {last}" if first else last


def _with_article(words: str) -> str:
    return f"{'an' if words[0] in 'AEIOU' or words.startswith(('MP', 'MK', 'FL')) else 'a'} {words}"
