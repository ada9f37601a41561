"""Looking into a video in a process of its own, which may die without anybody else noticing.

A file of two kilobytes can state an index of a hundred million pictures, and the library that reads it then takes
gigabytes; another one may find a fault in it. So the reading is done by a child with little memory, little time and an
empty environment. What it says comes back as JSON, which is checked, and never as something that is run.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

from publishing.probing import ProbedVideo, probe_video
from publishing.refusals import VideoRefusedError

logger = logging.getLogger(__name__)

MEMORY_BYTES: Final = 2 * 1024**3
"""Address space of the child. The largest picture that a platform takes needs less than half of it."""

CPU_SECONDS: Final = 60
WALL_SECONDS: Final = 120.0
"""A recording of 4 GB that states no length is read through from a slow disk in that time."""

_ROOT = Path(__file__).resolve().parent.parent
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "LANG")
"""All that the child gets of our environment: no key, no password."""

_FIELDS: Final[dict[str, tuple[type, ...]]] = {
    "container": (str,),
    "content_type": (str,),
    "video_codec": (str,),
    "audio_codec": (str,),
    "width": (int,),
    "height": (int,),
    "frame_rate": (float, int, type(None)),
    "duration_ms": (int, type(None)),
}


def probe_apart(file: IO[bytes], *, total_bytes: int) -> ProbedVideo:
    """Do what `probe_video` does with an open file of the disk, in a child. Its position stays as it was.

    Raises VideoRefusedError as that does, and for a file that takes more memory or time than a video should, or makes
    its reader crash; RuntimeError if the child fails for another reason, which is then in the log.
    """
    numbers = map(str, (total_bytes, MEMORY_BYTES, CPU_SECONDS))
    command = [sys.executable, "-m", "publishing.probing_apart", *numbers]
    env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    try:
        done = subprocess.run(  # noqa: S603  # our own module and three numbers
            command,
            stdin=file.fileno(),
            capture_output=True,
            cwd=_ROOT,
            env=env,
            timeout=WALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        logger.warning("a video of %d bytes was not read within %d s", total_bytes, WALL_SECONDS)
        raise _too_much() from None
    if done.returncode < 0:  # by a signal: a crash, or the limit of its time
        logger.warning("reading a video of %d bytes ended by signal %d", total_bytes, -done.returncode)
        raise _too_much()
    if done.returncode:
        logger.error("reading a video failed: %s", done.stderr[-2000:].decode(errors="replace"))
        raise RuntimeError("the process that looks into videos failed")
    return _read(done.stdout)


def _read(answer: bytes) -> ProbedVideo:
    line, _, poster = answer.partition(b"\n")
    try:
        told: Any = json.loads(line)
    except ValueError:
        told = None
    if isinstance(told, dict) and told.keys() == {"refused", "code"}:
        raise VideoRefusedError(str(told["refused"]), code=str(told["code"]))
    if not _is_description(told):
        raise RuntimeError("what the process that looks into videos said is not understood")
    return ProbedVideo(**told, poster=poster)


def _is_description(told: Any) -> bool:
    return (
        isinstance(told, dict)
        and told.keys() == _FIELDS.keys()
        and all(isinstance(told[name], kinds) for name, kinds in _FIELDS.items())
    )


def _too_much() -> VideoRefusedError:
    return VideoRefusedError(
        "This video takes far more memory or time to read than it should; it seems to be damaged. Export it again, "
        "then choose it once more.",
        code="unreadable",
    )


def _limit(*, memory_bytes: int, cpu_seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _answer(total_bytes: int) -> bytes:
    try:
        with open("/dev/stdin", "rb") as file:  # opened anew, so that its position is not the parent's
            found = asdict(probe_video(file, total_bytes=total_bytes))
    except MemoryError:
        found = {"refused": _too_much().message, "code": _too_much().code}
    except VideoRefusedError as refusal:
        found = {"refused": refusal.message, "code": refusal.code}
    poster: bytes = found.pop("poster", b"")
    return json.dumps(found).encode() + b"\n" + poster


def main() -> None:
    """The child: look into the standard input. Arguments: its size, the memory (both in bytes) and the seconds."""
    total_bytes, memory_bytes, cpu_seconds = map(int, sys.argv[1:])
    _limit(memory_bytes=memory_bytes, cpu_seconds=cpu_seconds)
    sys.stdout.buffer.write(_answer(total_bytes))


if __name__ == "__main__":
    main()
