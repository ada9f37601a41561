"""People and workspaces in the admin."""

from __future__ import annotations

import pytest
from django.urls import reverse

from accounts.models import Membership, User

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
