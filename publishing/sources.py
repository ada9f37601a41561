"""Whether the file that a post is made of is still there."""

from __future__ import annotations

from publishing.models import IllegalTransitionError, Post, Video


class SourceRemovedError(IllegalTransitionError):
    """The post's source video was deleted, so it cannot be sent again. The text is for people."""

    def __init__(self) -> None:
        super().__init__(
            "The source video of this post has been deleted. Make a new post and upload it again."
        )


def require_source(post: Post) -> None:
    """Raise SourceRemovedError if the post's video has no file any more."""
    if Video.objects.filter(posts=post.pk, source_removed_at__isnull=False).exists():
        raise SourceRemovedError
