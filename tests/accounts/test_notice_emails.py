"""E-mails of notices: each sent once, none lost, none to whom it is no business of."""

from __future__ import annotations

import re
import smtplib
import socketserver
import threading
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from accounts import notice_emails
from accounts.models import Membership, Notice, NoticeKind
from accounts.notices import Message, Switches, set_preferences, tell
from accounts.tasks import send_notice_emails

pytestmark = pytest.mark.django_db


@pytest.fixture
def told(alice):
    """Return a function that tells alice of an event."""

    def tell_alice(key: str = "event", **fields: str) -> Notice:
        words = {
            "title": "Not published: hello",
            "body": "The file is gone.",
            "next_step": "Upload it again.",
        }
        message = Message(
            kind=NoticeKind.FAILED,
            key=key,
            path="/w/acme/posts/1/",
            action="Open the post",
            **(words | fields),
        )
        tell([Membership.objects.get(user=alice)], message)
        return Notice.objects.get(key=key)

    return tell_alice


@pytest.fixture
def trouble(monkeypatch):
    """Make the mail server answer with the next of these errors; None lets the e-mail through."""
    errors: list[Exception | None] = []
    real = EmailBackend.send_messages

    def send(self, messages):
        error = errors.pop(0) if errors else None
        if error is not None:
            raise error
        return real(self, messages)

    monkeypatch.setattr(EmailBackend, "send_messages", send)
    return errors


def make_due(**fields: object) -> None:
    Notice.objects.filter(email_due_at__isnull=False).update(
        email_due_at=timezone.now() - timedelta(seconds=1), **fields
    )


def test_email_says_what_happened_what_to_do_and_where(told):
    notice = told(body='The <b>"file"</b> is gone.')

    assert send_notice_emails() == "sent=1 failed=0"

    [message] = mail.outbox
    assert message.subject == "Not published: hello"
    assert message.to == ["alice@example.com"]
    assert 'The <b>"file"</b> is gone.' in message.body
    assert "What to do: Upload it again." in message.body
    assert "Open the post: http://testserver/w/acme/posts/1/" in message.body
    assert "http://testserver/profile/#notifications" in message.body
    [(html, kind)] = message.alternatives
    assert kind == "text/html"
    assert "The &lt;b&gt;&quot;file&quot;&lt;/b&gt; is gone." in html
    assert message.message()["Message-ID"] == f"<notice.{notice.pk}@localhost>"


def test_email_is_sent_once(told):
    told()

    assert [notice_emails.send_due() for _ in range(3)] == ["sent=1 failed=0"] + ["sent=0 failed=0"] * 2

    assert len(mail.outbox) == 1
    assert Notice.objects.get().email_sent_at is not None


def test_caption_cannot_add_headers(told):
    told(title="Not published: x\r\nBcc: everybody@example.com")

    notice_emails.send_due()

    assert mail.outbox[0].subject == "Not published: x Bcc: everybody@example.com"
    assert mail.outbox[0].message()["Bcc"] is None


def test_email_that_somebody_is_sending_is_left_to_them(told):
    told()
    assert notice_emails._claim() is not None

    assert notice_emails.send_due() == "sent=0 failed=0"


def test_email_of_a_sender_that_died_is_sent_by_another(told):
    told()
    notice_emails._claim()
    make_due()  # the claim has run out

    assert notice_emails.send_due() == "sent=1 failed=0"


def test_sender_that_overslept_its_claim_does_not_write_over_another(told):
    told()
    slow = notice_emails._claim()
    make_due()
    notice_emails.send_due()

    notice_emails._back_off(slow, TimeoutError())

    assert Notice.objects.get().email_due_at is None


def test_sender_that_overslept_its_claim_does_not_give_away_the_next_ones(told):
    told()
    slow = notice_emails._claim()
    make_due()
    other = notice_emails._claim()

    notice_emails._back_off(slow, TimeoutError())

    assert Notice.objects.get().email_due_at == other.email_due_at


def test_refused_email_is_tried_again_later(told, trouble):
    told()
    trouble.append(smtplib.SMTPServerDisconnected("gone"))

    assert notice_emails.send_due() == "sent=0 failed=1"
    notice = Notice.objects.get()
    assert notice.email_due_at > timezone.now() + timedelta(seconds=50)
    assert notice.email_problem == "SMTPServerDisconnected"
    assert notice_emails.send_due() == "sent=0 failed=0"

    make_due()
    assert notice_emails.send_due() == "sent=1 failed=0"
    assert Notice.objects.get().email_problem == ""


def test_one_bad_address_does_not_stop_the_others(told, trouble):
    told("1")
    told("2")
    trouble.append(smtplib.SMTPRecipientsRefused({"alice@example.com": (550, b"no alice@example.com here")}))

    assert notice_emails.send_due() == "sent=1 failed=1"

    assert Notice.objects.get(key="1").email_problem == "SMTPRecipientsRefused 550"


