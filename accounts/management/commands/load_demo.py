"""Load what a demo needs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from accounts import demo
from accounts.signals import demo_loading


class Command(BaseCommand):
    """Make the demo's logins and let every app add its part; safe to run again."""

    help = "Load demo logins and data. Running it again adds only what is missing."

    def handle(self, *args: Any, **options: Any) -> None:
        """Load, then print the logins."""
        workspace = demo.load_people()
        demo_loading.send(sender=type(workspace), workspace=workspace)
        for login in demo.LOGINS:
            self.stdout.write(f"{login.email:<26} {demo.PASSWORD}   {login.what}")
