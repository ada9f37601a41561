"""Sending a stored file over HTTP: whole or the part asked for, block by block, from a disk or an object store."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.core.files.storage import Storage
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from config.media_headers import media_headers
from publishing.blocks import read_blocks

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


@dataclass(frozen=True)
class StoredFile:
    """A file in a storage, with what is known of it from when it came in."""

    storage: Storage
    name: str
    total_bytes: int
    content_type: str
    sha256: str

    @property
    def etag(self) -> str:
        """Its entity tag, quoted as a header holds it."""
        return f'"{self.sha256}"'


def parse_range(header: str, total_bytes: int) -> ByteRange | None:
    """Return the range that a Range header asks for; None for no range, several, or another unit: send it all then.

    Raises UnsatisfiableRangeError for one that starts behind the end.
    Source: https://www.rfc-editor.org/rfc/rfc9110#section-14
    """
    match = _RANGE.match(header.strip())
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = (_at_most(total_bytes, digits) for digits in match.groups())
    if first is None:  # the last so many bytes
        if not last:
            raise UnsatisfiableRangeError
        return ByteRange(total_bytes - last, total_bytes - 1)
    if first >= total_bytes:
        raise UnsatisfiableRangeError
    end = total_bytes - 1 if last is None else min(last, total_bytes - 1)
    return ByteRange(first, end) if end >= first else None


def _at_most(total_bytes: int, digits: str) -> int | None:
    """The number, no larger than `total_bytes`: one of thousands of digits is none that Python would convert."""
    if not digits:
        return None
    return min(int(digits), total_bytes) if len(digits) <= 19 else total_bytes


def _wanted(request: HttpRequest, file: StoredFile) -> ByteRange | None:
    """The part asked for: only a GET asks for one, and not if it knows another version (If-Range)."""
    if request.method != "GET" or request.headers.get("If-Range") not in {None, file.etag}:
        return None
    return parse_range(request.headers.get("Range", ""), file.total_bytes)


def serve_file(request: HttpRequest, file: StoredFile, *, file_name: str, cache: str) -> HttpResponseBase:
    """Answer a GET or HEAD with the file, or the part that a Range header asks for (206, or 416 for none of it).

    `file_name` is what a browser saves it as, `cache` the value of Cache-Control. Raises Http404 if the storage no
    longer has the file.
    """
    headers = media_headers(file_name, file.content_type, cache=cache)
    if not (file.name and file.storage.exists(file.name)):
        raise Http404("The file is gone from the storage")
    try:
        wanted = _wanted(request, file)
    except UnsatisfiableRangeError:
        unsatisfied = {"Content-Range": f"bytes */{file.total_bytes}"}
        return HttpResponse(status=416, headers={**headers, **unsatisfied})
    part = wanted or ByteRange(0, file.total_bytes - 1)
    told = {"Accept-Ranges": "bytes", "Content-Length": str(part.size), "ETag": file.etag, **headers}
    if wanted is not None:
        told["Content-Range"] = f"bytes {part.first}-{part.last}/{file.total_bytes}"
    blocks = (
        iter(())
        if request.method == "HEAD"
        else read_blocks(file.storage, file.name, first=part.first, size=part.size)
    )
    return StreamingHttpResponse(blocks, status=206 if wanted else 200, headers=told)
