"""The Celery application: queues, the beat schedule, and what a worker does when it starts."""

from __future__ import annotations

import logging.config
import os
from typing import TYPE_CHECKING, Any

from celery import Celery
from celery.signals import beat_init, celeryd_init, setup_logging, worker_ready, worker_shutdown

if TYPE_CHECKING:
    from config.heartbeat import Heartbeat

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("broadside")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(["config"])

_heartbeats: list[Heartbeat] = []  # this worker's one, while it runs


@setup_logging.connect
def _log_like_django(**_: Any) -> None:
    """Use Django's LOGGING, with its redaction, in place of Celery's own handlers."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)


@celeryd_init.connect
@beat_init.connect
def _refuse_insecure_start(**_: Any) -> None:
    """Celery logs an exception of a receiver and goes on; SystemExit ends it."""
    import django

    from config.startup import refuse_insecure_start

    django.setup()
    refuse_insecure_start()


@worker_ready.connect
def _start_heartbeat(**_: Any) -> None:
    from config.heartbeat import Heartbeat

    heartbeat = Heartbeat()
    heartbeat.start()
    _heartbeats.append(heartbeat)


@worker_shutdown.connect
def _stop_heartbeat(**_: Any) -> None:
    while _heartbeats:
        _heartbeats.pop().stop()
