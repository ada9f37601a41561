"""Named places at which a test lets this process die, to prove that nothing is lost or doubled there.

`BROADSIDE_DIE_AT=name` ends the process by SIGKILL when it first reaches that place, `name#3` at the third time.
Without it nothing happens anywhere.
"""

from __future__ import annotations

import itertools
import os
import signal

FAULT_POINTS = (
    "claimed",
    "begun",
    "before creator_info",
    "after creator_info",
    "start announced",
    "start answered",
    "start committed",
    "mid chunk",
    "chunk answered",
    "chunk recorded",
    "before point of no return",
    "after point of no return",
    "last chunk answered",
    "finished",
    "status answered",
    "before published",
    "published",
    "pull announced",
    "pull answered",
    "pull noted",
    "pull committed",
    "cancel answered",
    "refresh answered",
    "confirming",
    "confirmed",
)
"""Every place between two commits: of a delivery in its order, of a pull, of a token's refresh, of a confirm."""

_name, _, _nth = os.environ.get("BROADSIDE_DIE_AT", "").partition("#")
_count = itertools.count(1)
if _name and _name not in FAULT_POINTS:
    raise ValueError(f"BROADSIDE_DIE_AT names no fault point: {_name}")


def reached(name: str) -> None:
    """Say that the place `name` was reached: the end of this process if it was chosen to die here."""
    if name == _name and next(_count) == int(_nth or 1):
        os.kill(os.getpid(), signal.SIGKILL)
