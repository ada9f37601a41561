"""Asking people in by e-mail, and answering."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from smtplib import SMTPServerDisconnected
from threading import Barrier

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import IntegrityError, connections, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import invitations
from accounts.account_removal import start_removal
from accounts.ids import first_uuid7_since
from accounts.invitations import InvitationError, accept, invite, resend, revoke
from accounts.models import AuditEvent, Invitation, Membership, Role, User, Workspace
from accounts.removal import request_deletion
from accounts.workspaces import change_role, remove_member

pytestmark = pytest.mark.django_db

NORA = "nora@example.com"
SIGN_UP = {"name": "Nora Nord", "email": NORA, "password1": "a long enough secret"}


def member(user: User) -> Membership:
    return Membership.objects.select_related("user", "workspace").get(user=user)


def link(number: int = -1) -> str:
    """The link in an e-mail that was sent."""
    found = re.search(r"http://testserver(/invitation/\S+)", str(mail.outbox[number].body))
    assert found
    return found[1]


@pytest.fixture
def admin(acme, django_user_model):
    """An admin of acme."""
    user = django_user_model.objects.create_user("adam@example.com", "correct horse battery", name="Adam")
    return Membership.objects.create(workspace=acme, user=user, role=Role.ADMIN)


@pytest.fixture
def invited(alice):
    """An open invitation of Nora as editor."""
    return invite(actor=member(alice), email=NORA, role=Role.EDITOR)


@pytest.fixture
def nora(db, django_user_model):
    """Nora's account, with a confirmed address, and in no workspace."""
    user = django_user_model.objects.create_user(NORA, "correct horse battery", name="Nora Nord")
    EmailAddress.objects.create(user=user, email=NORA, primary=True, verified=True)
    return user


def post_invitation(client: Client, **data: str):
    return client.post(reverse("invite", args=["acme"]), {"email": NORA, "role": "editor"} | data)


# --- Sending ----------------------------------------------------------------------------------------------------------


def test_invite_sends_a_link_that_only_the_e_mail_holds(alice, browse):
    post_invitation(browse(alice))

    row = Invitation.objects.get()
    token = link().rstrip("/").rsplit("/", 1)[1]
    assert mail.outbox[0].to == [NORA]
    assert "Acme" in mail.outbox[0].subject
    assert "Alice" in mail.outbox[0].subject
    assert len(token) >= 43
    assert token not in str(Invitation.objects.values())
    assert token not in str(AuditEvent.objects.values())
    assert row.token_hash == invitations.hash_of(token)
    assert timedelta(days=6, hours=23) < row.expires_at - timezone.now() <= timedelta(days=7)


def test_invite_answers_alike_whether_the_address_has_an_account(alice, mallory, browse):
    client = browse(alice)

    known = post_invitation(client, email="mallory@example.com")
    unknown = post_invitation(client, email="nobody@example.com")

    assert known.status_code == unknown.status_code == 302
    assert (
        re.sub("mallory", "nobody", mail.outbox[0].body.split("/invitation/")[0])
        == (mail.outbox[1].body.split("/invitation/")[0])
    )


@pytest.mark.parametrize("role", ["owner", "admin", "king", ""])
def test_invite_by_an_admin_gives_no_role_above_editor(admin, browse, role):
    answer = post_invitation(browse(admin.user), role=role)

    assert answer.status_code == 422
    assert not Invitation.objects.exists()
    assert mail.outbox == []


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN])
def test_invite_holds_to_the_roles_below_the_form(admin, role):
    with pytest.raises(InvitationError):
        invite(actor=admin, email=NORA, role=role)


def test_invite_lets_an_owner_ask_an_owner_in(alice, browse):
    post_invitation(browse(alice), role="owner")

    assert Invitation.objects.get().role == Role.OWNER


def test_invite_believes_the_database_over_an_old_copy_of_the_actor(admin):
    Membership.objects.filter(pk=admin.pk).update(role=Role.VIEWER)

    with pytest.raises(InvitationError):
        invite(actor=admin, email=NORA, role=Role.VIEWER)


