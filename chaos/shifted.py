"""A Celery worker whose clock is wrong: `python -m chaos.shifted SECONDS <celery's words>`.

Only this process's idea of the time is changed, before anything of ours is loaded.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta, tzinfo
from typing import Self


def shift(seconds: float) -> None:
    """Let `time.time`, Django's `timezone.now` and Celery's check of expiry be off by `seconds`."""
    from celery.worker import request
    from django.utils import timezone

    real_time, real_now = time.time, timezone.now
    time.time = lambda: real_time() + seconds
    timezone.now = lambda: real_now() + timedelta(seconds=seconds)

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(seconds=seconds)

    vars(request)["datetime"] = Shifted


if __name__ == "__main__":
    shift(float(sys.argv[1]))
    from celery.__main__ import main

    sys.argv = ["celery", *sys.argv[2:]]
    main()
