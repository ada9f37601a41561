"""The wiring's own Celery task: the beat's sign of life."""

from celery import shared_task

from config import heartbeat


@shared_task
def record_beat(**_: object) -> None:
    """Sent by the beat every few seconds; when it runs, beat, broker and a worker all work."""
    heartbeat.record_beat()