@pytest.mark.parametrize("email", ["", "nora", "nora@", "n@example.com\nBcc: v@example.com"])
def test_invite_refuses_what_is_no_address_and_keeps_what_was_typed(alice, browse, email):
    answer = post_invitation(browse(alice), email=email)

    assert answer.status_code == 422
    assert "field-error" in answer.content.decode()
    assert mail.outbox == []


def test_invite_refuses_a_member_also_under_another_confirmed_address(alice, vic, browse):
    EmailAddress.objects.create(user=vic, email="vics-other@example.com", verified=True)
    client = browse(alice)

    answers = [
        post_invitation(client, email=email) for email in ("VIC@example.com", "vics-other@example.com")
    ]

    assert [answer.status_code for answer in answers] == [422, 422]
    assert "is a member already" in answers[0].content.decode()


def test_invite_refuses_an_address_that_waits_already(alice, invited, browse):
    answer = post_invitation(browse(alice), email="NORA@example.com", role="viewer")

    assert answer.status_code == 422
    assert Invitation.objects.get().role == Role.EDITOR


def test_invite_replaces_an_invitation_that_expired(alice, invited, browse):
    Invitation.objects.update(expires_at=timezone.now())

    post_invitation(browse(alice), role="viewer")

    assert Invitation.objects.unanswered().get().role == Role.VIEWER


def test_invite_stops_at_the_daily_limit(alice, invited, monkeypatch, browse):
    monkeypatch.setattr(invitations, "PER_DAY", 1)

    answer = post_invitation(browse(alice), email="other@example.com")

    assert "Try again tomorrow" in answer.content.decode()
    assert Invitation.objects.count() == 1


def test_invitations_that_are_sent_again_count_too(alice, invited, monkeypatch, browse):
    monkeypatch.setattr(invitations, "PER_DAY", 2)
    again = reverse("invitation_resend", args=["acme", invited.pk])
    client = browse(alice)
    answers = []
    for _ in range(2):
        Invitation.objects.update(sent_at=timezone.now() - timedelta(hours=1))
        answers.append(client.post(again, follow=True).text)

    assert ["Try again tomorrow" in words for words in answers] == [False, True]
    assert len(mail.outbox) == 2


@pytest.mark.parametrize(("hours", "is_refused"), [(25, False), (23, True)])
def test_invitations_of_the_last_24_hours_count(alice, acme, monkeypatch, browse, hours, is_refused):
    monkeypatch.setattr(invitations, "PER_DAY", 1)
    key = first_uuid7_since(timezone.now() - timedelta(hours=hours))
    AuditEvent.objects.create(pk=key, workspace_id=acme.pk, action="invitation.sent")

    answer = post_invitation(browse(alice))

    assert ("Try again tomorrow" in answer.text) == is_refused


def test_invite_counts_what_the_person_sent_from_other_workspaces(alice, invited, rival, monkeypatch):
    monkeypatch.setattr(invitations, "PER_DAY", 1)
    there = Membership.objects.create(workspace=rival, user=alice, role=Role.OWNER)

    with pytest.raises(InvitationError, match="tomorrow"):
        invite(actor=there, email="other@example.com", role=Role.VIEWER)


def test_invite_asks_the_sender_to_confirm_their_own_address_first(alice, browse):
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=False)

    answer = post_invitation(browse(alice))

    assert "Confirm your own e-mail address first" in answer.content.decode()
    assert mail.outbox == []


def test_invite_keeps_the_invitation_when_the_mail_server_is_down(alice, browse, monkeypatch):
    def refuse(*_: object) -> None:
        raise SMTPServerDisconnected("gone")

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)

    words = browse(alice).post(
        reverse("invite", args=["acme"]), {"email": NORA, "role": "editor"}, follow=True
    )

    assert Invitation.objects.get().sent_at is None
    assert "send it again" in words.content.decode()
    assert "Not sent" in words.content.decode()


def test_invite_folds_a_workspace_name_that_would_break_the_header(alice, acme):
    Workspace.objects.filter(pk=acme.pk).update(name="Acme\nBcc: v@example.com")

    invite(actor=member(alice), email=NORA, role=Role.VIEWER)

    assert "\n" not in mail.outbox[0].subject
    assert mail.outbox[0].recipients() == [NORA]


