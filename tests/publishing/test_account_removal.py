"""A person deletes their account: what stops it, what goes with it, and that nothing of them can be found after."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
import redis
import responses
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core import mail
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from accounts import exports, tasks
from accounts.account_removal import AccountRemovalError, consequences_of, remove_due, start_removal
from accounts.audit_log import Filters, events_of, lines
from accounts.models import AuditEvent, Invitation, Membership, Notice, PersonExport, Role, User, Workspace
from accounts.workspaces import create_workspace
from connections.models import SocialConnection, WebhookEvent
from publishing import services
from publishing.models import Attempt, Delivery, Post, Video
from publishing.states import DeliveryState
from tests import embedded
from tests.accounts.conftest import PASSWORD

pytestmark = pytest.mark.django_db

REVOKE_URL = "https://open.tiktokapis.com/v2/oauth/revoke/"
URL = "/profile/delete/"


@pytest.fixture
def wire():
    """TikTok's wire, on which revoking works."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.post(REVOKE_URL, json={})
        yield mock


@pytest.fixture
def owner(acme, alice, erin):
    """A second owner of acme, so that nobody is held there."""
    Membership.objects.filter(user=erin).update(role=Role.OWNER)
    return erin


@pytest.fixture
def browser(client, alice):
    """Alice's browser, in which she has just given her password again."""
    client.post(reverse("account_login"), {"login": alice.email, "password": PASSWORD})
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


def run() -> str:
    """What the beat's task does."""
    return tasks.remove_workspaces()


# --- What stops it, and what is said before ---------------------------------------------------------------------------


def test_the_page_asks_for_the_password_again(client, alice):
    client.post(reverse("account_login"), {"login": alice.email, "password": PASSWORD})
    session = client.session
    session["account_authentication_methods"] = []
    session.save()

    for answer in (client.get(URL), client.post(URL, {"email": alice.email})):
        assert answer.status_code == 302
        assert answer.url.startswith(reverse("account_reauthenticate"))
    assert User.objects.get(pk=alice.pk).is_active


def test_somebody_with_a_second_step_may_give_that_instead(client, alice, settings):
    client.force_login(alice)
    Authenticator.objects.create(user=alice, type="totp", data={"secret": "x"})

    page = client.get(client.get(URL).url).content.decode()

    assert reverse("mfa_reauthenticate") in page


def test_the_only_owner_of_a_workspace_with_others_is_held(browser, acme, alice, erin):
    page = browser.get(URL).content.decode()
    assert "Hand it over, or delete it" in page
    assert "/w/acme/settings/transfer/" in page
    assert "Delete my account" not in page

    with pytest.raises(AccountRemovalError, match="Acme"):
        start_removal(user=alice)
    answer = browser.post(URL, {"email": alice.email}, follow=True)

    assert "Others work in Acme" in answer.content.decode()
    assert User.objects.get(pk=alice.pk).is_active


def test_the_page_lists_what_becomes_of_each_workspace(browser, acme, alice, owner):
    create_workspace(name="Alone", owner=alice)
    ending = create_workspace(name="Ending", owner=alice)
    Membership.objects.create(workspace=ending, user=owner, role=Role.EDITOR)
    Workspace.objects.filter(pk=ending.pk).update(delete_after=timezone.now() + timedelta(days=3))

    page = " ".join(browser.get(URL).content.decode().split())

    assert "<strong>Alone</strong> is deleted" in page
    assert "You leave <strong>Acme</strong>. What" in page
    assert "You leave <strong>Ending</strong>, which is deleted on" in page


def test_another_address_deletes_nothing(browser, alice, owner):
    answer = browser.post(URL, {"email": "erin@example.com"})

    assert answer.status_code == 422
    assert "not the e-mail address of this account" in answer.content.decode()
    assert User.objects.get(pk=alice.pk).is_active


def test_the_last_operator_stays(alice, owner):
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    alice.refresh_from_db()

    with pytest.raises(AccountRemovalError, match="operator"):
        start_removal(user=alice)


def test_a_member_who_joins_in_the_last_moment_holds_the_owner(acme, alice):
    assert [one.name for one in consequences_of(alice).deleted] == ["Acme"]
    late = User.objects.create_user("late@example.com")
    Membership.objects.create(workspace=acme, user=late, role=Role.VIEWER)

    with pytest.raises(AccountRemovalError):
        start_removal(user=alice)

    assert Workspace.objects.get(pk=acme.pk).removal_started_at is None


# --- What happens -----------------------------------------------------------------------------------------------------


