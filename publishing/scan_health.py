"""How the malware scanner stands: for the operators' page and the metrics."""

from __future__ import annotations

from dataclasses import dataclass

from config.clamd import ScannerError
from publishing import scanning


@dataclass(frozen=True)
class ScannerHealth:
    """What the scanner says of itself (`version`), or why it does not (`problem`), and how many files wait for it."""

    version: str
    problem: str
    waiting: int

    @property
    def is_up(self) -> bool:
        """Whether it answers."""
        return not self.problem


def look_at_scanner() -> ScannerHealth | None:
    """Ask the scanner; None if none is configured."""
    if not scanning.is_configured():
        return None
    waiting = scanning.count_waiting()
    try:
        scanner = scanning.scanner()
        scanner.ping()
        return ScannerHealth(scanner.version(), "", waiting)
    except (ScannerError, ValueError) as error:
        return ScannerHealth("", str(error), waiting)
