"""People and workspaces in the admin."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, Membership, User, Workspace

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
