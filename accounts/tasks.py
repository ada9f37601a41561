"""Celery's door to accounts."""

from __future__ import annotations

from celery import shared_task

from accounts import account_removal, exports, notice_emails, notices, removal, sessions


@shared_task(soft_time_limit=270, time_limit=290)
def send_notice_emails(**_: object) -> str:
    """Send the e-mails of notices that are due."""
    return notice_emails.send_due()


@shared_task(soft_time_limit=1500, time_limit=1800)
def remove_workspaces(**_: object) -> str:
    """Remove the workspaces whose grace period is over, and the accounts that people deleted."""
    return f"workspaces {removal.remove_due()}, accounts {account_removal.remove_due()}"


@shared_task
def delete_old_notices(**_: object) -> int:
    """Forget what people were told long ago."""
    return notices.delete_old()


@shared_task
def forget_expired_sessions(**_: object) -> int:
    """Delete what is left of sessions that are over."""
    return sessions.forget_expired()


@shared_task
def build_exports(**_: object) -> str:
    """Make the exports that wait."""
    return exports.build_due()


@shared_task
def sweep_exports(**_: object) -> str:
    """Delete the exports whose time is over."""
    return exports.sweep()
