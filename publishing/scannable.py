"""What is known of a stored file's malware scan."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class ScanState(models.TextChoices):
    """Where the scan of a file stands."""

    NOT_SCANNED = "", "Not scanned"  # no scanner was configured when it came in
    WAITING = "waiting", "Waiting for the scanner"
    CLEAN = "clean", "Clean"
    INFECTED = "infected", "Infected"


class ScanProblem(models.TextChoices):
    """Why a file still waits."""

    DOWN = "down", "The scanner does not answer"
    SLOW = "slow", "The scanner took too long"
    GARBAGE = "garbage", "The scanner's answer was not understood"
    TOO_LARGE = "too_large", "Larger than the scanner takes"
    UNREADABLE = "unreadable", "The file cannot be read"


class Scannable(models.Model):
    """A file that is looked through for malware. `scan_due_at` is when that must next be tried, NULL: never."""

    scan_state = models.CharField(
        max_length=8, choices=ScanState, default=ScanState.NOT_SCANNED, blank=True, editable=False
    )
    scan_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    scan_problem = models.CharField(max_length=10, choices=ScanProblem, blank=True, editable=False)
    scan_signature = models.CharField(max_length=120, blank=True, editable=False)
    scanned_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    @property
    def is_infected(self) -> bool:
        """Whether malware was found; its file is gone then."""
        return self.scan_state == ScanState.INFECTED

    @property
    def waits_for_scan(self) -> bool:
        """Whether no scanner has judged it yet, though one should."""
        return self.scan_state == ScanState.WAITING


def scan_state_known(model: str) -> models.CheckConstraint:
    """The constraint that keeps other words out."""
    return models.CheckConstraint(
        name=f"{model}_scan_state_known", condition=Q(scan_state__in=ScanState.values)
    )


def scan_queue(model: str) -> models.Index:
    """The index that finds the files to scan next."""
    return models.Index(
        name=f"{model}_scan_queue", fields=["scan_due_at"], condition=Q(scan_due_at__isnull=False)
    )
