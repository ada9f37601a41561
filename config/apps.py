"""Django's registration of the wiring: health checks, start-up checks, commands."""

from django.apps import AppConfig


class ConfigApp(AppConfig):
    """Wiring."""

    name = "config"
    label = "config"

    def ready(self) -> None:
        """Register the system checks."""
        from config import checks  # noqa: F401