def test_database_refuses_a_second_unanswered_invitation_of_one_address(alice, invited, acme):
    with pytest.raises(IntegrityError), transaction.atomic():
        Invitation.objects.create(
            workspace=acme, email="Nora@Example.com", role="viewer", token_hash="x", expires_at=timezone.now()
        )


# --- Sending again, taking back ---------------------------------------------------------------------------------------


def test_resend_makes_a_new_link_and_ends_the_old(alice, invited, client, browse):
    Invitation.objects.update(sent_at=timezone.now() - timedelta(hours=1), expires_at=timezone.now())

    browse(alice).post(reverse("invitation_resend", args=["acme", invited.pk]))

    assert client.get(link(0), follow=True).status_code == 404
    assert client.get(link(1), follow=True).status_code == 200


def test_resend_waits_a_minute(alice, invited, browse):
    answer = browse(alice).post(reverse("invitation_resend", args=["acme", invited.pk]), follow=True)

    assert "Wait a minute" in answer.content.decode()
    assert len(mail.outbox) == 1


def test_revoke_ends_the_link_at_once(alice, invited, client, browse):
    browse(alice).post(reverse("invitation_revoke", args=["acme", invited.pk]))

    answer = client.get(link(), follow=True)

    assert answer.status_code == 410
    assert "withdrawn" in answer.content.decode()
    assert "Acme" not in answer.content.decode()


@pytest.mark.parametrize("name", ["invitation_resend", "invitation_revoke"])
def test_invitation_of_another_workspace_is_not_found(invited, mallory, browse, name):
    answer = browse(mallory).post(reverse(name, args=["rival", invited.pk]))

    assert answer.status_code == 404
    assert Invitation.objects.unanswered().count() == 1


@pytest.mark.parametrize("change", [resend, revoke])
def test_invitation_of_an_owner_is_none_of_an_admins_business(alice, admin, change):
    invitation = invite(actor=member(alice), email=NORA, role=Role.OWNER)
    Invitation.objects.update(sent_at=None)

    with pytest.raises(InvitationError):
        change(actor=admin, invitation_id=invitation.pk)


@pytest.mark.parametrize("change", [resend, revoke])
def test_invitation_that_was_answered_cannot_be_changed(alice, invited, nora, change):
    accept(invited, user=nora)

    with pytest.raises(Invitation.DoesNotExist):
        change(actor=member(alice), invitation_id=invited.pk)


def test_invitations_of_a_removed_admin_end(alice, admin):
    invite(actor=admin, email=NORA, role=Role.EDITOR)

    remove_member(actor=member(alice), membership_id=admin.pk)

    assert not Invitation.objects.unanswered().exists()
    assert AuditEvent.objects.filter(action="invitation.revoked").count() == 1


def test_invitations_to_admin_end_when_their_owner_becomes_admin(alice, admin):
    change_role(actor=member(alice), membership_id=admin.pk, role=Role.OWNER)
    admin.refresh_from_db()
    invite(actor=admin, email=NORA, role=Role.ADMIN)
    invite(actor=admin, email="other@example.com", role=Role.VIEWER)

    change_role(actor=member(alice), membership_id=admin.pk, role=Role.ADMIN)

    assert Invitation.objects.unanswered().get().email == "other@example.com"


# --- Answering --------------------------------------------------------------------------------------------------------


def test_link_takes_the_token_out_of_the_address(invited, client):
    answer = client.get(link())

    assert answer.url == reverse("invitation")
    assert link().rstrip("/").rsplit("/", 1)[1] not in str(dict(client.session))


def test_link_shows_a_visitor_workspace_inviter_and_role(invited, client):
    words = client.get(link(), follow=True).content.decode()

    assert "Join Acme" in words
    assert "Alice" in words
    assert "Editor" in words
    assert f"{reverse('account_signup')}?next={reverse('invitation')}" in words


def test_link_lets_a_person_with_an_account_join_with_the_role_of_the_invitation(invited, nora, browse):
    client = browse(nora)
    client.get(link())

    answer = client.post(reverse("invitation"), {"role": "owner"}, follow=True)

    assert member(nora).role == Role.EDITOR
    assert answer.request["PATH_INFO"] == reverse("publishing:post_list", args=["acme"])


