"""Every action of the audit log, provoked through the door that people or processes use: who, from where, what.

Those whose proof needs a whole flow of its own are in ELSEWHERE.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group
from django.core import mail
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from accounts import account_removal, exports
from accounts.audit import ACTIONS
from accounts.models import (
    AuditEvent,
    Invitation,
    Membership,
    PersonExport,
    User,
    Workspace,
    WorkspaceExport,
)
from accounts.removal import remove_due
from connections.errors import ProviderError
from connections.models import SocialConnection
from connections.providers import provider_for
from connections.providers.base import PublishMode
from connections.tokens import refresh_now
from publishing import ending
from publishing.models import Delivery
from publishing.notifying import advance_and_tell
from publishing.states import DeliveryState, HoldReason
from stack.options import BASE_DIR
from tests.connections.conftest import (  # noqa: F401  # fixtures
    ALL_SCOPES,
    REVOKE_URL,
    TOKEN_URL,
    USER_URL,
    account,
    enveloped,
    flat_error,
    grant,
    tiktok,
)
from tests.publishing.conftest import make_connection, make_delivery, make_video  # noqa: F401  # fixtures

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
NEW_PASSWORD = "another fine phrase 8"
SECRETS = (PASSWORD, NEW_PASSWORD, "act.", "rft.", "gAAAA", "a-code", "typed secret", "a private caption")
HERE = "127.0.0.1"


@dataclass
class World:
    """The cast, their browsers, TikTok's wire, and makers."""

    acme: Workspace
    alice: User
    vic: User
    wire: Any
    make_connection: Callable[..., SocialConnection]
    make_delivery: Callable[..., Delivery]
    settings: Any
    browser: Client = field(default_factory=Client)

    def log_in(self, browser: Client | None = None) -> Client:
        browser = browser or self.browser
        browser.post(reverse("account_login"), {"login": self.alice.email, "password": PASSWORD})
        browser.post(reverse("account_reauthenticate"), {"password": PASSWORD})
        return browser

    def post(self, path: str, **data: Any) -> Any:
        return self.log_in().post(path, data)

    def membership(self, user: User) -> Membership:
        return Membership.objects.get(workspace=self.acme, user=user)


@pytest.fixture
def world(acme, alice, vic, account, make_connection, make_delivery, settings):  # noqa: F811
    """A workspace with an owner whose address is confirmed, and one viewer."""
    settings.TIKTOK_SIGN_IN = True
    settings.TIKTOK_CLIENT_KEY, settings.TIKTOK_CLIENT_SECRET = "the-key", "the-secret"
    provider_for.cache_clear()
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=True)
    yield World(acme, alice, vic, account, make_connection, make_delivery, settings)
    provider_for.cache_clear()


# --- How each is provoked ---------------------------------------------------------------------------------------------


def sign_in(w: World) -> None:
    w.log_in()


def sign_out(w: World) -> None:
    w.post(reverse("account_logout"))


def sign_in_failed(w: World) -> None:
    w.browser.post(reverse("account_login"), {"login": w.alice.email, "password": "a typed secret"})


def by_tiktok_that_is_forged(w: World) -> None:
    w.browser.get(reverse("tiktok_callback"), {"code": "a-code", "state": "forged"})


def change_password(w: World) -> None:
    w.post(
        reverse("account_change_password"),
        oldpassword=PASSWORD,
        password1=NEW_PASSWORD,
        password2=NEW_PASSWORD,
    )


def link_in_mail() -> str:
    return urlsplit(re.findall(r"http\S+", str(mail.outbox[-1].body))[0]).path


def reset_password(w: World) -> None:
    w.browser.post(reverse("account_reset_password"), {"email": w.alice.email})
    form = w.browser.get(link_in_mail(), follow=True).request["PATH_INFO"]
    w.browser.post(form, {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})


def confirm_email(w: World) -> None:
    EmailAddress.objects.filter(user=w.alice).update(verified=False)
    w.post(reverse("account_email"), email=w.alice.email, action_send="")
    w.browser.post(link_in_mail())


def change_email(w: World) -> None:
    w.post(reverse("account_email"), email="alice.new@example.com", action_add="")
    w.browser.post(link_in_mail())


