"""What is in a video file: read from its headers and a few frames, whatever the file's length."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import IO, TYPE_CHECKING, cast

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from PIL import Image

from publishing.containers import HEAD_BYTES, Container, describe_other, is_cut_short, recognize_container
from publishing.refusals import VideoRefusedError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

POSTER_SIDE = 960
"""Longest side of a poster frame, in pixels."""

_MAX_DECODED_PIXELS = 8192 * 8192
_MAX_PACKETS_TO_A_FRAME = 600


@dataclass(frozen=True)
class ProbedVideo:
    """What probing found. Sizes are in pixels as a person sees the picture, turned upright."""

    container: str
    content_type: str
    video_codec: str
    audio_codec: str
    width: int
    height: int
    frame_rate: float | None
    duration_ms: int | None
    poster: bytes = b""


def probe_video(file: IO[bytes], *, total_bytes: int) -> ProbedVideo:
    """Read container, codecs, size, frame rate and duration, and a poster frame as JPEG.

    `file` is seekable and is read piece by piece, never whole; its position afterwards is undefined. Raises
    VideoRefusedError for a file that is empty, no video, without a picture, damaged or cut short.
    """
    container = _recognize(file, total_bytes)
    if is_cut_short(file, container=container, total_bytes=total_bytes):
        raise _cut_short()
    file.seek(0)
    try:
        with av.open(file, format=container.demuxer, metadata_errors="replace") as media:
            return _probe_opened(cast("InputContainer", media), container, total_bytes)
    except (FFmpegError, ValueError, OverflowError) as error:
        raise _damaged() from error


def _recognize(file: IO[bytes], total_bytes: int) -> Container:
    if total_bytes == 0:
        raise VideoRefusedError("This file is empty. Choose the video again.", code="empty")
    file.seek(0)
    head = file.read(HEAD_BYTES)
    container = recognize_container(head)
    if container is None:
        seems = describe_other(head)
        what = f"This looks like {seems}, not a video." if seems else "This is not a video that can be read."
        raise VideoRefusedError(f"{what} Choose an MP4, MOV or WebM file.", code="not_a_video")
    return container


def _probe_opened(media: InputContainer, container: Container, total_bytes: int) -> ProbedVideo:
    stream = next((one for one in media.streams.video if not _is_cover_picture(one)), None)
    if stream is None:
        raise VideoRefusedError("This file holds sound but no picture. Choose a video.", code="no_picture")
    if container.demuxer == "mov" and _index_end(media) > total_bytes:
        raise _cut_short()
    found = ProbedVideo(
        container=container.name,
        content_type=container.content_type,
        video_codec=stream.codec_context.name,
        audio_codec=next((one.codec_context.name for one in media.streams.audio), ""),
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        frame_rate=_rate(stream.average_rate),
        duration_ms=_duration_ms(media, stream),
    )
    if found.duration_ms is None or found.frame_rate is None:
        found = _counted(media, stream, found)
    return _with_poster(media, stream, found)


def _is_cover_picture(stream: VideoStream) -> bool:
    """A sound file's cover art is a video stream of one picture."""
    return Disposition.attached_pic in stream.disposition


def _index_end(media: InputContainer) -> int:
    """Where the last sample of any stream ends, by the file's own index."""
    ends = [0]
    for stream in media.streams:
        entries = stream.index_entries
        if len(entries):
            ends.append(entries[-1].pos + entries[-1].size)
    return max(ends)


def _rate(rate: Fraction | None) -> float | None:
    return round(float(rate), 3) if rate else None


def _duration_ms(media: InputContainer, stream: VideoStream) -> int | None:
    if stream.duration is not None and stream.time_base:
        return int(stream.duration * stream.time_base * 1000)
    return media.duration * 1000 // av.time_base if media.duration is not None else None


def _counted(media: InputContainer, stream: VideoStream, found: ProbedVideo) -> ProbedVideo:
    """Fill in duration and frame rate by going through the packets, as files recorded live state neither."""
    count, end = 0, Fraction(0)
    for packet in media.demux(stream):
        if packet.pts is None or packet.time_base is None:
            continue
        count += 1
        end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
    media.seek(0)
    rate = float(count / end) if end and count > 1 else None
    return replace(
        found,
        duration_ms=found.duration_ms or int(end * 1000) or None,
        frame_rate=found.frame_rate or (round(rate, 3) if rate else None),
    )


def _with_poster(media: InputContainer, stream: VideoStream, found: ProbedVideo) -> ProbedVideo:
    if not 0 < found.width * found.height <= _MAX_DECODED_PIXELS:
        return found
    stream.codec_context.thread_count = 1  # one picture is wanted; each thread would keep pictures of its own
    frame = _frame_near(media, stream, seconds=min(1.0, (found.duration_ms or 0) / 2000))
    if frame is None:
        raise _damaged()
    picture = frame.to_image().convert("RGB")
    if frame.rotation:
        picture = picture.rotate(frame.rotation, expand=True)
    width, height = picture.size
    picture.thumbnail((POSTER_SIDE, POSTER_SIDE))
    return replace(found, width=width, height=height, poster=_jpeg(picture))


def _frame_near(media: InputContainer, stream: VideoStream, *, seconds: float) -> VideoFrame | None:
    """Decode the first frame at or before `seconds`, else the very first one."""
    for start in (seconds, 0.0):
        media.seek(int(start * av.time_base))
        for count, packet in enumerate(media.demux(stream)):
            frames = packet.decode()
            if frames:
                return frames[0]
            if count > _MAX_PACKETS_TO_A_FRAME:
                break
    return None


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=82, optimize=True)
    return buffer.getvalue()


def _cut_short() -> VideoRefusedError:
    return VideoRefusedError(
        "This video is cut short: its end is missing. It may not have finished copying or exporting. "
        "Export or copy it again, then choose it once more.",
        code="truncated",
    )


def _damaged() -> VideoRefusedError:
    return VideoRefusedError(
        "This video is damaged and cannot be read. Export it again, then choose it once more.", code="damaged"
    )