def test_accepting_proves_an_address_that_was_not_confirmed(invited, nora):
    EmailAddress.objects.update(verified=False)

    accept(invited, user=nora)

    assert EmailAddress.objects.get(user=nora).verified


def test_link_tells_a_person_logged_in_with_another_address_which_was_invited(invited, mallory, browse):
    client = browse(mallory)

    words = client.get(link(), follow=True).content.decode()
    answer = client.post(reverse("invitation"))

    assert "This invitation is for nora@example.com" in words
    assert answer.status_code == 403
    assert not Membership.objects.filter(user=mallory, workspace__slug="acme").exists()


def test_an_address_that_is_claimed_and_not_confirmed_opens_nothing(invited, mallory):
    EmailAddress.objects.create(user=mallory, email=NORA, verified=False)

    with pytest.raises(InvitationError):
        accept(invited, user=mallory)


def test_link_works_once(invited, nora, mallory, browse):
    accept(invited, user=nora)

    answer = browse(mallory).get(link(), follow=True)

    assert answer.status_code == 410
    assert "used already" in answer.content.decode()
    with pytest.raises(InvitationError):
        accept(invited, user=nora)


def test_used_link_does_not_let_a_removed_member_in_again(alice, invited, nora, browse):
    accept(invited, user=nora)
    remove_member(actor=member(alice), membership_id=member(nora).pk)
    client = browse(nora)

    client.get(link())
    client.post(reverse("invitation"))

    assert not Membership.objects.filter(user=nora).exists()


def test_expired_link_says_so(invited, nora, browse):
    Invitation.objects.update(expires_at=timezone.now())

    answer = browse(nora).get(link(), follow=True)

    assert answer.status_code == 410
    assert "has expired" in answer.content.decode()
    assert not Membership.objects.filter(user=nora).exists()


@pytest.mark.parametrize("token", ["forged", "0" * 43, "x" * 500, "a'--"])
def test_forged_link_is_not_valid(invited, client, token):
    assert client.get(reverse("invitation_open", args=[token]), follow=True).status_code == 404


def test_links_cannot_be_guessed_without_end(invited, client):
    statuses = [client.get(reverse("invitation_open", args=[f"guess-{n}"])).status_code for n in range(31)]

    assert statuses == [302] * 30 + [429]
    assert client.get(link()).status_code == 429


def test_the_stored_hash_is_no_token(invited, client):
    answer = client.get(reverse("invitation_open", args=[invited.token_hash]), follow=True)

    assert answer.status_code == 404


def test_account_that_is_being_deleted_joins_nothing(invited, nora):
    start_removal(user=nora)

    with pytest.raises(InvitationError):
        accept(invited, user=nora)

    assert not Membership.objects.filter(user=nora).exists()


def taken_at_once(invitation: Invitation, people: list[User]) -> list[type[BaseException] | None]:
    """Have them accept in threads that start together; return what each met, None for nothing."""
    start = Barrier(len(people), timeout=20)

    def take(user: User) -> type[BaseException] | None:
        try:
            start.wait()
            accept(Invitation.objects.get(pk=invitation.pk), user=user)
        except InvitationError as error:
            return type(error)
        finally:
            connections.close_all()
        return None

    with ThreadPoolExecutor(len(people)) as pool:
        return list(pool.map(take, people))


@pytest.mark.django_db(transaction=True)
def test_link_that_is_taken_twice_at_once_lets_one_in(invited, nora, django_user_model):
    """With threads: two people who both may take it, for the address passed from one to the other."""
    mia = django_user_model.objects.create_user("mia@example.com", "correct horse battery")
    EmailAddress.objects.filter(email=NORA).delete()
    EmailAddress.objects.create(user=mia, email=NORA, verified=True)
    outcomes = taken_at_once(invited, [nora, mia])

    assert outcomes.count(None) == 1
    assert Membership.objects.filter(user__in=[nora, mia]).count() == 1
    assert AuditEvent.objects.filter(action="invitation.accepted").count() == 1


@pytest.mark.django_db(transaction=True)
def test_link_that_one_person_takes_in_two_tabs_makes_one_member(invited, nora):
    outcomes = taken_at_once(invited, [nora, nora])

    assert outcomes.count(None) == 1
    assert Membership.objects.filter(user=nora).count() == 1


