"""Django's registration of the app."""

from django.apps import AppConfig


class ConnectionsConfig(AppConfig):
    """Connections."""

    name = "connections"

    def ready(self) -> None:
        """Register the system checks."""
        from connections import checks  # noqa: F401
