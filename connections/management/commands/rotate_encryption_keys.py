"""`manage.py rotate_encryption_keys`: move every stored secret to the first of ENCRYPTION_KEYS."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from accounts import audit
from connections import second_factors
from connections.crypto import keyring
from connections.keys import Rotation, encrypted_columns, rotate


class Command(BaseCommand):
    """Re-encrypts in batches while everything runs; stop it and start it again as you like."""

    help = (
        "Re-encrypt tokens and upload URLs under the first key of ENCRYPTION_KEYS. Safe while the product runs, and to "
        "stop and repeat. Put the new key first, restart all processes, run this, then remove the old key."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add --dry-run."""
        parser.add_argument(
            "--dry-run", action="store_true", help="Only count, and check that every value opens."
        )

    def handle(self, *args: Any, dry_run: bool = False, **options: Any) -> None:
        """Rotate column by column. Raises CommandError if a value does not open."""
        try:
            self.stdout.write(f"Encrypting under key {keyring().primary_id}.")
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        results = [
            rotate(column, dry_run=dry_run, on_progress=self._progress) for column in encrypted_columns()
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

    def _progress(self, result: Rotation) -> None:
        handled = result.done + result.overtaken + result.unreadable
        self.stdout.write(f"{result.column}: {handled} of {result.total}")

    def _tell(self, result: Rotation, *, dry_run: bool) -> None:
        verb = "to re-encrypt" if dry_run else "re-encrypted"
        self.stdout.write(
            f"{result.column}: {result.done} {verb}, {result.overtaken} changed meanwhile, "
            f"{result.unreadable} do not open"
        )
