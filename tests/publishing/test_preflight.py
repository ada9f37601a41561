"""What is known to go wrong before anything is sent."""

import dataclasses
from datetime import timedelta

import pytest

from connections.providers import provider_for
from connections.providers.base import CreatorInfo, PublishMode, PublishOptions
from publishing.models import Video
from publishing.preflight import find_problems, format_duration

GOOD_VIDEO = {
    "total_bytes": 1000,
    "container": "mp4",
    "video_codec": "h264",
    "frame_rate": 30.0,
    "width": 720,
    "height": 1280,
    "duration_ms": 10_000,
}
CREATOR = CreatorInfo(
    nickname="Nora",
    username="nora",
    avatar_url="",
    privacy_levels=("PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"),
    is_comment_disabled=False,
    is_duet_disabled=False,
    is_stitch_disabled=False,
    max_duration=timedelta(seconds=300),
)
GOOD_OPTIONS = PublishOptions(privacy_level="SELF_ONLY")


def problems(*, video=None, creator=CREATOR, mode=PublishMode.DIRECT, **options):
    return find_problems(
        video=Video(**GOOD_VIDEO | (video or {})),
        provider=provider_for("tiktok"),
        creator=creator,
        mode=mode,
        options=dataclasses.replace(GOOD_OPTIONS, **options),
    )


def codes(**case):
    return [(one.field, one.code) for one in problems(**case)]


def test_nothing_speaks_against_a_good_post():
    assert problems() == []


@pytest.mark.parametrize(
    ("video", "code"),
    [
        ({"container": "avi"}, "container_unsupported"),
        ({"container": "mkv"}, "container_unsupported"),
        ({"video_codec": "av1"}, "codec_unsupported"),
        ({"video_codec": ""}, "codec_unsupported"),
        ({"frame_rate": 22.4}, "frame_rate_out_of_range"),
        ({"frame_rate": 61.0}, "frame_rate_out_of_range"),
        ({"width": 359}, "picture_size_out_of_range"),
        ({"height": 4097}, "picture_size_out_of_range"),
        ({"total_bytes": 4 * 1024**3 + 1}, "file_too_large"),
        ({"duration_ms": 300_001}, "too_long"),
    ],
)
def test_a_file_outside_the_table_is_named_with_its_rule(video, code):
    assert codes(video=video) == [("video", code)]


@pytest.mark.parametrize(
    "video",
    [
        {"container": "mov"},
        {"container": "webm", "video_codec": "vp9"},
        {"video_codec": "hevc"},
        {"video_codec": "vp8"},
        {"frame_rate": 22.976},
        {"frame_rate": 23.0},
        {"frame_rate": 60.02},
        {"frame_rate": None},
        {"width": 360, "height": 4096},
        {"width": 4096, "height": 360},
        {"total_bytes": 4 * 1024**3},
        {"duration_ms": 300_000},
        {"duration_ms": None},
    ],
)
def test_a_file_at_the_edge_of_the_table_passes(video):
    assert problems(video=video) == []


@pytest.mark.parametrize(
    ("caption", "found"),
    [
        ("x" * 2200, []),
        ("😀" * 1100, []),
        ("x" * 2201, [("caption", "caption_too_long")]),
        ("😀" * 1100 + "x", [("caption", "caption_too_long")]),
    ],
)
def test_a_caption_is_counted_in_utf_16_units(caption, found):
    assert codes(caption=caption) == found


def test_a_long_caption_is_told_both_numbers_and_what_to_cut():
    (problem,) = problems(caption="😀" * 1100 + "x")

    assert "2,201" in problem.message
    assert "2,200" in problem.message
    assert "by 1." in problem.message


@pytest.mark.parametrize(
    ("level", "code"),
    [
        ("", "privacy_required"),
        ("FOLLOWER_OF_CREATOR", "privacy_not_offered"),
        ("PUBLIC", "privacy_not_offered"),
    ],
)
def test_privacy_must_be_chosen_from_what_the_creator_is_offered(level, code):
    assert codes(privacy_level=level) == [("privacy_level", code)]


@pytest.mark.parametrize("what", ["comment", "duet", "stitch"])
def test_an_interaction_that_the_creator_disabled_cannot_be_allowed(what):
    creator = dataclasses.replace(CREATOR, **{f"is_{what}_disabled": True})

    assert codes(creator=creator, **{f"allow_{what}": True}) == [(f"allow_{what}", "interaction_disabled")]
    assert codes(creator=creator) == []


def test_branded_content_cannot_be_private():
    (problem,) = problems(is_paid_partnership=True)

    assert problem.message == "Branded content visibility cannot be set to private."
    assert codes(is_paid_partnership=True, privacy_level="PUBLIC_TO_EVERYONE") == []
    assert codes(is_own_brand=True) == []


@pytest.mark.parametrize("at", [-1, 10_000])
def test_a_cover_must_lie_inside_the_video(at):
    assert codes(cover_timestamp_ms=at) == [("cover_timestamp_ms", "cover_out_of_range")]
    assert codes(cover_timestamp_ms=9_999) == []


def test_a_draft_is_judged_by_its_file_alone():
    wild = {"caption": "x" * 9999, "privacy_level": "", "cover_timestamp_ms": -1}

    assert problems(mode=PublishMode.INBOX, creator=None, video={"duration_ms": 9_000_000}, **wild) == []
    assert codes(mode=PublishMode.INBOX, video={"width": 100}) == [("video", "picture_size_out_of_range")]


def test_without_the_creator_only_what_depends_on_them_is_left_out():
    found = codes(creator=None, privacy_level="ANY", allow_duet=True, caption="x" * 2201)

    assert found == [("caption", "caption_too_long")]


def test_all_problems_are_told_at_once():
    assert len(problems(video={"width": 1, "video_codec": "av1"}, caption="x" * 2201, privacy_level="")) == 4


@pytest.mark.parametrize(
    ("seconds", "words"), [(12.5, "12.5 s"), (65, "1:05 min"), (600, "10:00 min"), (3723, "1:02:03 h")]
)
def test_durations_are_written_as_people_say_them(seconds, words):
    assert format_duration(timedelta(seconds=seconds)) == words
