"""TikTok in allauth's registry, for its pages and flows around an account that somebody signs in with."""

from __future__ import annotations

from typing import Any

from allauth.socialaccount.providers.base import Provider, ProviderAccount

NAME = "tiktok"


class Account(ProviderAccount):
    """What people read of an account that they sign in with."""

    def to_str(self) -> str:
        """Return its display name."""
        return str(self.account.extra_data.get("display_name") or "A TikTok account")


class SignInProvider(Provider):
    """Who somebody is, as allauth wants it; the speaking with TikTok is in `flow`.

    allauth's own TikTok provider is not used: it has fixed addresses, a base64 PKCE challenge where TikTok takes hex,
    and puts TikTok's answers, which may hold tokens, into its exceptions.
    """

    id = NAME
    name = "TikTok"
    account_class = Account
    uses_apps = False
    supports_redirect = True

    def extract_uid(self, data: dict[str, str]) -> str:
        """Return TikTok's open_id. It belongs to one client key: another app sees another one."""
        return data["account_id"]

    def extract_extra_data(self, data: dict[str, str]) -> dict[str, Any]:
        """Return what is stored beside the id: the name to show, and nothing else."""
        return {"display_name": data["display_name"][:100]}
