"""One line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad it is, with the sign that the report shows."""

    FINE = "✓"
    NOTE = "!"
    BROKEN = "✗"


@dataclass(frozen=True)
class Finding:
    """What was found, and what to do about it (empty when nothing is to be done)."""

    level: Level
    text: str
    advice: str = ""


def fine(text: str) -> Finding:
    """All is well."""
    return Finding(Level.FINE, text)


def note(text: str, advice: str) -> Finding:
    """It works, but a person should know."""
    return Finding(Level.NOTE, text, advice)


def broken(text: str, advice: str) -> Finding:
    """It cannot work until somebody acts."""
    return Finding(Level.BROKEN, text, advice)
