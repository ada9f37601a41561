"""A short video of our own for people who want to try publishing without one at hand."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import av
from django.core.files import File
from django.core.files.storage import default_storage
from PIL import Image, ImageDraw, ImageFont

from publishing.receiving import ReceivedFile, receive_stream

PLACE = "samples/sample.mp4"
FILE_NAME = "broadside-sample.mp4"
WIDTH, HEIGHT, FRAMES_PER_SECOND, SECONDS = 720, 1280, 30, 6

_INK, _PAPER, _BLUE, _RED = (20, 22, 27), (241, 242, 239), (42, 54, 208), (214, 64, 69)


def is_available() -> bool:
    """Whether the sample was made here (`make_sample`)."""
    return default_storage.exists(PLACE)


def receive_sample() -> ReceivedFile:
    """Return a copy of the sample as if a browser had sent it. Raises VideoRefusedError, FileNotFoundError."""
    with default_storage.open(PLACE, "rb") as source:
        return receive_stream(source, name=FILE_NAME)


def make_sample() -> str:
    """Make the sample unless it is there already; return its place in the storage."""
    if not is_available():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / FILE_NAME
            _render(path)
            with path.open("rb") as source:
                default_storage.save(PLACE, File(source))
    return PLACE


def _render(path: Path) -> None:
    with av.open(str(path), "w", options={"movflags": "faststart"}) as media:
        stream = media.add_stream(
            "libx264", rate=FRAMES_PER_SECOND, options={"preset": "veryfast", "crf": "23"}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(FRAMES_PER_SECOND * SECONDS):
            frame = av.VideoFrame.from_image(_draw(number / (FRAMES_PER_SECOND * SECONDS)))
            media.mux(stream.encode(frame))
        media.mux(stream.encode())


def _draw(moment: float) -> Image.Image:
    """Draw the picture at `moment` (0.0 … 1.0): a sheet that is printed while a ball keeps time."""
    image = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    pen = ImageDraw.Draw(image)
    pen.rectangle((60, 60, WIDTH - 60, 84), fill=_INK)
    pen.text((60, 130), "BROADSIDE", font=ImageFont.load_default(104), fill=_INK)
    pen.text((64, 262), "sample video", font=ImageFont.load_default(44), fill=_BLUE)
    printed = 380 + int(moment * 760)
    for line in range(380, printed, 56):
        length = WIDTH - 120 if line % 3 else WIDTH - 300
        pen.rectangle((60, line, 60 + length, line + 14), fill=_INK)
    x = WIDTH / 2 + math.sin(moment * 4 * math.pi) * (WIDTH / 2 - 140)
    y = printed + 40
    pen.ellipse((x - 60, y - 60, x + 60, y + 60), fill=_RED)
    pen.rectangle((60, HEIGHT - 84, 60 + (WIDTH - 120) * moment, HEIGHT - 60), fill=_BLUE)
    return image
