"""Load what a demo needs."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.module_loading import import_string


class Command(BaseCommand):
    """Run every loader of `settings.DEMO_LOADERS`, in their order; safe to run again."""

    help = "Load demo logins and data. Running it again adds only what is missing."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the word that known passwords may be loaded here."""
        parser.add_argument(
            "--anywhere", action="store_true", help="load also where others can reach the site"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Load, and print what each loader says. Refused where others could log in with the known passwords."""
        host = urlsplit(settings.BASE_URL).hostname
        if host not in {"127.0.0.1", "localhost", "::1"} and not options["anywhere"]:
            raise CommandError(
                f"The demo's passwords are known to everybody, and {settings.BASE_URL} is not this machine alone. "
                "If that is what you want: load_demo --anywhere"
            )
        for path in settings.DEMO_LOADERS:
            self.stdout.write(import_string(path)())
