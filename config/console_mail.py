"""E-mails on the console, where a person reads them: their text alone, without its twin in HTML."""

from __future__ import annotations

from copy import copy

from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends import console


class EmailBackend(console.EmailBackend):
    """Django's, in place of which `config.settings` takes it."""

    def write_message(self, message: EmailMessage) -> None:
        """Print `message` without its other forms."""
        if isinstance(message, EmailMultiAlternatives) and message.alternatives:
            message = copy(message)
            message.alternatives = []
        super().write_message(message)
