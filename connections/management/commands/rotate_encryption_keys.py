"""`manage.py rotate_encryption_keys`: move every stored secret to the first of ENCRYPTION_KEYS."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, OutputWrapper

from accounts import audit
from accounts.scopes import System, system_scope
from connections import second_factors
from connections.crypto import keyring
from connections.keys import BATCH, Rotation, encrypted_columns, rotate


class Progress:
    """Tells how far one column is: the whole of it, what earlier runs did included, and how long the rest will take."""

    def __init__(self, out: OutputWrapper) -> None:
        self._out = out
        self._started = time.monotonic()

    def __call__(self, result: Rotation) -> None:
        """Write one line."""
        speed = (result.handled - result.already) / max(time.monotonic() - self._started, 0.001)
        left = max(result.total - result.handled, 0)
        words = f", about {left / speed:,.0f} s left" if left and speed else ""
        self._out.write(f"{result.column}: {result.handled} of {result.total} ({speed:,.0f} a second{words})")
        self._out.flush()


class Command(BaseCommand):
    """Re-encrypts in batches while everything runs; stop it and start it again as you like."""

    help = (
        "Re-encrypt all stored secrets under the first key of ENCRYPTION_KEYS. Safe while the product runs, and to "
        "stop or kill and start again: it goes on where it was. Put the new key first, restart all processes, run "
        "this, then remove the old key."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add --dry-run."""
        parser.add_argument(
            "--dry-run", action="store_true", help="Only count, and check that every value opens."
        )
        parser.add_argument(
            "--batch",
            type=int,
            default=BATCH,
            metavar="ROWS",
            help=f"Rows in one statement ({BATCH}); fewer hold locks for a shorter time.",
        )

    @system_scope(System.KEYS)
    def handle(self, *args: Any, dry_run: bool = False, batch: int = BATCH, **options: Any) -> None:
        """Rotate column by column. Raises CommandError if a value does not open."""
        try:
            self.stdout.write(f"Encrypting under key {keyring().primary_id}.")
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        if batch < 1:
            raise CommandError("--batch must be 1 or more.")
        results = [
            rotate(column, dry_run=dry_run, batch_rows=batch, on_progress=Progress(self.stdout))
            for column in encrypted_columns()
        ]
        for result in results:
            self._tell(result, dry_run=dry_run)
        moved, unreadable_factors = second_factors.reseal(dry_run=dry_run)
        verb = "to re-encrypt" if dry_run else "re-encrypted"
        self.stdout.write(f"{second_factors.CONTEXT}: {moved} {verb}, {unreadable_factors} do not open")
        unreadable = sum(result.unreadable for result in results) + unreadable_factors
        if not dry_run:
            self._record(results, unreadable)
        if unreadable:
            raise CommandError(
                f"{unreadable} stored values do not open with any key of ENCRYPTION_KEYS. They were left as they are: "
                "add the key that they need and run this again."
            )
        self.stdout.write(
            self.style.SUCCESS("Every value opens." if dry_run else "Old keys are no longer needed.")
        )

    def _record(self, results: list[Rotation], unreadable: int) -> None:
        audit.record(
            "keys.rotated",
            workspace=None,
            actor=None,
            newest=keyring().primary_id,
            values=sum(result.done for result in results),
            unreadable=unreadable,
        )

    def _tell(self, result: Rotation, *, dry_run: bool) -> None:
        verb = "to re-encrypt" if dry_run else "re-encrypted"
        self.stdout.write(
            f"{result.column}: {result.done} {verb}, {result.overtaken} changed meanwhile, "
            f"{result.unreadable} do not open"
        )
