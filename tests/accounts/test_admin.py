"""People and workspaces in the admin."""

from __future__ import annotations

import pytest
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.invitations import invite
from accounts.models import AuditEvent, Invitation, Membership, Role, User, Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def operators(browse):
    """An operator's browser."""
    return browse(User.objects.create_superuser("op@example.com", "an operator's secret"))


def test_admin_finds_people_by_address_and_name(operators, alice, vic):
    words = operators.get(reverse("admin:accounts_user_changelist"), {"q": "alice"}).content.decode()

    assert "alice@example.com" in words
    assert "vic@example.com" not in words


def test_admin_shows_a_person_without_any_part_of_the_password(operators, alice):
    words = operators.get(reverse("admin:accounts_user_change", args=[alice.pk])).content.decode()

    algorithm, *_, salt, digest = alice.password.split("$")
    assert alice.password not in words
    assert algorithm not in words
    assert salt[:6] not in words
    assert digest[:6] not in words
    assert "Set a new password" in words
    assert "Acme" in words


def test_admin_sets_a_new_password(operators, alice):
    operators.post(
        reverse("admin:auth_user_password_change", args=[alice.pk]),
        {"password1": "set by an operator", "password2": "set by an operator"},
    )

    alice.refresh_from_db()
    assert alice.check_password("set by an operator")


def test_admin_makes_an_account(operators):
    secret = "made by an operator"

    operators.post(
        reverse("admin:accounts_user_add"),
        {
            "email": "made@example.com",
            "name": "Made",
            "usable_password": "true",
            "password1": secret,
            "password2": secret,
            "memberships-TOTAL_FORMS": "0",
            "memberships-INITIAL_FORMS": "0",
        },
    )

    assert User.objects.get(email="made@example.com").check_password(secret)


def test_admin_shows_a_workspace_with_its_members(operators, alice, vic, acme):
    words = operators.get(reverse("admin:accounts_workspace_change", args=[acme.pk])).content.decode()

    assert "alice@example.com" in words
    assert Membership.objects.filter(workspace=acme).count() == 2


def test_admin_counts_members_without_a_query_for_each_row(
    operators, alice, vic, mallory, django_assert_max_num_queries
):
    operators.get(reverse("admin:accounts_workspace_changelist"))

    with django_assert_max_num_queries(8):
        answer = operators.get(reverse("admin:accounts_workspace_changelist"))

    assert answer.status_code == 200


def test_admin_finds_a_workspace_by_its_members_address(operators, alice, mallory):
    words = operators.get(reverse("admin:accounts_workspace_changelist"), {"q": "mallory"}).content.decode()

    assert "Rival" in words
    assert "Acme" not in words


# --- Deleting, which goes the way that people's own deleting goes -----------------------------------------------------


def run_action(client, model, action, *rows):
    return client.post(
        reverse(f"admin:accounts_{model}_changelist"),
        {"action": action, "_selected_action": [str(row.pk) for row in rows]},
        follow=True,
    )


def test_operator_deletes_a_workspace_with_the_same_grace_and_can_take_it_back(admin_client, acme):
    answer = run_action(admin_client, "workspace", "request_deletion", acme)
    acme.refresh_from_db()
    assert acme.delete_after is not None
    assert "1 to be deleted in 14 days." in answer.text
    assert AuditEvent.objects.filter(workspace_id=acme.pk, action="workspace.deletion_requested").count() == 1

    run_action(admin_client, "workspace", "request_deletion", acme)
    assert AuditEvent.objects.filter(workspace_id=acme.pk, action="workspace.deletion_requested").count() == 1

    assert "1 restored." in run_action(admin_client, "workspace", "restore", acme).text
    acme.refresh_from_db()
    assert acme.delete_after is None


def test_workspace_whose_removal_has_begun_is_not_brought_back(admin_client, acme):
    now = timezone.now()
    Workspace.objects.filter(pk=acme.pk).update(delete_after=now, removal_started_at=now)
    assert "0 restored." in run_action(admin_client, "workspace", "restore", acme).text


def test_operator_deletes_an_account_as_its_person_would(admin_client, alice, vic, acme):
    answer = run_action(admin_client, "user", "delete_accounts", vic)
    assert "The account of vic@example.com is being deleted." in answer.text
    vic.refresh_from_db()
    assert vic.removal_started_at is not None
    assert not acme.memberships.filter(user=vic).exists()


def test_account_that_others_depend_on_is_not_deleted_and_the_reason_is_told(admin_client, alice, vic):
    answer = run_action(admin_client, "user", "delete_accounts", alice)
    assert "Hand it over or delete it first." in answer.text
    alice.refresh_from_db()
    assert alice.removal_started_at is None