def test_the_person_is_out_at_once_everywhere(browser, client_class, acme, alice, owner):
    phone = client_class()
    phone.post(reverse("account_login"), {"login": alice.email, "password": PASSWORD})

    answer = browser.post(URL, {"email": "ALICE@example.com"}, follow=True)

    assert "Your account is deleted" in answer.content.decode()
    assert "_auth_user_id" not in browser.session
    assert phone.get("/w/acme/posts/").url.startswith(reverse("account_login"))
    assert not UserSession.objects.filter(user=alice).exists()
    again = browser.post(reverse("account_login"), {"login": alice.email, "password": PASSWORD})
    assert "_auth_user_id" not in browser.session
    assert again.status_code in {200, 302, 422}
    assert not Membership.objects.filter(user=alice).exists()


@pytest.fixture
def client_class():
    """For more browsers than one."""
    from django.test import Client

    return Client


def test_a_last_email_says_so(alice, owner, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        start_removal(user=alice)

    assert [(one.to, one.subject) for one in mail.outbox] == [
        (["alice@example.com"], "Your Broadside account is deleted")
    ]


def test_a_mail_server_that_is_down_stops_nothing(
    alice, owner, monkeypatch, django_capture_on_commit_callbacks
):
    monkeypatch.setattr("accounts.account_removal.send_mail", _refuse)

    with django_capture_on_commit_callbacks(execute=True):
        start_removal(user=alice)

    assert remove_due() == "removed=1 waiting=0"


def _refuse(*_: object, **__: object) -> None:
    raise OSError("no mail today")


def test_a_workspace_of_ones_own_goes_with_its_files_and_its_access(alice, owner, make_delivery, wire):
    alone = create_workspace(name="Alone", owner=alice)
    delivery = make_delivery(alone)
    path = Path(delivery.post.video.file.path)

    start_removal(user=alice)

    assert run() == "workspaces removed=1 waiting=0, accounts removed=1 waiting=0"
    assert [call.request.url for call in wire.calls] == [REVOKE_URL]
    assert not path.exists()
    assert list(User.objects.all()) == [owner]
    assert not Workspace.objects.filter(pk=alone.pk).exists()


def test_what_a_request_that_was_under_way_brought_them_into_does_not_keep_the_account(alice, owner, acme):
    start_removal(user=alice)
    Membership.objects.create(workspace=acme, user=alice, role=Role.VIEWER)
    alone = create_workspace(name="Alone", owner=alice)

    first, second = run(), run()

    assert first.endswith("accounts removed=0 waiting=1")
    assert second == "workspaces removed=1 waiting=0, accounts removed=1 waiting=0"
    assert list(User.objects.all()) == [owner]
    assert not Workspace.objects.filter(pk=alone.pk).exists()


def test_an_upload_on_its_way_is_waited_for(alice, owner, make_delivery, wire):
    alone = create_workspace(name="Alone", owner=alice)
    delivery = make_delivery(alone, state=DeliveryState.UPLOADING)
    claimed = Delivery.objects.claim(delivery.pk, lease=timedelta(minutes=5))
    start_removal(user=alice)

    assert run() == "workspaces removed=0 waiting=1, accounts removed=0 waiting=1"
    assert Delivery.objects.get().cancel_requested_at
    claimed.advance(DeliveryState.CANCELED)
    claimed.release(wake_in=None)

    assert run() == "workspaces removed=1 waiting=0, accounts removed=1 waiting=0"
    assert not User.objects.filter(pk=alice.pk).exists()


def test_the_account_waits_while_the_platform_is_down_and_goes_when_it_is_back(alice, owner, make_connection):
    make_connection(create_workspace(name="Alone", owner=alice))
    start_removal(user=alice)
    with responses.RequestsMock() as wire:
        wire.post(REVOKE_URL, status=503)
        assert run() == "workspaces removed=0 waiting=1, accounts removed=0 waiting=1"
    assert SocialConnection.objects.get().access_token

    with responses.RequestsMock() as wire:
        wire.post(REVOKE_URL, json={})
        assert run() == "workspaces removed=1 waiting=0, accounts removed=1 waiting=0"


def test_an_account_that_another_workspace_has_keeps_its_access(alice, owner, rival, make_connection, wire):
    make_connection(create_workspace(name="Alone", owner=alice), provider_account_id="-000same")
    theirs = make_connection(rival, provider_account_id="-000same")
    start_removal(user=alice)

    run()

    assert not wire.calls
    assert SocialConnection.objects.get() == theirs


def test_what_was_brought_into_a_shared_workspace_stays_without_the_name(acme, alice, owner, make_delivery):
    delivery = make_delivery(acme, state=DeliveryState.FAILED)
    Post.objects.update(created_by=alice)
    Video.objects.update(uploaded_by=alice)
    services.retry_delivery(delivery=delivery, user=alice)
    start_removal(user=alice)

    assert remove_due() == "removed=1 waiting=0"

    assert Post.objects.get().created_by is None
    assert Attempt.objects.get(step="person").detail == {"by": "somebody who is gone"}
    assert Path(Video.objects.get().file.path).exists()


def test_the_log_of_a_shared_workspace_keeps_the_deed_and_not_the_name(acme, alice, owner, make_delivery):
    services.retry_delivery(delivery=make_delivery(acme, state=DeliveryState.FAILED), user=alice)
    start_removal(user=alice)
    remove_due()

    told = {line.what: line.person for line in lines(events_of(acme, Filters()))}

    assert told == {"Post retried": "Somebody who is gone", "Member left": "Somebody who is gone"}
    assert AuditEvent.objects.get(action="post.retried").actor_id == alice.pk


def test_invitations_to_a_proven_address_go_and_others_stay(acme, alice, owner):
    EmailAddress.objects.create(user=alice, email="work@example.com", verified=True)
    EmailAddress.objects.create(user=alice, email="boss@example.com", verified=False)
    for address in ("Work@example.com", "boss@example.com"):
        Invitation.objects.create(
            workspace=acme,
            email=address,
            role=Role.EDITOR,
            token_hash=uuid.uuid4().hex,
            expires_at=timezone.now() + timedelta(days=1),
        )
    start_removal(user=alice)
    remove_due()

    assert [one.email for one in Invitation.objects.all()] == ["boss@example.com"]


def test_invitations_that_the_person_sent_end(acme, alice, owner):
    invitation = Invitation.objects.create(
        workspace=acme,
        email="new@example.com",
        role=Role.EDITOR,
        token_hash="x",
        invited_by=alice,
        expires_at=timezone.now() + timedelta(days=1),
    )

    start_removal(user=alice)

    invitation.refresh_from_db()
    assert invitation.revoked_at


def test_an_export_that_is_being_made_ends_with_its_person(alice, owner, monkeypatch):
    exports.request_person_export(user=alice)
    claimed = exports._claim()
    start_removal(user=alice)
    remove_due()

    assert exports._build(claimed) == "lost"
    assert default_storage.exists(claimed.file_name) is False


def test_a_removal_that_fails_half_way_goes_on_next_time(alice, owner, monkeypatch):
    start_removal(user=alice)
    with monkeypatch.context() as patch:
        patch.setattr("accounts.admin_log.forget_words", _refuse)
        assert remove_due() == "removed=0 waiting=1"
    assert User.objects.filter(pk=alice.pk).exists()

    assert remove_due() == "removed=1 waiting=0"


def test_deleting_twice_is_deleting_once(alice, owner):
    start_removal(user=alice)
    start_removal(user=alice)

    assert AuditEvent.objects.filter(action="account.deletion_started").count() == 1


# --- Nothing can be found ---------------------------------------------------------------------------------------------

WORDS = (
    "zelda.quist@example.com",
    "zelda",
    "quist",
    "wanderlust-clip",
    "-000zeldasopenid",
    "zq_on_tour",
    "Zaubernuss",
)
"""Whatever the person called themselves, their files and accounts: none of it may be anywhere."""


@pytest.mark.django_db(transaction=True)
def test_after_a_full_deletion_no_word_of_the_person_is_anywhere(
    client, acme, alice, erin, make_connection, make_video, make_delivery, wire, settings
):
    zelda = _zelda(client)
    alone = Workspace.objects.get(memberships__user=zelda)
    Membership.objects.create(workspace=acme, user=zelda, role=Role.ADMIN)
    _lead_a_life(zelda, alone, make_connection, make_video, make_delivery)
    _lead_a_life(zelda, acme, lambda w, **_: make_connection(w), lambda w, **f: make_video(w), make_delivery)
    _be_administered(zelda, alone, alice)
    client.post("/profile/data/")
    exports.build_due()
    assert PersonExport.objects.get().state == "ready"
    before = _everything(settings.MEDIA_ROOT)
    assert all(word.lower() in before for word in WORDS), "the search itself works"

    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    answer = client.post(URL, {"email": zelda.email})
    assert answer.url == reverse("home"), answer
    assert run() == "workspaces removed=1 waiting=0, accounts removed=1 waiting=0"

    after = _everything(settings.MEDIA_ROOT)
    assert [(word, _around(after, word)) for word in WORDS if word.lower() in after] == []


def _zelda(client) -> User:
    """Somebody who signs up, confirms the address, sets up a second step and renames the workspace."""
    client.post(
        reverse("account_signup"),
        {"name": "Zelda Quist", "email": "zelda.quist@example.com", "password1": PASSWORD},
    )
    zelda = User.objects.get(email="zelda.quist@example.com")
    EmailAddress.objects.filter(user=zelda).update(verified=True)
    slug = Workspace.objects.get(memberships__user=zelda).slug
    client.post(f"/w/{slug}/settings/", {"name": "Zaubernuss"})
    client.post(reverse("account_login"), {"login": zelda.email, "password": "wrong"})
    Authenticator.objects.create(user=zelda, type="recovery_codes", data={"label": "Zelda's"})
    SocialAccount.objects.create(
        user=zelda, provider="tiktok", uid="-000zeldasopenid", extra_data={"display_name": "Zelda Q"}
    )
    return zelda


def _lead_a_life(zelda, workspace, make_connection, make_video, make_delivery) -> None:
    """Connect, upload, post, fail, retry, get notices and exports."""
    connection_ = make_connection(
        workspace,
        provider_account_id="-000zeldasopenid",
        account_label="Zelda on tour",
        profile={"username": "zq_on_tour", "display_name": "Zelda Q"},
        connected_by=zelda,
    )
    video = make_video(workspace, original_name="wanderlust-clip.mp4", uploaded_by=zelda)
    delivery = make_delivery(workspace, connection=connection_, video=video, state=DeliveryState.FAILED)
    Post.objects.filter(pk=delivery.post_id).update(created_by=zelda)
    services.retry_delivery(delivery=delivery, user=zelda)
    WebhookEvent.objects.get_or_create(
        dedup_key="zelda",
        defaults={
            "provider": "tiktok",
            "kind": "publish",
            "account_id": "-000zeldasopenid",
            "body": '{"user_openid": "-000zeldasopenid"}',
        },
    )
    Notice.objects.create(
        workspace=workspace,
        user=zelda,
        kind="failed",
        key=f"x{workspace.pk}",
        title="Not published: wanderlust-clip",
    )
    Invitation.objects.create(
        workspace=workspace,
        email=zelda.email,
        role=Role.ADMIN,
        token_hash=uuid.uuid4().hex,
        expires_at=timezone.now(),
        accepted_at=timezone.now(),
        accepted_by=zelda,
    )
    video.poster.save("poster.jpg", ContentFile(b"poster"), save=True)


def _be_administered(zelda, alone, operator) -> None:
    """An operator changed the person, their workspace and their video in the admin, whose log names them."""
    video = Video.objects.get(workspace=alone)
    for row in (zelda, alone, video, EmailAddress.objects.get(user=zelda)):
        LogEntry.objects.create(
            user=operator,
            content_type=ContentType.objects.get_for_model(type(row)),
            object_id=str(row.pk),
            object_repr=str(row),
            action_flag=CHANGE,
            change_message=json.dumps([{"changed": {"name": "video", "object": str(row), "fields": ["x"]}}]),
        )


def _everything(media_root: Path) -> str:
    """A dump of the whole database, the names and contents of all files, and all of Redis, in small letters."""
    return (_dump() + _files(media_root) + _redis()).lower()


def _dump() -> str:
    """Every row of every table as text, read by the database itself."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        tables = [name for (name,) in cursor.fetchall()]
        rows = []
        for table in tables:
            cursor.execute(f'SELECT CAST(t AS text) FROM "{table}" t')  # noqa: S608
            rows += [f"{table}: {row}" for (row,) in cursor.fetchall()]
    return "\n".join(rows)


def _files(root: Path) -> str:
    found = [path for path in Path(root).rglob("*") if path.is_file()]
    return "\n".join(
        f"{path.relative_to(root)} {path.read_bytes().decode(errors='replace')}" for path in found
    )


def _redis() -> str:
    assert embedded.services
    with redis.Redis.from_url(embedded.services.redis.url) as client:
        parts = []
        for key in client.keys("*"):
            parts.append(key.decode(errors="replace"))
            parts.append(_value(client, key))
    return "\n".join(parts)


def _value(client, key: bytes) -> str:
    """A key's value as text; a queued message's body is base64, so that is opened too."""
    kind = client.type(key)
    if kind == b"list":
        values = client.lrange(key, 0, -1)
        bodies = [base64.b64decode(json.loads(value)["body"]) for value in values if b'"body"' in value]
        return " ".join(one.decode(errors="replace") for one in [*values, *bodies])
    value = client.dump(key) or b""
    return value.decode(errors="replace")


def _around(text: str, word: str) -> str:
    place = text.index(word.lower())
    return text[max(0, place - 120) : place + 60]
