"""Forms of passkeys that answer nonsense with an error of the form. allauth's own let a malformed credential crash."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn import forms as allauth_forms
from cryptography.exceptions import InvalidSignature
from django import forms
from django.core.exceptions import ObjectDoesNotExist

_NONSENSE = (AttributeError, InvalidSignature, KeyError, ObjectDoesNotExist, TypeError, ValueError)
"""What reading somebody's JSON as a credential may raise."""


@contextmanager
def _refusing_nonsense() -> Iterator[None]:
    try:
        yield
    except _NONSENSE:
        raise get_adapter().validation_error("bad_credential") from None


class _Careful(allauth_forms.AuthenticateWebAuthnForm):
    def clean_credential(self) -> Authenticator:
        """Return the authenticator that signed. Raises ValidationError."""
        with _refusing_nonsense():
            return super().clean_credential()


class AuthenticateForm(_Careful):
    """A key as the second step."""


class LoginForm(_Careful, allauth_forms.LoginWebAuthnForm):
    """A passkey in place of the password."""


class ReauthenticateForm(_Careful, allauth_forms.ReauthenticateWebAuthnForm):
    """A key to show that it is still the same person."""


class AddForm(allauth_forms.AddWebAuthnForm):
    """A new key."""

    name = forms.CharField(required=False, max_length=100)

    def clean(self) -> dict[str, Any]:
        """Check the key's answer. Raises ValidationError."""
        with _refusing_nonsense():
            return dict(super().clean())


class EditForm(allauth_forms.EditWebAuthnForm):
    """Another name for a key."""

    name = forms.CharField(max_length=100)
