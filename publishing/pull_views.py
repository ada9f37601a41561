"""The door through which a platform fetches media. No log-in: the address itself is the permission."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from publishing.media_views import stored
from publishing.pull_urls import find_media
from publishing.serving import serve_file


@login_not_required
@require_safe
def pull_media(request: HttpRequest, token: str, name: str) -> HttpResponseBase:
    """Send a file, or a part of it, to whoever has its address. Raises Http404 for an address that is not good.

    Answered as TikTok's guide asks: over the address itself, without a redirect.
    Source: https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide
    """
    media = find_media(token)
    if media is None or media.is_infected or not media.file:
        raise Http404("This address is not good, or no longer")
    answer = serve_file(request, stored(media), file_name=name, cache="private, no-store")
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer
