"""Django's registration of the app."""

from django.apps import AppConfig


class PublishingConfig(AppConfig):
    """Publishing."""

    name = "publishing"

    def ready(self) -> None:
        """Listen to connections."""
        from publishing import receivers

        self.receivers = receivers
