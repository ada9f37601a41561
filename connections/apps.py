"""Django's registration of the app."""

from django.apps import AppConfig


class ConnectionsConfig(AppConfig):
    """Connections."""

    name = "connections"

    def ready(self) -> None:
        """Register the system checks, and listen to accounts."""
        from connections import checks, receivers  # noqa: F401
