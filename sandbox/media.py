"""Reading what a video file says about itself: container, length, picture size, frame rate.

Only headers are read. MP4 and MOV are boxes (ISO/IEC 14496-12), WebM is EBML (RFC 8794 and the WebM guidelines).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

MAX_MOOV = 64 * 1024 * 1024
WEBM_HEAD = 1024 * 1024
PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}
EBML_PARENTS = {0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0}
UNREADABLE = {"format": "", "duration": 0.0, "width": 0, "height": 0, "fps": 0.0}


async def probe_video(path: Path) -> dict[str, Any]:
    """`{format, duration (s), width, height, fps}`; format "" where the file is no readable MP4, MOV or WebM."""
    return await asyncio.to_thread(_probe, path)


def is_photo(head: bytes) -> bool:
    """Whether a file that begins with `head` is JPEG or WebP, the two that TikTok takes."""
    return head.startswith(b"\xff\xd8\xff") or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def _probe(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            head = file.read(12)
            if head[4:8] == b"ftyp":
                return _probe_mp4(file, "mov" if head[8:12] == b"qt  " else "mp4")
            if head.startswith(b"\x1a\x45\xdf\xa3"):
                return _probe_webm(file)
    except (OSError, struct.error, ValueError, IndexError, ZeroDivisionError):
        pass
    return dict(UNREADABLE)


def _probe_mp4(file: IO[bytes], name: str) -> dict[str, Any]:
    moov = _find_moov(file)
    found: dict[str, Any] = {**UNREADABLE, "format": name}
    track: dict[str, Any] = {}
    for kind, box in _boxes(moov):
        if kind == b"mvhd":
            scale, length = _scale_and_length(box)
            found["duration"] = length / scale
        elif kind == b"tkhd":
            width, height = struct.unpack(">II", box[-8:])  # 16.16 fixed point
            track = {"width": width >> 16, "height": height >> 16}
        elif kind == b"mdhd":
            track["scale"], track["length"] = _scale_and_length(box)
        elif kind == b"hdlr":
            # A MOV track has a second one of these, about where its data lies.
            track["video"] = track.get("video") or box[8:12] == b"vide"
        elif kind == b"stts" and track.get("video"):
            count = struct.unpack(">I", box[4:8])[0]
            frames = sum(struct.unpack(">I", box[8 + i * 8 : 12 + i * 8])[0] for i in range(count))
            seconds = track["length"] / track["scale"]
            found |= {
                "width": track["width"],
                "height": track["height"],
                "fps": frames / seconds if seconds else 0.0,
            }
    return found


def _find_moov(file: IO[bytes]) -> bytes:
    """The index of the file. ValueError: it has none, or ends inside it."""
    file.seek(0)
    while len(header := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", header)
        used = 8
        if size == 1:
            size, used = struct.unpack(">Q", file.read(8))[0], 16
        if kind == b"moov":
            moov = file.read(min(size - used, MAX_MOOV))
            if len(moov) != size - used:
                break
            return moov
        if size < used:
            break
        file.seek(size - used, 1)
    raise ValueError("no index")


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        if size < 8:
            return
        body = data[at + 8 : at + size]
        if kind in PARENTS:
            yield from _boxes(body)
        else:
            yield kind, body
        at += size


def _scale_and_length(box: bytes) -> tuple[int, int]:
    """Time scale and length of a mvhd or mdhd box, whose version 1 has wider fields."""
    if box[0] == 1:
        scale, length = struct.unpack(">IQ", box[20:32])
    else:
        scale, length = struct.unpack(">II", box[12:20])
    return scale, length


def _probe_webm(file: IO[bytes]) -> dict[str, Any]:
    file.seek(0)
    found: dict[str, Any] = {**UNREADABLE, "format": "webm"}
    scale, length = 1_000_000, 0.0
    for element, value in _elements(file.read(WEBM_HEAD)):
        if element == 0x2AD7B1:
            scale = int.from_bytes(value, "big")
        elif element == 0x4489:
            length = struct.unpack(">f" if len(value) == 4 else ">d", value)[0]
        elif element == 0xB0:
            found["width"] = int.from_bytes(value, "big")
        elif element == 0xBA:
            found["height"] = int.from_bytes(value, "big")
        elif element == 0x23E383 and not found["fps"]:
            found["fps"] = 1e9 / int.from_bytes(value, "big")
    found["duration"] = length * scale / 1e9
    if found["fps"] > 120:  # an audio track's frames
        found["fps"] = 0.0
    return found


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        element, at = _number(data, at, keep_marker=True)
        size, at = _number(data, at, keep_marker=False)
        body = data[at : at + size] if size >= 0 else data[at:]
        if element in EBML_PARENTS:
            yield from _elements(body)
        elif element == 0x1F43B675:  # the first cluster: headers end here
            return
        else:
            yield element, body
        at += len(body)
        if size > len(body):
            return


def _number(data: bytes, at: int, *, keep_marker: bool) -> tuple[int, int]:
    """An EBML variable-length number and where it ends; -1 for "unknown size"."""
    width = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + width], "big")
    if not keep_marker:
        value &= (1 << (7 * width)) - 1
        if value == (1 << (7 * width)) - 1:
            value = -1
    return value, at + width
