"""`manage.py doctor`: what is configured, what answers, what is missing, and what to do about it."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand
from django.core.management.color import Style

from config.doctor import CHECKS, Finding, Level


class Command(BaseCommand):
    """Look, tell, change nothing. Exit status 1 if something essential fails."""

    help = "Tell what is configured, what answers and what is missing. Exit status 1 if something essential fails."
    requires_system_checks: list[str] = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Print every finding under its heading."""
        levels: list[Level] = []
        for heading, checks in CHECKS.items():
            self.stdout.write(self.style.MIGRATE_HEADING(heading))
            for finding in (finding for check in checks for finding in check()):
                self._tell(finding)
                levels.append(finding.level)
        broken, notes = levels.count(Level.BROKEN), levels.count(Level.NOTE)
        self.stdout.write("")
        if broken:
            self.stdout.write(self.style.ERROR(f"{broken} must be repaired, {notes} to know."))
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS(f"Everything essential works, {notes} to know."))

    def _tell(self, finding: Finding) -> None:
        paint = _painter(self.style, finding.level)
        self.stdout.write(f"  {paint(finding.level.value)} {finding.text}")
        if finding.advice:
            self.stdout.write(f"      {finding.advice}")


def _painter(style: Style, level: Level) -> Any:
    return {Level.FINE: style.SUCCESS, Level.NOTE: style.WARNING, Level.BROKEN: style.ERROR}[level]
