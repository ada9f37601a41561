"""What accounts tells the apps above it."""

from django.dispatch import Signal

demo_loading = Signal()
"""The demo is being loaded, its people and `workspace` exist: add what belongs to your app, idempotently."""