def test_accepting_as_a_member_keeps_the_role_that_one_has(alice, invited, nora, acme):
    Membership.objects.create(workspace=acme, user=nora, role=Role.ADMIN)

    accept(invited, user=nora)

    assert member(nora).role == Role.ADMIN
    assert not Invitation.objects.unanswered().exists()


def test_nobody_joins_a_workspace_that_is_to_be_deleted(alice, invited, nora):
    request_deletion(actor=member(alice))

    with pytest.raises(InvitationError):
        accept(invited, user=nora)
    with pytest.raises(InvitationError):
        invite(actor=member(alice), email="other@example.com", role=Role.VIEWER)


def test_revoking_wins_over_a_page_that_is_open(alice, invited, nora, browse):
    client = browse(nora)
    client.get(link(), follow=True)
    revoke(actor=member(alice), invitation_id=invited.pk)

    answer = client.post(reverse("invitation"))

    assert answer.status_code == 410
    assert not Membership.objects.filter(user=nora).exists()


# --- Signing up through the link --------------------------------------------------------------------------------------


@pytest.mark.parametrize("verification", ["optional", "mandatory"])
def test_signup_through_the_link_joins_and_proves_the_address(invited, client, settings, verification):
    settings.ACCOUNT_EMAIL_VERIFICATION = verification
    client.get(link())

    page = client.get(reverse("account_signup"))
    answer = client.post(reverse("account_signup"), SIGN_UP | {"next": reverse("invitation")}, follow=True)

    nora = User.objects.get(email=NORA)
    assert NORA in page.content.decode()
    assert "With it you join <strong>Acme</strong>" in page.content.decode()
    assert member(nora).role == Role.EDITOR
    assert EmailAddress.objects.get(user=nora).verified
    assert answer.request["PATH_INFO"] == reverse("publishing:post_list", args=["acme"])
    assert len(mail.outbox) == 1


def test_signup_with_another_address_joins_nothing_and_proves_nothing(invited, client):
    client.get(link())

    client.post(reverse("account_signup"), SIGN_UP | {"email": "mia@example.com"})

    mia = User.objects.get(email="mia@example.com")
    assert member(mia).workspace.slug != "acme"
    assert not EmailAddress.objects.get(user=mia).verified
    assert Invitation.objects.unanswered().exists()


def test_signup_after_the_invitation_was_revoked_is_an_ordinary_one(alice, invited, client):
    client.get(link())
    revoke(actor=member(alice), invitation_id=invited.pk)

    client.post(reverse("account_signup"), SIGN_UP)

    nora = User.objects.get(email=NORA)
    assert member(nora).role == Role.OWNER
    assert member(nora).workspace.name == "Nora Nord's workspace"
    assert not EmailAddress.objects.get(user=nora).verified


def test_signup_through_the_link_with_a_taken_address_tells_only_its_owner(invited, nora, client):
    client.get(link())

    answer = client.post(reverse("account_signup"), SIGN_UP, follow=True)

    assert "already" not in answer.content.decode()
    assert not Membership.objects.filter(user=nora).exists()
    assert Invitation.objects.unanswered().exists()


def test_login_through_the_link_comes_back_to_the_invitation(invited, nora, client):
    client.get(link())

    answer = client.post(
        reverse("account_login"),
        {"login": NORA, "password": "correct horse battery", "next": reverse("invitation")},
        follow=True,
    )

    assert answer.request["PATH_INFO"] == reverse("invitation")
    assert "Join Acme" in answer.content.decode()


# --- The page ---------------------------------------------------------------------------------------------------------


def test_members_page_shows_what_waits_to_managers_only(alice, vic, invited, browse):
    assert NORA in browse(alice).get("/w/acme/members/").content.decode()
    assert NORA not in browse(vic).get("/w/acme/members/").content.decode()
    assert "Invite somebody" not in browse(vic).get("/w/acme/members/").content.decode()


def test_members_page_offers_an_admin_only_the_roles_that_they_may_give(admin, browse):
    words = browse(admin.user).get("/w/acme/members/").content.decode()

    form = words[words.index('id="id_role"') :].split("</select>")[0]
    assert re.findall(r'value="(\w+)"', form) == ["viewer", "editor"]