def end_session(w: World) -> None:
    other = w.log_in(Client())
    row = UserSession.objects.get(session_key=other.session.session_key)
    w.post(reverse("session_end", args=[row.pk]))


def link_tiktok(w: World) -> None:
    w.wire.post(TOKEN_URL, json=grant(scope="user.info.basic"))
    w.wire.get(USER_URL, json=enveloped({"user": {"open_id": "-000creator", "display_name": "Nora"}}))
    left = w.post(reverse("tiktok_link"))
    state = dict(parse_qsl(urlsplit(left.url).query))["state"]
    w.browser.get(reverse("tiktok_callback"), {"code": "a-code", "state": state})


def unlink_tiktok(w: World) -> None:
    link_tiktok(w)
    w.post(reverse("socialaccount_connections"), account=SocialAccount.objects.get().pk)


def add_second_step(w: World) -> None:
    w.log_in()
    secret = w.browser.get(reverse("mfa_activate_totp")).context["form"].secret
    code = format_hotp_value(hotp_value(secret, int(time.time() // 30)))
    w.browser.post(reverse("mfa_activate_totp"), {"code": code})


def give_a_wrong_code(w: World) -> None:
    add_second_step(w)
    stranger = Client()
    stranger.post(reverse("account_login"), {"login": w.alice.email, "password": PASSWORD})
    stranger.post(reverse("mfa_authenticate"), {"code": "000000"})


def remove_second_step(w: World) -> None:
    add_second_step(w)
    w.browser.post(reverse("mfa_deactivate_totp"))


def renew_codes(w: World) -> None:
    add_second_step(w)
    w.browser.post(reverse("mfa_generate_recovery_codes"))


def invite(w: World) -> None:
    w.post("/w/acme/members/invite/", email="nora@example.com", role="editor")


def resend(w: World) -> None:
    invite(w)
    Invitation.objects.update(sent_at="2020-01-01T00:00:00Z")
    w.post(f"/w/acme/invitations/{Invitation.objects.get().pk}/resend/")


def revoke(w: World) -> None:
    invite(w)
    w.post(f"/w/acme/invitations/{Invitation.objects.get().pk}/revoke/")


def accept(w: World) -> None:
    nora = User.objects.create_user("nora@example.com", PASSWORD, name="Nora")
    EmailAddress.objects.create(user=nora, email=nora.email, primary=True, verified=True)
    invite(w)
    guest = Client()
    guest.force_login(nora)
    guest.get(re.findall(r"http://testserver(/invitation/\S+)", str(mail.outbox[-1].body))[0])
    guest.post(reverse("invitation"), {"answer": "accept"})


def change_role(w: World) -> None:
    w.post(f"/w/acme/members/{w.membership(w.vic).pk}/role/", role="editor")


def remove_member(w: World) -> None:
    w.post(f"/w/acme/members/{w.membership(w.vic).pk}/remove/")


def leave(w: World) -> None:
    theirs = Client()
    theirs.force_login(w.vic)
    theirs.post(f"/w/acme/members/{w.membership(w.vic).pk}/remove/")


def ask_for_my_data(w: World) -> None:
    w.post("/profile/data/")


def make_my_export(w: World) -> None:
    ask_for_my_data(w)
    exports.build_due()


def download_my_data(w: World) -> None:
    make_my_export(w)
    assert w.browser.get(f"/profile/data/{PersonExport.objects.get().pk}/").status_code == 200


def cancel_my_data(w: World) -> None:
    ask_for_my_data(w)
    w.post("/profile/data/cancel/")


def ask_for_workspace_data(w: World) -> None:
    w.post(reverse("workspace_data", args=["acme"]))


def make_workspace_export(w: World) -> None:
    ask_for_workspace_data(w)
    exports.build_due()


def cancel_workspace_data(w: World) -> None:
    ask_for_workspace_data(w)
    w.post("/w/acme/settings/data/cancel/")


def download_workspace_data(w: World) -> None:
    make_workspace_export(w)
    path = reverse("publishing:workspace_export", args=["acme", WorkspaceExport.objects.get().pk])
    assert w.browser.get(path).status_code == 200


def delete_account(w: World) -> None:
    Membership.objects.filter(user=w.vic).update(role="owner")
    w.post(reverse("account_delete"), email=w.alice.email)


def remove_account(w: World) -> None:
    delete_account(w)
    account_removal.remove_due()


def create_workspace(w: World) -> None:
    w.post("/workspaces/", name="Second")


def rename(w: World) -> None:
    w.post("/w/acme/settings/", name="Acme North")


def transfer(w: World) -> None:
    w.post("/w/acme/settings/transfer/", member=w.membership(w.vic).pk)


def delete_workspace(w: World) -> None:
    w.post("/w/acme/settings/delete/", name="Acme")


def restore(w: World) -> None:
    delete_workspace(w)
    w.post("/w/acme/settings/restore/")


def remove_workspace(w: World) -> None:
    delete_workspace(w)
    Workspace.objects.update(delete_after="2020-01-01T00:00:00Z")
    remove_due()


def connect(w: World, **changes: Any) -> None:
    w.wire.post(TOKEN_URL, json=grant(**changes))
    left = w.post("/w/acme/connections/connect/tiktok/")
    state = dict(parse_qsl(urlsplit(left.url).query))["state"]
    w.browser.get("/connections/tiktok/callback/", {"code": "a-code", "state": state})


def reconnect(w: World, **changes: Any) -> None:
    w.make_connection(w.acme, provider_account_id="-000creator", scopes=ALL_SCOPES)
    connect(w, **changes)


def connect_with_less(w: World) -> None:
    reconnect(w, scope="user.info.basic")


def refresh(w: World, **answer: Any) -> None:
    w.wire.post(TOKEN_URL, **answer)
    row = w.make_connection(w.acme, provider_account_id="-000creator", is_primary=True)
    try:
        refresh_now(row)
    except ProviderError:
        return


def lose_access(w: World) -> None:
    refresh(w, json=flat_error("invalid_grant"), status=400)


def fail_to_refresh(w: World) -> None:
    refresh(w, body="down", status=503)
    try:
        refresh_now(SocialConnection.objects.get())  # a minute later, and no second event
    except ProviderError:
        return


def refresh_to_less(w: World) -> None:
    refresh(w, json=grant(scope="user.info.basic"))


def make_primary(w: World) -> None:
    w.make_connection(w.acme, is_primary=True)
    w.post(f"/w/acme/connections/{w.make_connection(w.acme).pk}/primary/")


def disconnect(w: World) -> None:
    w.wire.post(REVOKE_URL, json=flat_error("invalid_client"), status=401)
    w.post(f"/w/acme/connections/{w.make_connection(w.acme).pk}/disconnect/")


def delivery(w: World, state: DeliveryState, **fields: Any) -> Delivery:
    values = {"caption": "a private caption", "state": state, "wake_at": None} | fields
    return w.make_delivery(w.acme, **values)


def cancel(w: World) -> None:
    w.post(f"/w/acme/deliveries/{w.make_delivery(w.acme).pk}/cancel/")


def retry(w: World) -> None:
    w.post(f"/w/acme/deliveries/{delivery(w, DeliveryState.FAILED).pk}/retry/")


def mark_as_posted(w: World) -> None:
    held = delivery(w, DeliveryState.HELD, hold_reason=HoldReason.UNCONFIRMED, held_from="processing")
    w.post(f"/w/acme/deliveries/{held.pk}/posted/")


def end_as(state: DeliveryState) -> Callable[[World], None]:
    def provoke(w: World) -> None:
        moving = delivery(w, DeliveryState.PROCESSING)
        advance_and_tell(moving, state, **ending.stopped())

    return provoke


def publish(w: World) -> None:
    from publishing.services import create_post

    made = w.make_delivery(w.acme)
    assert made.post.video is not None
    create_post(
        workspace=w.acme,
        user=w.alice,
        video=made.post.video,
        connection=made.connection,
        caption="a private caption",
        mode=PublishMode.DIRECT,
        options={},
    )


def export_log(w: World) -> None:
    w.post("/w/acme/audit/export/")


def rotate_keys(w: World) -> None:
    w.make_connection(w.acme)
    call_command("rotate_encryption_keys", stdout=io.StringIO())


def in_admin(w: World, path: str, **data: Any) -> None:
    User.objects.filter(pk=w.alice.pk).update(is_staff=True, is_superuser=True)
    answer = w.post(f"/admin/{path}", **data)
    assert answer.status_code == 302, answer.content.decode()[-2000:]


def add_in_admin(w: World) -> None:
    in_admin(
        w,
        "accounts/user/add/",
        **{"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"},
        email="new@example.com",
        usable_password="true",
        password1=NEW_PASSWORD,
        password2=NEW_PASSWORD,
    )


def add_member_in_admin(w: World) -> None:
    nora = User.objects.create_user(NORA)
    in_admin(
        w,
        f"accounts/workspace/{w.acme.pk}/change/",
        **{
            "name": w.acme.name,
            "slug": w.acme.slug,
            "memberships-TOTAL_FORMS": "1",
            "memberships-INITIAL_FORMS": "0",
            "memberships-0-user": str(nora.pk),
            "memberships-0-role": "editor",
        },
    )


def act_in_admin(w: World) -> None:
    row = w.make_connection(w.acme)
    data = {"action": "test_now", "_selected_action": [row.pk]}
    in_admin(w, "connections/socialconnection/", **data)


def delete_in_admin(w: World) -> None:
    gone = Group.objects.create(name="gone")
    in_admin(w, f"auth/group/{gone.pk}/delete/", post="yes")


# --- The table --------------------------------------------------------------------------------------------------------

ALICE, VIC, NORA, NOBODY = "alice@example.com", "vic@example.com", "nora@example.com", None
NOWHERE = None  # no workspace, or no address: done by a process


@dataclass(frozen=True)
class Row:
    """How an action comes about, by whom, in which workspace, from where, and what of its details must be there."""

    action: str
    provoke: Callable[[World], None]
    who: str | None = ALICE
    slug: str | None = "acme"
    ip: str | None = HERE
    what: frozenset[str] = frozenset()
    times: int = 1


def row(action: str, provoke: Callable[[World], None], *what: str, **fields: Any) -> Row:
    return Row(action, provoke, what=frozenset(what), **fields)


TABLE = [
    row("sign_in", sign_in, "steps"),
    row("sign_in.failed", sign_in_failed, "user_id", who=NOBODY),
    row("sign_in.failed", by_tiktok_that_is_forged, "method", "reason", who=NOBODY, slug=NOWHERE),
    row("sign_out", sign_out),
    row("password.changed", change_password),
    row("password.reset", reset_password),
    row("email.confirmed", confirm_email),
    row("email.changed", change_email, who="alice.new@example.com"),
    row("session.ended", end_session, "browser", "last_ip"),
    row("sign_in_method.linked", link_tiktok, "method"),
    row("sign_in_method.unlinked", unlink_tiktok, "method"),
    row("invitation.sent", invite, "email"),
    row("invitation.resent", resend, "email"),
    row("invitation.revoked", revoke, "email"),
    row("invitation.accepted", accept, "email", who=NORA),
    row("member.added", add_member_in_admin, "user", "role"),
    row("member.role_changed", change_role, "user", "was", "now"),
    row("member.removed", remove_member, "user", "role"),
    row("member.left", leave, "user", "role", who=VIC),
    row("account.export_requested", ask_for_my_data, "export", slug=NOWHERE),
    row("account.export_canceled", cancel_my_data, "export", slug=NOWHERE),
    row("account.exported", make_my_export, "export", slug=NOWHERE, ip=NOWHERE),
    row("account.export_downloaded", download_my_data, "export", slug=NOWHERE),
    row("account.deletion_started", delete_account, "user", slug=NOWHERE),
    row("account.removed", remove_account, "user", who=NOBODY, slug=NOWHERE, ip=NOWHERE),
    row("workspace.export_requested", ask_for_workspace_data, "export"),
    row("workspace.export_canceled", cancel_workspace_data, "export"),
    row("workspace.exported", make_workspace_export, "export", ip=NOWHERE),
    row("workspace.export_downloaded", download_workspace_data, "export"),
    row("workspace.created", create_workspace, "name", slug="second"),
    row("workspace.renamed", rename, "was", "now"),
    row("workspace.transferred", transfer),
    row("workspace.deletion_requested", delete_workspace),
    row("workspace.restored", restore),
    row("workspace.removed", remove_workspace, who=NOBODY, ip=NOWHERE, slug="acme"),
    row("connection.connected", connect, "connection", "account", "scopes"),
    row("connection.reconnected", reconnect, "connection", "account", "scopes"),
    row("connection.needs_reauth", lose_access, "connection", "account", "reason", who=NOBODY, ip=NOWHERE),
    row("connection.refresh_failed", fail_to_refresh, "connection", "reason", who=NOBODY, ip=NOWHERE),
    row("connection.scopes_changed", connect_with_less, "connection", "granted", "withdrawn"),
    row("connection.scopes_changed", refresh_to_less, "granted", "withdrawn", who=NOBODY, ip=NOWHERE),
    row("connection.primary_changed", make_primary, "connection", "account"),
    row("connection.disconnected", disconnect, "connection", "account", "revocation", "platform_code"),
    row("post.created", publish, "post", ip=NOWHERE),
    row("post.published", end_as(DeliveryState.PUBLISHED), "post", "account", who=NOBODY, ip=NOWHERE),
    row("post.in_inbox", end_as(DeliveryState.IN_INBOX), "post", "account", who=NOBODY, ip=NOWHERE),
    row("post.failed", end_as(DeliveryState.FAILED), "post", "code", who=NOBODY, ip=NOWHERE),
    row("post.canceled", cancel, "post", "delivery", "connection"),
    row("post.retried", retry, "post", "delivery", "connection"),
    row("post.marked_as_posted", mark_as_posted, "post", "delivery", "connection"),
    row("audit.exported", export_log, "filters"),
    row("keys.rotated", rotate_keys, "newest", "values", who=NOBODY, ip=NOWHERE, slug=NOWHERE),
    row("admin.added", add_in_admin, "kind", "object", slug=NOWHERE),
    row("admin.changed", act_in_admin, "kind", "object"),
    row("admin.deleted", delete_in_admin, "kind", "object", slug=NOWHERE),
]

# allauth tells of these once the change is committed.
COMMITTED = [
    row("sign_in.failed", give_a_wrong_code, "user_id", "step", who=NOBODY),
    row("second_step.added", add_second_step, "kind", "step", times=2),  # the app, and recovery codes with it
    row("second_step.removed", remove_second_step, "kind", times=2),
    row("second_step.codes_renewed", renew_codes, "kind", "step"),
]

ELSEWHERE = {"post.file_infected", "post.source_removed", "workspace.retention_changed"}
"""Proven beside the flows that they belong to."""


def name_of(row: Row) -> str:
    return f"{row.action} by {row.provoke.__name__}"


@pytest.mark.parametrize("row", TABLE, ids=name_of)
def test_action_is_recorded_with_who_when_from_where_and_what(world, row):
    check(world, row)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("row", COMMITTED, ids=name_of)
def test_second_step_is_recorded_with_who_when_from_where_and_what(world, row):
    check(world, row)


def check(world: World, row: Row) -> None:
    """Provoke it; the event must be there, all of it, as often as the row says, and hold no secret."""
    row.provoke(world)

    event, *others = AuditEvent.objects.filter(action=row.action, workspace_id=_place(row, world))
    who = User.objects.filter(pk__in=[event.actor_id]).values_list("email", flat=True).first()
    assert who == row.who
    assert event.ip == row.ip
    assert event.at is not None
    assert row.what <= set(event.details)
    assert len(others) == row.times - 1
    written = str(list(AuditEvent.objects.values()))
    assert [secret for secret in SECRETS if secret in written] == []


def test_every_action_has_a_proof():
    assert {row.action for row in (*TABLE, *COMMITTED)} | ELSEWHERE == set(ACTIONS)


@pytest.mark.parametrize("action", sorted(ELSEWHERE))
def test_proof_elsewhere_is_there(action):
    tests = (path for path in (BASE_DIR / "tests").rglob("test_*.py") if path != Path(__file__))

    assert any(f'"{action}"' in path.read_text() for path in tests)


def _place(row: Row, world: World) -> Any:
    """The workspace that the event must belong to. Acme's is known also when it is gone."""
    if row.slug is None:
        return None
    return world.acme.pk if row.slug == "acme" else Workspace.objects.get(slug__startswith=row.slug).pk
