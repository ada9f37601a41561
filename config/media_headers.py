"""How a stored file is handed to a browser: as what it is, or as something to save, never as a page of this site.

Source: https://owasp.org/www-project-secure-headers/ and https://fetch.spec.whatwg.org/#cross-origin-resource-policy-header
"""

from __future__ import annotations

from pathlib import PurePosixPath
from types import MappingProxyType

from django.utils.http import content_disposition_header

SHOWN = MappingProxyType(
    {
        "video/mp4": (".mp4", ".m4v"),
        "video/quicktime": (".mov", ".qt"),
        "video/webm": (".webm",),
        "image/jpeg": (".jpg", ".jpeg"),
        "image/webp": (".webp",),
    }
)
"""The types that a browser may show by itself, none of which can hold script, and how their files' names end."""

SAVED = frozenset({"application/zip"})
"""The types that keep their name, but are only ever saved."""

UNKNOWN = "application/octet-stream"


def safe_type(content_type: str) -> str:
    """Return `content_type` if it does no harm under that name, else the type of bytes that nobody interprets."""
    return content_type if content_type in SHOWN or content_type in SAVED else UNKNOWN


def media_headers(file_name: str, content_type: str, *, cache: str) -> dict[str, str]:
    """Return the headers, the type among them, that keep a file from being run as a page or read by another site.

    `file_name` is what it is saved as; one that ends as another type's would gets the right ending too. `cache` is the
    value of Cache-Control.
    """
    is_shown = content_type in SHOWN
    name = _ending_right(file_name, content_type) if is_shown else file_name
    way = content_disposition_header(as_attachment=not is_shown, filename=name)
    return {
        "Content-Type": safe_type(content_type),
        "Cache-Control": cache,
        "Content-Disposition": way or "inline",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }


def _ending_right(file_name: str, content_type: str) -> str:
    endings = SHOWN[content_type]
    suffix = PurePosixPath(file_name.strip()).suffix.lower()
    return file_name if suffix in endings else f"{file_name}{endings[0]}"
