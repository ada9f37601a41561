"""What kind of file this is, told by its first bytes and never by its name, and whether its end is missing."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

HEAD_BYTES = 4096


@dataclass(frozen=True)
class Container:
    """A kind of video file: our name for it, its name on a page, its media type, and the demuxer that reads it."""

    name: str
    label: str
    content_type: str
    demuxer: str

    @property
    def suffix(self) -> str:
        """The file name's ending, without the dot."""
        return self.name


MP4 = Container("mp4", "MP4", "video/mp4", "mov")
MOV = Container("mov", "MOV", "video/quicktime", "mov")
WEBM = Container("webm", "WebM", "video/webm", "matroska")
MKV = Container("mkv", "Matroska (MKV)", "video/x-matroska", "matroska")
AVI = Container("avi", "AVI", "video/x-msvideo", "avi")
FLV = Container("flv", "Flash video (FLV)", "video/x-flv", "flv")
WMV = Container("wmv", "Windows Media", "video/x-ms-wmv", "asf")
MPEG_TS = Container("ts", "MPEG transport stream", "video/mp2t", "mpegts")
MPEG_PS = Container("mpg", "MPEG program stream", "video/mpeg", "mpeg")
OGG = Container("ogv", "Ogg", "video/ogg", "ogg")

CONTAINERS = {one.name: one for one in (MP4, MOV, WEBM, MKV, AVI, FLV, WMV, MPEG_TS, MPEG_PS, OGG)}

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = 0x18538067
_QUICKTIME_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_NOT_VIDEO = (
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a compressed archive"),
    (b"Rar!", "a compressed archive"),
    (b"7z\xbc\xaf", "a compressed archive"),
    (b"ID3", "an MP3 sound file"),
    (b"fLaC", "a FLAC sound file"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_PICTURE_BRANDS = {
    b"heic": "a HEIC picture",
    b"heix": "a HEIC picture",
    b"mif1": "a HEIC picture",
    b"avif": "an AVIF picture",
}


def recognize_container(head: bytes) -> Container | None:
    """Return the kind of video file that starts with `head` (its first 4,096 bytes), None if it is no video.

    Opening a file with the demuxer named here, and no other, keeps text files that only point elsewhere (playlists)
    from making the reader fetch what they name.
    """
    if head[4:8] == b"ftyp":
        if head[8:12] in _PICTURE_BRANDS:
            return None
        return MOV if head[8:12] == b"qt  " else MP4
    if head[4:8] in _QUICKTIME_BOXES:
        return MOV
    if head.startswith(_EBML):
        return WEBM if b"webm" in head[:64] else MKV
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return AVI
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47:
        return MPEG_TS
    signatures = {
        b"FLV\x01": FLV,
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": WMV,
        b"\x00\x00\x01\xba": MPEG_PS,
        b"OggS": OGG,
    }
    return next((kind for signature, kind in signatures.items() if head.startswith(signature)), None)


def describe_other(head: bytes) -> str:
    """Say what a file that is no video seems to be, or "" if that cannot be told."""
    for signature, words in _NOT_VIDEO:
        if head.startswith(signature):
            return words
    if head[4:8] == b"ftyp":
        return _PICTURE_BRANDS.get(head[8:12], "")
    if head.startswith(b"RIFF") and head[8:12] in {b"WAVE", b"WEBP"}:
        return "a WAV sound file" if head[8:12] == b"WAVE" else "a WebP picture"
    return "a text file" if _is_text(head) else ""


def _is_text(head: bytes) -> bool:
    if b"\x00" in head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True


def is_cut_short(file: IO[bytes], *, container: Container, total_bytes: int) -> bool:
    """Whether the file's own structure says that it should be longer, or its index is missing.

    MP4 and MOV are boxes with their lengths in front: the last one must end inside the file, and one must be the index
    (`moov`). A Matroska or WebM file states the length of its one segment, unless it was recorded live. Reads only the
    few bytes of each header. Other kinds: always False.
    Source: ISO/IEC 14496-12, section 4.2; https://www.rfc-editor.org/rfc/rfc8794#section-6
    """
    if container.demuxer == "mov":
        boxes = list(_boxes(file, total_bytes))
        ends_inside = all(end <= total_bytes for _, end in boxes)
        return not ends_inside or b"moov" not in {name for name, _ in boxes}
    if container.demuxer == "matroska":
        end = _segment_end(file)
        return end is not None and end > total_bytes
    return False


def _boxes(file: IO[bytes], total_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Yield the type and the end of each top-level box, up to the first that passes the file's end."""
    position = 0
    while position + 8 <= total_bytes:
        file.seek(position)
        size, name = struct.unpack(">I4s", file.read(8))
        if size == 0:  # up to the end of the file
            size = total_bytes - position
        elif size == 1:
            size = int.from_bytes(file.read(8), "big")
        if size < 8:  # padding or damage: nothing more can be told from here on
            return
        position += size
        yield name, position


def _segment_end(file: IO[bytes]) -> int | None:
    """Return where a Matroska file's segment says that it ends, None if it does not say."""
    file.seek(0)
    data = file.read(HEAD_BYTES)
    position = 0
    for _ in range(8):
        element, position = _ebml_number(data, position, keep_marker=True)
        size, position = _ebml_number(data, position, keep_marker=False)
        if element is None or size is None:
            return None
        if element == _SEGMENT:
            return position + size
        position += size
    return None


def _ebml_number(data: bytes, position: int, *, keep_marker: bool) -> tuple[int | None, int]:
    """Read a number of variable length; None if it runs past `data` or means "unknown"."""
    if position >= len(data) or data[position] == 0:
        return None, position
    length = 9 - data[position].bit_length()
    raw = data[position : position + length]
    if len(raw) < length:
        return None, position
    value = int.from_bytes(raw, "big")
    mask = (1 << 7 * length) - 1
    if keep_marker:
        return value, position + length
    return (None if value & mask == mask else value & mask), position + length
