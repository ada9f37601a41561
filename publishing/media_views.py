"""A workspace's own videos, posters and photos, for its members' eyes only."""

from __future__ import annotations

from typing import TypeVar

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from accounts.tenancy import require_membership
from config.media_headers import media_headers
from publishing.models import Photo, Video
from publishing.serving import StoredFile, serve_file

Media = TypeVar("Media", Video, Photo)

_KEPT_BY_THIS_BROWSER = "private, max-age=86400, immutable"


@require_safe
def video_file(request: HttpRequest, slug: str, video_id: str) -> HttpResponseBase:
    """Send the video, or the part of it that a player asks for."""
    video = _video(request, slug, video_id)
    return serve_file(request, stored(video), file_name=video.original_name, cache=_KEPT_BY_THIS_BROWSER)


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
    headers = media_headers("poster.jpg", "image/jpeg", cache=_KEPT_BY_THIS_BROWSER)
    return HttpResponse(content, headers=headers)


@require_safe
def photo_file(request: HttpRequest, slug: str, photo_id: str) -> HttpResponseBase:
    """Send a photo as it came in."""
    workspace = require_membership(request, slug).workspace
    photo = _harmless(get_object_or_404(workspace.photos, pk=photo_id))
    return serve_file(request, stored(photo), file_name=photo.original_name, cache=_KEPT_BY_THIS_BROWSER)


def stored(media: Video | Photo) -> StoredFile:
    """Return where the file of `media` is and what it is."""
    return StoredFile(
        storage=media.file.storage,
        name=str(media.file.name),
        total_bytes=media.total_bytes,
        content_type=media.content_type,
        sha256=media.sha256,
    )


def _video(request: HttpRequest, slug: str, video_id: str) -> Video:
    workspace = require_membership(request, slug).workspace
    return _harmless(get_object_or_404(workspace.videos, pk=video_id))


def _harmless(media: Media) -> Media:
    if media.is_infected or not media.file:
        raise Http404("The file was removed")
    return media
