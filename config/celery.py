"""The Celery application: queues, the beat schedule, and what a worker does when it starts."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("broadside")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
