"""Wiring: settings, URLs, Celery, health. No domain code."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
