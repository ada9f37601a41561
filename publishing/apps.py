"""Django's registration of the app."""

from django.apps import AppConfig


class PublishingConfig(AppConfig):
    """Publishing."""

    name = "publishing"
