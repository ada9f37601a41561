"""Gunicorn's settings for a server: `gunicorn -c config/gunicorn.py config.wsgi`.

One process with threads serves many slow uploads; WEB_CONCURRENCY adds processes. There is no access log: its lines
hold query strings, and an OAuth callback's query string is a secret. What happened is in the application's own log.
The variables may also stand in `.env`, as all settings; the environment wins.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from environ import Env

BASE_DIR = Path(__file__).resolve().parent.parent


class _Env(Env):
    """Reads `.env` without putting it into the process's own environment, where a reload would find it outdated."""

    ENVIRON = dict(os.environ)


_Env.read_env(os.environ.get("ENV_FILE", str(BASE_DIR / ".env")))
env = _Env()

bind = env.str("BIND", default="0.0.0.0:8000")  # the demo binds loopback
worker_class = "gthread"
workers = env.int("WEB_CONCURRENCY", default=1)
threads = env.int("WEB_THREADS", default=8)
timeout = 120
graceful_timeout = env.int("WEB_GRACEFUL_SECONDS", default=30)
keepalive = 5
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 - the heartbeat file
forwarded_allow_ips = env.str("FORWARDED_ALLOW_IPS", default="127.0.0.1")
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
        "environ": {"level": "WARNING"},  # that there is no .env is no news
    },
    "root": {"handlers": ["console"], "level": "INFO"},
}


def on_starting(_: Any) -> None:
    """Refuse to start with insecure settings or a wrong key. In a process of its own: a reload reads all code anew."""
    looked = subprocess.run([sys.executable, "-m", "config.startup"], cwd=BASE_DIR, check=False)
    if looked.returncode:
        raise SystemExit(looked.returncode)
