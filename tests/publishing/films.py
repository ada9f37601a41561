"""Small films made with PyAV, and the ways in which a file can be bad."""

from __future__ import annotations

import functools
import io
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
