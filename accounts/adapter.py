"""Where our rules meet allauth's flows."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter


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
