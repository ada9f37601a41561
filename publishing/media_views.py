"""A workspace's own videos and posters, for its members' eyes only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from accounts.tenancy import require_membership
from publishing.blocks import read_blocks
from publishing.models import Video

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$", re.ASCII)


@dataclass(frozen=True)
class ByteRange:
    """Bytes `first` … `last`, both counted from 0 and inclusive."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """Bytes in it."""
        return self.last - self.first + 1


class UnsatisfiableRangeError(Exception):
    """The range asked for lies outside the file."""


def parse_range(header: str, total_bytes: int) -> ByteRange | None:
    """Return the range that a Range header asks for; None for no range, several, or another unit: send it all then.

    Raises UnsatisfiableRangeError for one that starts behind the end.
    Source: https://www.rfc-editor.org/rfc/rfc9110#section-14
    """
    match = _RANGE.match(header.strip())
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:  # the last so many bytes
        wanted = min(int(last), total_bytes)
        if wanted == 0:
            raise UnsatisfiableRangeError
        return ByteRange(total_bytes - wanted, total_bytes - 1)
    if int(first) >= total_bytes:
        raise UnsatisfiableRangeError
    end = min(int(last), total_bytes - 1) if last else total_bytes - 1
    return ByteRange(int(first), end) if end >= int(first) else None


@require_safe
def video_file(request: HttpRequest, slug: str, video_id: str) -> HttpResponseBase:
    """Send the video, or the part of it that a player asks for."""
    video = _video(request, slug, video_id)
    name = str(video.file.name)
    if not video.file.storage.exists(name):
        raise Http404("The file is gone from the storage")
    try:
        wanted = parse_range(request.headers.get("Range", ""), video.total_bytes)
    except UnsatisfiableRangeError:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{video.total_bytes}"})
    if request.headers.get("If-Range") not in {None, _etag(video)}:
        wanted = None
    part = wanted or ByteRange(0, video.total_bytes - 1)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Length": str(part.size),
        "ETag": _etag(video),
        **_guards(video.original_name),
    }
    if wanted is not None:
        headers["Content-Range"] = f"bytes {part.first}-{part.last}/{video.total_bytes}"
    blocks = (
        iter(())
        if request.method == "HEAD"
        else read_blocks(video.file.storage, name, first=part.first, size=part.size)
    )
    return StreamingHttpResponse(
        blocks, status=206 if wanted else 200, content_type=video.content_type, headers=headers
    )


@require_safe
def video_poster(request: HttpRequest, slug: str, video_id: str) -> HttpResponse:
    """Send the poster frame."""
    video = _video(request, slug, video_id)
    if not video.poster:
        raise Http404("This video has no poster")
    try:
        with video.poster.open("rb") as file:
            content = file.read()
    except FileNotFoundError as error:
        raise Http404("The poster is gone from the storage") from error
    return HttpResponse(content, content_type="image/jpeg", headers=_guards("poster.jpg"))


def _video(request: HttpRequest, slug: str, video_id: str) -> Video:
    workspace = require_membership(request, slug).workspace
    return get_object_or_404(workspace.videos, pk=video_id)


def _etag(video: Video) -> str:
    return f'"{video.sha256}"'


def _guards(file_name: str) -> dict[str, str]:
    """Kept by this browser alone, taken for nothing but what it is, and never run as a page."""
    return {
        "Cache-Control": "private, max-age=86400, immutable",
        "Content-Disposition": content_disposition_header(as_attachment=False, filename=file_name)
        or "inline",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }
