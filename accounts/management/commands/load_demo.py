"""Load what a demo needs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.module_loading import import_string


class Command(BaseCommand):
    """Run every loader of `settings.DEMO_LOADERS`, in their order; safe to run again."""

    help = "Load demo logins and data. Running it again adds only what is missing."

    def handle(self, *args: Any, **options: Any) -> None:
        """Load, and print what each loader says."""
        for path in settings.DEMO_LOADERS:
            self.stdout.write(import_string(path)())
