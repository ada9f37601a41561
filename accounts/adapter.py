"""Where our rules meet allauth's flows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.usersessions.adapter import DefaultUserSessionsAdapter
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts import audit
from accounts.models import User
from accounts.templatetags.signin import browser_name
from config.redirects import is_ours


class AccountAdapter(DefaultAccountAdapter):
    """Accounts as Broadside has them: its words where a person must act."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": "That e-mail address and password don't match. Check both, or reset your password.",
        "too_many_login_attempts": "Too many failed log-ins. Wait a few minutes, or reset your password.",
        "account_inactive": "This account is switched off.",
        "incorrect_password": "That is not your password.",
        "enter_current_password": "That is not your current password.",
        "duplicate_email": "That is your address already.",
    }

    def is_safe_url(self, url: str | None) -> bool:
        """Whether a page may lead there. allauth would also take the other names that ALLOWED_HOSTS lists."""
        return bool(url) and is_ours(context.request, str(url))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send what allauth composed, with links to BASE_URL.

        allauth takes scheme, host and port from the request, so whoever asks for somebody's reset could have its link
        lead to another port.
        """
        links = {name: _on_base_url(value) for name, value in context.items() if name.endswith("_url")}
        super().send_mail(template_prefix, email, context | links)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Count failed log-ins by the address alone: allauth adds the Host header, which whoever guesses may vary."""
        return str(credentials.get("email", "")).lower()

    def pre_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse | None:
        """Turn away who is switched off, and note it."""
        if not user.is_active:
            audit.record_for_person(
                "sign_in.failed",
                user=user,
                actor=None,
                request=request,
                user_id=user.pk,
                reason="switched off",
            )
        answer: HttpResponse | None = super().pre_login(request, user, **kwargs)
        return answer


def _on_base_url(url: str) -> str:
    base, parts = urlsplit(settings.BASE_URL), urlsplit(url)
    return urlunsplit(parts._replace(scheme=base.scheme, netloc=base.netloc))


class UserSessionsAdapter(DefaultUserSessionsAdapter):
    """Ending sessions elsewhere, be it by hand or since the password changed."""

    def end_sessions(self, sessions: Iterable[UserSession]) -> None:
        """End each, and note which."""
        for session in sessions:
            browser = browser_name(session.user_agent)
            session.end()
            audit.record_for_person(
                "session.ended",
                user=session.user,
                actor=audit.current_actor(),
                browser=browser,
                last_ip=session.ip,
            )
