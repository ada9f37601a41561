"""Django's registration of the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Accounts."""

    name = "accounts"

    def ready(self) -> None:
        """Listen for what belongs into the audit log, and let the list of sessions hold hashes of keys."""
        from accounts import receivers, sessions

        self.receivers = receivers
        sessions.hash_listed_keys()