@pytest.mark.parametrize("model", ["user", "workspace"])
def test_rows_are_not_deleted_past_the_removal(admin_client, acme, vic, model):
    row = vic if model == "user" else acme
    page = reverse(f"admin:accounts_{model}_delete", args=[row.pk])
    assert admin_client.post(page, {"post": "yes"}).status_code == 403
    run_action(admin_client, model, "delete_selected", row)
    assert type(row).objects.filter(pk=row.pk).exists()


def test_audit_log_says_that_an_operator_deleted_the_account(admin_user, admin_client, alice, vic):
    run_action(admin_client, "user", "delete_accounts", vic)

    events = AuditEvent.objects.filter(action__in=["account.deletion_started", "member.left"])
    assert [one.actor_id for one in events] == [admin_user.pk] * 2


# --- Members, as on the members page ----------------------------------------------------------------------------------


def change_members(client, workspace, *rows, **new):
    """Send the page of `workspace` with these members; each row is (membership, role or None to take them out)."""
    data = {"name": workspace.name, "slug": workspace.slug, "memberships-INITIAL_FORMS": len(rows)}
    data["memberships-TOTAL_FORMS"] = len(rows) + len(new)
    for number, (member, role) in enumerate(rows):
        data |= {f"memberships-{number}-id": member.pk, f"memberships-{number}-workspace": workspace.pk}
        data |= {
            f"memberships-{number}-user": member.user_id,
            f"memberships-{number}-role": role or member.role,
        }
        data |= {} if role else {f"memberships-{number}-DELETE": "on"}
    for number, (user, role) in enumerate(new.values(), start=len(rows)):
        data |= {f"memberships-{number}-user": user.pk, f"memberships-{number}-role": role}
    return client.post(reverse("admin:accounts_workspace_change", args=[workspace.pk]), data)


def member(user):
    return Membership.objects.get(user=user)


def events_of(workspace):
    rows = AuditEvent.objects.filter(workspace_id=workspace.pk, action__startswith="member.")
    return {(one.action, one.details["user"]) for one in rows}


def test_members_find_in_their_log_whom_an_operator_added_changed_and_took_out(
    admin_client, admin_user, alice, erin, vic, mallory, acme
):
    rows = [(member(alice), "owner"), (member(erin), "admin"), (member(vic), None)]

    answer = change_members(admin_client, acme, *rows, new=(mallory, "viewer"))

    assert answer.status_code == 302
    assert events_of(acme) == {
        ("member.added", str(mallory.pk)),
        ("member.role_changed", str(erin.pk)),
        ("member.removed", str(vic.pk)),
    }
    assert set(AuditEvent.objects.values_list("actor_id", flat=True)) == {admin_user.pk}


def test_member_added_on_the_page_of_the_person_stands_in_the_log_of_the_workspace(
    admin_client, mallory, acme
):
    data = {"email": mallory.email, "name": mallory.name, "is_active": "on"}
    data |= {"memberships-TOTAL_FORMS": 2, "memberships-INITIAL_FORMS": 1, "memberships-0-role": "owner"}
    data |= {"memberships-0-id": member(mallory).pk, "memberships-0-user": mallory.pk}
    data |= {
        "memberships-1-workspace": acme.pk,
        "memberships-1-role": "admin",
        "memberships-1-user": mallory.pk,
    }

    admin_client.post(reverse("admin:accounts_user_change", args=[mallory.pk]), data)

    assert events_of(acme) == {("member.added", str(mallory.pk))}


def test_invitations_end_with_the_role_that_an_operator_takes_away(admin_client, alice, erin, acme):
    Membership.objects.filter(user=erin).update(role=Role.OWNER)
    invite(actor=member(erin), email="nora@example.com", role=Role.ADMIN)

    change_members(admin_client, acme, (member(alice), "owner"), (member(erin), "editor"))

    assert not Invitation.objects.unanswered().exists()


@pytest.mark.parametrize("role", ["admin", None])
def test_operator_does_not_take_the_last_owner_away(admin_client, alice, vic, acme, role):
    answer = change_members(admin_client, acme, (member(alice), role), (member(vic), "viewer"))

    assert "Acme needs an owner." in answer.text
    assert member(alice).role == Role.OWNER


def test_operator_hands_a_workspace_to_another_owner_in_one_go(admin_client, alice, vic, acme):
    change_members(admin_client, acme, (member(alice), None), (member(vic), "owner"))

    assert acme.memberships.get().user == vic


