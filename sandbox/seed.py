"""The creators that every fresh stand-in starts with, one for each way an account can behave."""

from __future__ import annotations

from sandbox.models import Creator


def seed_creators() -> list[Creator]:
    """New records of the seed creators."""
    return [
        Creator(
            handle="demo.public",
            nickname="Public creator",
            note="Public account: everything works, posts appear for everyone.",
            bio="A public account for trying things out.",
            max_duration_seconds=600,
            verified=True,
            followers=12_840,
            following=96,
            likes=240_113,
        ),
        Creator(
            handle="demo.private",
            nickname="Private account",
            note="Private account: offers followers, friends or only me; duet and stitch are off.",
            bio="A private account: only approved followers see its posts.",
            private=True,
            followers=128,
            following=140,
            likes=902,
        ),
        Creator(
            handle="demo.quiet",
            nickname="Quiet creator",
            note="Public account that turned comments, duet and stitch off.",
            comment_disabled=True,
            duet_disabled=True,
            stitch_disabled=True,
            followers=3_410,
            following=12,
            likes=51_220,
        ),
        Creator(
            handle="demo.short",
            nickname="Short videos only",
            note="May post at most 15 seconds; longer videos fail after the upload.",
            max_duration_seconds=15,
            followers=77,
            following=60,
            likes=410,
        ),
        Creator(
            handle="demo.capped",
            nickname="Daily cap reached",
            note="Has used up today's posts through apps; posting is refused until tomorrow.",
            daily_post_cap=15,
            posts_elsewhere=15,
            followers=58_210,
            following=31,
            likes=1_402_770,
        ),
        Creator(
            handle="demo.banned",
            nickname="Banned from posting",
            note="Is banned from posting: TikTok refuses every post.",
            banned=True,
            followers=9,
            following=410,
            likes=3,
        ),
        Creator(
            handle="demo.stranger",
            nickname="Not a target user",
            note="Is not a target user of this app's sandbox: connecting is refused.",
            target=False,
            followers=240,
            following=180,
            likes=1_900,
        ),
    ]
