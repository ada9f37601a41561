"""Gunicorn's settings for the demo: the server's own, and a worker that dies with its master."""

from typing import Any

from config.gunicorn import *  # noqa: F403
from stack.leash import die_with_parent

graceful_timeout = 2


def post_fork(server: Any, worker: Any) -> None:
    """Tie the worker to the master, which is tied to the runner."""
    die_with_parent(parent=server.pid)