def test_email_that_cannot_be_written_stops_no_other_and_is_given_up_too(told, trouble):
    told("1")
    told("2")
    trouble.append(ValueError("no address"))

    assert notice_emails.send_due() == "sent=1 failed=1"
    bad = Notice.objects.get(key="1")
    assert (bad.email_problem, bad.email_tries) == ("ValueError", 1)
    assert bad.email_due_at > timezone.now()

    make_due(email_tries=len(notice_emails.WAITS))
    trouble.append(ValueError("no address"))
    notice_emails.send_due()

    assert Notice.objects.get(key="1").email_due_at is None


def test_slow_mail_server_is_left_in_time_between_two_emails(told, monkeypatch):
    told("1")
    told("2")
    clock = iter([0.0, 0.0, notice_emails.RUN_FOR.total_seconds() + 1])
    monkeypatch.setattr(notice_emails.time, "monotonic", lambda: next(clock))

    assert notice_emails.send_due() == "sent=1 failed=0"
    assert Notice.objects.due_emails().count() == 1


class RudeMailServer(socketserver.StreamRequestHandler):
    """SMTP, as far as one e-mail after the other needs it, with a goodbye that no client understands."""

    taken: list[bytes]
    greetings: list[bytes]

    def handle(self):
        self.greetings.append(b"")
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            match line[:4].upper():
                case b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    self.taken.append(b"".join(iter(self.rfile.readline, b".\r\n")))
                    self.wfile.write(b"250 taken\r\n")
                case b"QUIT":
                    self.wfile.write(b"2" * 10_000 + b"\r\n")
                    return
                case _:
                    self.wfile.write(b"250 fine\r\n")


@pytest.fixture
def rude_server(settings):
    """A real mail server of that kind, to which the product sends."""
    handler = type("Handler", (RudeMailServer,), {"taken": [], "greetings": []})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.server_address
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        yield handler
        server.shutdown()
        thread.join()


def test_mail_server_that_hangs_up_rudely_gets_each_email_once(told, rude_server):
    told("1")
    told("2")

    assert notice_emails.send_due() == "sent=2 failed=0"
    make_due()
    assert notice_emails.send_due() == "sent=0 failed=0"

    assert len(rude_server.taken) == 2
    assert len(rude_server.greetings) == 1, "one connection for all"
    assert len(set(re.findall(rb"Message-ID: <[^>]+>", b"".join(rude_server.taken)))) == 2


def test_mail_server_that_is_down_is_left_alone_after_a_few(told, trouble):
    for number in range(8):
        told(str(number))
    trouble += [ConnectionRefusedError()] * 8

    assert notice_emails.send_due() == "sent=0 failed=3"

    assert Notice.objects.due_emails().count() == 5


def test_email_is_given_up_after_a_day_and_stays_on_the_site(told, trouble):
    told()
    waits = []
    for _ in range(len(notice_emails.WAITS) + 1):
        make_due()
        trouble.append(TimeoutError())
        notice_emails.send_due()
        waits.append(Notice.objects.get().email_due_at)

    assert waits[-1] is None
    assert all(waits[:-1])
    notice = Notice.objects.get()
    assert (notice.email_sent_at, notice.email_problem, notice.is_shown) == (None, "TimeoutError", True)


def test_words_of_the_mail_server_reach_no_log(told, trouble, caplog):
    told()
    trouble.append(smtplib.SMTPResponseException(451, b"try later, alice@example.com"))

    notice_emails.send_due()

    assert "alice@example.com" not in caplog.text
    assert "451" in caplog.text


def leaves(alice):
    Membership.objects.filter(user=alice).delete()


def is_switched_off(alice):
    alice.is_active = False
    alice.save(update_fields=["is_active"])


def never_confirmed(alice):
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=False)


def wants_no_email_any_more(alice):
    set_preferences(alice, {NoticeKind.FAILED: Switches(on_site=True, by_email=False)})


@pytest.mark.parametrize("happening", [leaves, is_switched_off, never_confirmed, wants_no_email_any_more])
def test_email_is_not_sent_to_whom_it_must_not(told, alice, happening):
    told()
    happening(alice)

    notice_emails.send_due()

    assert mail.outbox == []
    notice = Notice.objects.get()
    assert notice.email_due_at is None
    assert notice.email_problem


def test_confirmed_address_gets_its_email(told, alice):
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=True)
    told()

    assert notice_emails.send_due() == "sent=1 failed=0"


def test_where_nobody_confirms_addresses_email_is_sent(told, alice, settings):
    settings.ACCOUNT_EMAIL_VERIFICATION = "none"
    never_confirmed(alice)
    told()

    notice_emails.send_due()

    assert len(mail.outbox) == 1


def test_nothing_is_mailed_where_email_is_off(told, alice):
    set_preferences(alice, {NoticeKind.FAILED: Switches(on_site=True, by_email=False)})
    told()

    notice_emails.send_due()

    assert mail.outbox == []


def test_looking_for_nothing_takes_one_query(django_assert_num_queries, db):
    with django_assert_num_queries(1):
        notice_emails.send_due()
