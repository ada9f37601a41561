"""Where a visitor may be sent on to: a page of ours, whatever `next` says."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

LONGEST = 300


def is_ours(request: HttpRequest, url: str) -> bool:
    """Whether `url` leads to a page on the very host that was asked, and not to another name that we answer to."""
    return len(url) <= LONGEST and url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
