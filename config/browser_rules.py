"""What browsers are told about every page: where code, pictures and forms may come from and lead to, and to keep none.

The policy has no `unsafe-inline` and no `unsafe-eval`: markup that somebody smuggles into a page does not run.
Source: https://www.w3.org/TR/CSP3/ and https://www.w3.org/TR/permissions-policy/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

# Nothing here asks for them; only our own pages may ask for a passkey or write to the clipboard.
PERMISSIONS: Final = ", ".join(
    [
        *(
            f"{feature}=()"
            for feature in (
                "accelerometer",
                "browsing-topics",
                "camera",
                "display-capture",
                "geolocation",
                "gyroscope",
                "magnetometer",
                "microphone",
                "midi",
                "payment",
                "usb",
            )
        ),
        "clipboard-write=(self)",
        "fullscreen=(self)",
        "publickey-credentials-create=(self)",
        "publickey-credentials-get=(self)",
    ]
)


def origin_of(url: str) -> str:
    """Return scheme, host and port of `url`, as a source in a policy; "" for an address without a host."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in {"http", "https"} and parts.netloc else ""


def content_security_policy(*, form_targets: Sequence[str] = (), media_origins: Sequence[str] = ()) -> str:
    """Return the policy's header value.

    `form_targets` are addresses that a form's answer may redirect to (a browser holds form-action against those too);
    `media_origins` are addresses that pictures and films may be fetched from.
    """
    media = ["'self'", "blob:", *filter(None, map(origin_of, media_origins))]
    forms = ["'self'", *dict.fromkeys(filter(None, map(origin_of, form_targets)))]
    rules: Mapping[str, Sequence[str]] = {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": media,
        "media-src": media,
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "manifest-src": ["'self'"],
        "form-action": forms,
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
        "frame-src": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in rules.items())


NOT_KEPT: Final = "max-age=0, no-cache, no-store, must-revalidate, private"
"""What Django's `never_cache` says: after a log-out, "back" shows nobody a page of somebody else's."""


class BrowserRulesMiddleware:
    """Adds the headers to every answer, whatever it is; a view that sets one itself keeps its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._policy = content_security_policy(
            form_targets=[settings.TIKTOK_AUTHORIZE_URL, settings.TIKTOK_REDIRECT_URI],
            media_origins=settings.CSP_MEDIA_ORIGINS,
        )

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request and add the headers."""
        response = self._get_response(request)
        response.headers.setdefault("Cache-Control", NOT_KEPT)
        response.headers.setdefault("Content-Security-Policy", self._policy)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        return response