def test_row_of_a_member_cannot_be_turned_into_somebody_elses(admin_client, alice, vic, mallory, acme):
    stranger = User.objects.create_user("x@example.com")
    vics = member(vic)
    vics.user = stranger

    change_members(admin_client, acme, (member(alice), "owner"), (vics, "viewer"))

    assert acme.memberships.filter(user=vic).exists()
    assert not acme.memberships.filter(user=stranger).exists()


# --- Operators with some permissions ----------------------------------------------------------------------------------


@pytest.fixture
def helper(db):
    """An operator who is no superuser, and has every permission that there is."""
    user = User.objects.create_user("helper@example.com", "a helper's secret", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    return user


def test_operator_without_permissions_finds_an_empty_admin(browse, alice, acme):
    client = browse(User.objects.create_user("new@example.com", is_staff=True))

    assert "alice@example.com" not in client.get(reverse("admin:index")).text
    for model in ("accounts_user", "accounts_workspace", "accounts_auditevent", "publishing_post"):
        assert client.get(reverse(f"admin:{model}_changelist")).status_code == 403
    assert client.get(reverse("admin:accounts_workspace_change", args=[acme.pk])).status_code == 403


def test_operator_gives_nobody_more_than_they_have(browse, helper, alice):
    group = Group.objects.create(name="all")
    data = {
        "email": alice.email,
        "name": "Renamed",
        "is_active": "on",
        "is_staff": "on",
        "is_superuser": "on",
    }
    data |= {"groups": group.pk, "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}

    browse(helper).post(reverse("admin:accounts_user_change", args=[alice.pk]), data)

    alice.refresh_from_db()
    assert alice.name == "Renamed"
    assert (alice.is_staff, alice.is_superuser, alice.groups.count()) == (False, False, 0)


def test_operator_does_not_raise_themselves(browse, helper):
    page = reverse("admin:accounts_user_change", args=[helper.pk])

    answer = browse(helper).post(page, {"email": helper.email, "is_superuser": "on"})

    assert answer.status_code == 403


def test_operator_sets_no_password_of_another_operator(browse, helper, admin_user, alice):
    client, new = browse(helper), {"password1": "taken over by them", "password2": "taken over by them"}
    page = "admin:auth_user_password_change"

    assert client.post(reverse(page, args=[admin_user.pk]), new).status_code == 403
    assert client.post(reverse(page, args=[alice.pk]), new).status_code == 302


def test_operator_does_not_delete_another_operators_account(browse, helper, admin_user, vic):
    answer = run_action(browse(helper), "user", "delete_accounts", admin_user, vic)

    admin_user.refresh_from_db()
    vic.refresh_from_db()
    assert "an operator&#x27;s account." in answer.text
    assert (admin_user.removal_started_at is None, vic.removal_started_at is None) == (True, False)


@pytest.mark.parametrize("model", ["account_emailaddress", "auth_group"])
def test_rows_that_lead_further_up_are_for_superusers(browse, helper, admin_user, alice, model):
    row = (
        Group.objects.create(name="all")
        if model == "auth_group"
        else EmailAddress.objects.create(user=alice, email="other@example.com")
    )
    client = browse(helper)

    statuses = [
        client.post(reverse(f"admin:{model}_add")).status_code,
        client.post(reverse(f"admin:{model}_change", args=[row.pk])).status_code,
        client.post(reverse(f"admin:{model}_delete", args=[row.pk]), {"post": "yes"}).status_code,
    ]
    client.post(
        reverse(f"admin:{model}_changelist"), {"action": "make_verified", "_selected_action": [row.pk]}
    )

    assert statuses == [403] * 3
    row.refresh_from_db()
    assert not getattr(row, "verified", False)


def test_operator_ends_a_session_but_not_an_operators(helper, browse, admin_user, alice):
    theirs, operators_own = Client(), Client()
    theirs.force_login(alice)
    operators_own.force_login(admin_user)
    theirs.get("/profile/")
    operators_own.get("/profile/")
    client = browse(helper)

    for session in UserSession.objects.filter(user__in=[alice, admin_user]):
        client.post(reverse("admin:usersessions_usersession_delete", args=[session.pk]), {"post": "yes"})

    assert theirs.get("/profile/").status_code == 302
    assert operators_own.get("/profile/").status_code == 200


def test_sessions_are_found_by_the_address_of_their_person(admin_client, alice):
    alices = Client()
    alices.force_login(alice)
    alices.get("/profile/")

    answer = admin_client.get(reverse("admin:usersessions_usersession_changelist"), {"q": "alice"})

    assert "alice@example.com" in answer.text
