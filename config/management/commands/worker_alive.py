"""`manage.py worker_alive`: a container's health check, status 0 while this machine's worker gives signs of life."""

from __future__ import annotations

import socket
import sys
from typing import Any

from django.core.management.base import BaseCommand
from redis import RedisError

from config import heartbeat


class Command(BaseCommand):
    """Look for a fresh sign of life of a worker on this host."""

    help = (
        "Exit status 0 if a worker on this machine gave a sign of life within the last half minute, else 1."
    )
    requires_system_checks: list[str] = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Say who lives, or end with status 1."""
        host = f"{socket.gethostname()}:"
        try:
            alive = [
                sign.name for sign in heartbeat.read_workers() if sign.is_fresh and sign.name.startswith(host)
            ]
        except RedisError as error:
            self.stderr.write(f"Redis does not answer ({type(error).__name__})")
            sys.exit(1)
        if not alive:
            self.stderr.write("No worker on this machine has given a sign of life for 30 s")
            sys.exit(1)
        self.stdout.write(", ".join(alive))
