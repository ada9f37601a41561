"""Sending the e-mails of notices from their rows: each once in practice, none lost.

A row is claimed by moving its `email_due_at` ahead, so that two senders do not send the same; a sender that dies
between the mail server's yes and our note sends it once more, under the same Message-ID.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from email.utils import parseaddr
from smtplib import SMTPRecipientsRefused

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models.functions import Now
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import Membership, Notice, NoticeKind
from accounts.notices import switches_of
from accounts.scopes import System, system_scope

logger = logging.getLogger(__name__)

BATCH = 100
CLAIM = timedelta(minutes=5)
"""How long one sender may take over one e-mail; longer than the time-outs of EMAIL_TIMEOUT."""

WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360, 720))
"""How long after each failure it is tried again; after the last it is given up, a day on."""

RUN_FOR = timedelta(minutes=3)
"""How long one run takes up new ones: a slow mail server must not have it cut off in the middle of an e-mail."""

FAILURES_IN_A_ROW = 3
"""After so many the mail server is taken to be down, and the rest waits for the next run."""


@system_scope(System.NOTICES)
def send_due() -> str:
    """Send what is due, up to BATCH; return what was done, for the log. Any number may run at once."""
    sent = failed = in_a_row = 0
    mailer = get_connection()
    until = time.monotonic() + RUN_FOR.total_seconds()
    try:
        while (
            sent + failed < BATCH
            and in_a_row < FAILURES_IN_A_ROW
            and time.monotonic() < until
            and (notice := _claim())
        ):
            if _send(notice, mailer):
                sent, in_a_row = sent + 1, 0
            else:
                failed, in_a_row = failed + 1, in_a_row + 1
    finally:
        _close(mailer)
    return f"sent={sent} failed={failed}"


def _claim() -> Notice | None:
    """Take the e-mail that has been due the longest; None if there is none, or another sender was faster."""
    for pk, due_at in Notice.objects.due_emails().values_list("pk", "email_due_at")[:FAILURES_IN_A_ROW]:
        ours = Notice.objects.filter(pk=pk, email_due_at=due_at)
        if ours.update(email_due_at=Now() + CLAIM):
            return Notice.objects.select_related("user", "workspace").get(pk=pk)
    return None


def _send(notice: Notice, mailer: BaseEmailBackend) -> bool:
    """Send one e-mail and note how it went; return False if it must be tried again.

    Raises nothing of the mailer's, whatever its kind: one e-mail that cannot be written must not stop the others.
    """
    obstacle = _obstacle(notice)
    if obstacle:
        _note(notice, email_due_at=None, email_problem=obstacle)
        return True
    try:
        mailer.open()  # else each sending ends with a goodbye, and one that fails would pass for a failed e-mail
        mailer.send_messages([compose(notice, mailer)])
    except Exception as error:
        _close(mailer)
        _back_off(notice, error)
        return False
    _note(notice, email_due_at=None, email_sent_at=Now(), email_problem="")
    logger.info("notice sent notice=%s user=%s kind=%s", notice.pk, notice.user_id, notice.kind)
    return True


def _obstacle(notice: Notice) -> str:
    """Why this person must not get this e-mail any more, or ""."""
    if not notice.user.is_active:
        return "the account is switched off"
    if not Membership.objects.filter(workspace_id=notice.workspace_id, user_id=notice.user_id).exists():
        return "no longer a member"
    kind = NoticeKind(notice.kind)
    if not switches_of([notice.user_id], kind)[notice.user_id].by_email:
        return "switched off since"
    # Somebody may have signed up with an address that is not theirs: what others write must not be sent there.
    unconfirmed = EmailAddress.objects.filter(
        user_id=notice.user_id, email__iexact=notice.user.email, verified=False
    )
    if settings.ACCOUNT_EMAIL_VERIFICATION != "none" and unconfirmed.exists():
        return "the e-mail address is not confirmed"
    return ""


def compose(notice: Notice, mailer: BaseEmailBackend | None = None) -> EmailMultiAlternatives:
    """Write the e-mail of `notice`: plain text, and the same as simple HTML."""
    context = {
        "notice": notice,
        "url": settings.BASE_URL + notice.path if notice.path else "",
        "switches_url": settings.BASE_URL + reverse("profile") + "#notifications",
    }
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    message = EmailMultiAlternatives(
        subject=notice.title,
        body=render_to_string("accounts/notice_email.txt", context),
        to=[notice.user.email],
        headers={"Message-ID": f"<notice.{notice.pk}@{domain}>", "Auto-Submitted": "auto-generated"},
        connection=mailer,
    )
    message.attach_alternative(render_to_string("accounts/notice_email.html", context), "text/html")
    return message


def _back_off(notice: Notice, error: Exception) -> None:
    # Of a mail server's words only its code is kept: they may quote the address.
    code = getattr(error, "smtp_code", "")
    if isinstance(error, SMTPRecipientsRefused):
        code = next(iter(error.recipients.values()), ("",))[0]
    problem = f"{type(error).__name__} {code}".strip()[:120]
    logger.warning(
        "notice not sent notice=%s user=%s tries=%s problem=%s",
        notice.pk,
        notice.user_id,
        notice.email_tries + 1,
        problem,
    )
    wait = WAITS[notice.email_tries] if notice.email_tries < len(WAITS) else None
    _note(
        notice,
        email_due_at=None if wait is None else Now() + wait,
        email_tries=notice.email_tries + 1,
        email_problem=problem,
    )


def _note(notice: Notice, **values: object) -> None:
    Notice.objects.filter(pk=notice.pk, email_due_at=notice.email_due_at).update(**values)


def _close(mailer: BaseEmailBackend) -> None:
    try:
        mailer.close()
    except OSError:
        logger.info("the mail server hung up first")
