"""Django's registration of the app."""

from django.apps import AppConfig


class ConnectionsConfig(AppConfig):
    """Connections."""

    name = "connections"

    def ready(self) -> None:
        """Register the system checks and the sign-in provider, and listen to accounts."""
        from allauth.socialaccount.providers import registry

        from connections import checks, receivers  # noqa: F401
        from connections.sign_in.provider import SignInProvider

        registry.register(SignInProvider)
