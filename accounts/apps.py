"""Django's registration of the app."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created


class AccountsConfig(AppConfig):
    """Accounts."""

    name = "accounts"

    def ready(self) -> None:
        """Listen for what belongs into the audit log, hash listed sessions, and let statements carry their scope."""
        from accounts import receivers, row_security, sessions
        from accounts.scopes import send_scope

        connection_created.connect(send_scope)
        self.checks = row_security
        self.receivers = receivers
        sessions.hash_listed_keys()
