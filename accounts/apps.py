"""Django's registration of the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Accounts."""

    name = "accounts"

    def ready(self) -> None:
        """Listen for what belongs into the audit log."""
        from accounts import receivers

        self.receivers = receivers
