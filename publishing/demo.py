"""What the demo brings along: a sample video, so that a newcomer can publish without looking for one."""

from __future__ import annotations

from publishing.sample import make_sample


def load_demo_content() -> str:
    """Make the sample video that the posting page then offers, and say so in a line. May be run again."""
    make_sample()
    return "A sample video is offered under New post."
