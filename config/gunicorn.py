"""Gunicorn's settings for a server: `gunicorn -c config/gunicorn.py config.wsgi`.

One process with threads serves many slow uploads; WEB_CONCURRENCY adds processes. There is no access log: its lines
hold query strings, and an OAuth callback's query string is a secret. What happened is in the application's own log.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

bind = os.environ.get("BIND", "0.0.0.0:8000")  # the demo binds loopback
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
threads = int(os.environ.get("WEB_THREADS", "8"))
timeout = 120
graceful_timeout = int(os.environ.get("WEB_GRACEFUL_SECONDS", "30"))
keepalive = 5
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 - the heartbeat file
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")
accesslog = None
control_socket_disable = True  # it would lie in the home folder, one for all

logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "config.redaction.RedactingFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "gunicorn.error": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "gunicorn.access": {"handlers": [], "propagate": False},
    },
    "root": {"handlers": ["console"], "level": "INFO"},
}


def on_starting(_: Any) -> None:
    """Refuse to start with insecure settings or a wrong key. In a process of its own: a reload reads all code anew."""
    looked = subprocess.run(
        [sys.executable, "-m", "config.startup"], cwd=Path(__file__).resolve().parent.parent, check=False
    )
    if looked.returncode:
        raise SystemExit(looked.returncode)
