"""Small films made with PyAV, and the ways in which a file can be bad."""

from __future__ import annotations

import functools
import io
import struct
import tempfile
from pathlib import Path
from typing import Any

import av


@functools.cache
def film(
    container: str = "mp4",
    codec: str = "libx264",
    *,
    width: int = 360,
    height: int = 640,
    rate: int = 30,
    frames: int = 30,
    faststart: bool = False,
    fragmented: bool = False,
    live: bool = False,
) -> bytes:
    """Return a short film as a file's bytes; each second differs, so that posters do too."""
    flags = {"movflags": "faststart"} if faststart else {}
    if fragmented:
        flags = {"movflags": "frag_keyframe+empty_moov"}
    if live:
        flags = {"live": "1"}
    with tempfile.NamedTemporaryFile(suffix=f".{container}") as file:
        with av.open(file.name, "w", format=container, options=flags) as media:
            stream: Any = media.add_stream(codec, rate=rate)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for number in range(frames):
                media.mux(stream.encode(_picture(width, height, number)))
            media.mux(stream.encode())
        return Path(file.name).read_bytes()


def _picture(width: int, height: int, number: int) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, "yuv420p")
    for place, plane in enumerate(frame.planes):
        plane.update(bytes([(number * 3 + place * 40 + 30) % 256]) * plane.buffer_size)
    return frame


@functools.cache
def sound_only() -> bytes:
    """Return an MP4 that holds sound and no picture."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as media:
        stream: Any = media.add_stream("aac", rate=44100, layout="mono")
        for _ in range(20):
            frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            frame.sample_rate = 44100
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            media.mux(stream.encode(frame))
        media.mux(stream.encode())
    return buffer.getvalue()


def index_of(pictures: int) -> bytes:
    """Return an MP4 of some two kilobytes whose index states so many pictures of one byte each.

    The tables say it in a few numbers, and a reader unfolds them. Source: ISO/IEC 14496-12, section 8
    """
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    picture = (
        bytes(6) + struct.pack(">H", 1) + bytes(16) + struct.pack(">HHIII", 360, 640, 0x480000, 0x480000, 0)
    )
    picture += struct.pack(">H", 1) + bytes(32) + struct.pack(">Hh", 24, -1)
    tables = (
        _full_box(b"stsd", struct.pack(">I", 1), _box(b"avc1", picture)),
        _full_box(b"stts", struct.pack(">III", 1, pictures, 1)),
        _full_box(b"stsc", struct.pack(">IIII", 1, 1, pictures, 1)),
        _full_box(b"stsz", struct.pack(">II", 1, pictures)),
        _full_box(b"stco", struct.pack(">II", 1, 40)),
    )
    source = _box(b"dinf", _full_box(b"dref", struct.pack(">I", 1), _box(b"url ", b"\0\0\0\1")))
    media = (
        _full_box(b"mdhd", struct.pack(">IIIIHH", 0, 0, 1000, 1000, 0x55C4, 0)),
        _full_box(b"hdlr", b"\0\0\0\0vide", bytes(12), b"V\0"),
        _box(b"minf", _box(b"vmhd", b"\0\0\0\1", bytes(8)), source, _box(b"stbl", *tables)),
    )
    size = struct.pack(">II", 360 << 16, 640 << 16)
    header = _box(b"tkhd", b"\0\0\0\3", struct.pack(">IIIII", 0, 0, 1, 0, 1000), bytes(16), matrix, size)
    whole = struct.pack(">IIIIIH", 0, 0, 1000, 1000, 0x10000, 0x100) + bytes(10) + matrix + bytes(24)
    movie = _box(
        b"moov", _full_box(b"mvhd", whole, struct.pack(">I", 2)), _box(b"trak", header, _box(b"mdia", *media))
    )
    return _box(b"ftyp", b"isom\0\0\2\0isomiso2mp41") + _box(b"mdat", bytes(2000)) + movie


def _box(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), name) + content


def _full_box(name: bytes, *parts: bytes) -> bytes:
    return _box(name, bytes(4), *parts)
