"""Django's registration of the wiring: health checks, start-up checks, commands."""

from django.apps import AppConfig


class ConfigApp(AppConfig):
    """Wiring."""

    name = "config"
    label = "config"

    def ready(self) -> None:
        """Register the system checks, and begin to report errors where that is wanted."""
        from config import checks, error_tracking  # noqa: F401

        error_tracking.start()
