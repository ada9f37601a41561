"""Making workspaces and changing their members, as services."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import pytest
from django.db import IntegrityError, OperationalError, connections, transaction

from accounts.models import Membership, Role, Workspace
from accounts.workspaces import (
    LastOwnerError,
    RoleChangeError,
    TooManyWorkspacesError,
    change_role,
    create_further_workspace,
    create_workspace,
    remove_member,
)


def membership_of(user) -> Membership:
    return Membership.objects.get(user=user)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        pytest.param("North & South", "north-south", id="marks"),
        pytest.param("Ärger GmbH", "arger-gmbh", id="accents"),
        pytest.param("日本語", "workspace", id="nothing that fits"),
        pytest.param("x" * 80, "x" * 40, id="too long"),
    ],
)
def test_create_workspace_makes_a_slug_from_the_name(alice, name, slug):
    assert re.fullmatch(rf"{slug}-[0-9a-f]{{6}}", create_workspace(name=name, owner=alice).slug)


def test_create_workspace_finds_another_slug_when_one_is_taken(alice, acme, monkeypatch):
    Workspace.objects.filter(pk=acme.pk).update(slug="acme-000000")
    ends = iter(["000000", "000000", "111111"])
    monkeypatch.setattr("accounts.workspaces.secrets.token_hex", lambda _: next(ends))

    workspace = create_workspace(name="Acme", owner=alice)

    assert workspace.slug == "acme-111111"
    assert workspace.memberships.get().role == Role.OWNER


@pytest.mark.parametrize("name", ["Rival", "Nobody here is called so"])
def test_slug_tells_nobody_whether_a_workspace_of_that_name_exists(alice, rival, name):
    assert re.search(r"[a-z]-[0-9a-f]{6}$", create_workspace(name=name, owner=alice).slug)


def test_create_workspace_keeps_to_a_slug_that_was_chosen(alice, acme):
    assert create_workspace(name="Other", slug="chosen", owner=alice).slug == "chosen"
    with pytest.raises(IntegrityError), transaction.atomic():
        create_workspace(name="Other", slug="acme", owner=alice)


def test_change_role_gives_another_role(alice, vic):
    change_role(actor=membership_of(alice), membership_id=membership_of(vic).pk, role=Role.ADMIN)

    assert membership_of(vic).role == Role.ADMIN


def test_change_role_keeps_the_last_owner(alice):
    mine = membership_of(alice)

    with pytest.raises(LastOwnerError):
        change_role(actor=mine, membership_id=mine.pk, role=Role.ADMIN)

    assert membership_of(alice).role == Role.OWNER


def test_change_role_lets_an_owner_step_down_beside_another(alice, erin):
    mine = membership_of(alice)
    change_role(actor=mine, membership_id=membership_of(erin).pk, role=Role.OWNER)

    change_role(actor=mine, membership_id=mine.pk, role=Role.EDITOR)

    assert membership_of(alice).role == Role.EDITOR


@pytest.mark.parametrize(
    ("whom", "role"),
    [
        pytest.param("alice", Role.ADMIN, id="lower an owner"),
        pytest.param("vic", Role.OWNER, id="make an owner"),
        pytest.param("erin", Role.OWNER, id="become owner"),
    ],
)
def test_change_role_keeps_an_admin_from_touching_owners(alice, erin, vic, request, whom, role):
    Membership.objects.filter(user=erin).update(role=Role.ADMIN)
    target = membership_of(request.getfixturevalue(whom))

    with pytest.raises(RoleChangeError):
        change_role(actor=membership_of(erin), membership_id=target.pk, role=role)

    assert membership_of(target.user).role == target.role


def test_change_role_believes_the_database_over_an_old_copy_of_the_actor(alice, erin, vic):
    stale = membership_of(erin)
    stale.role = Role.ADMIN  # as it was when the page was read

    with pytest.raises(RoleChangeError):
        change_role(actor=stale, membership_id=membership_of(vic).pk, role=Role.ADMIN)


def test_change_role_does_not_reach_into_another_workspace(alice, mallory):
    with pytest.raises(Membership.DoesNotExist):
        change_role(actor=membership_of(mallory), membership_id=membership_of(alice).pk, role=Role.VIEWER)


def test_remove_member_takes_out_and_lets_leave(alice, erin, vic):
    remove_member(actor=membership_of(alice), membership_id=membership_of(erin).pk)
    remove_member(actor=membership_of(vic), membership_id=membership_of(vic).pk)

    assert [member.user for member in Membership.objects.select_related("user")] == [alice]


def test_remove_member_keeps_the_last_owner(alice, erin):
    mine = membership_of(alice)

    with pytest.raises(LastOwnerError):
        remove_member(actor=mine, membership_id=mine.pk)


def test_remove_member_refuses_an_editor(alice, erin, vic):
    with pytest.raises(RoleChangeError):
        remove_member(actor=membership_of(erin), membership_id=membership_of(vic).pk)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", [partial(change_role, role=Role.VIEWER), remove_member])
def test_changes_of_members_wait_for_each_other(alice, erin, acme, change):
    """Else two owners could each step down, believing in the other."""
    Membership.objects.filter(user=erin).update(role=Role.OWNER)
    mine = membership_of(alice)

    def step_down() -> None:
        with closing(connections["default"]) as theirs, theirs.cursor() as cursor:
            cursor.execute("SET lock_timeout = '100ms'")
            change(actor=mine, membership_id=mine.pk)

    with transaction.atomic(), ThreadPoolExecutor(1) as other:
        Workspace.objects.select_for_update().get(pk=acme.pk)
        error = other.submit(step_down).exception(timeout=20)

    assert isinstance(error, OperationalError)
    assert "lock timeout" in str(error)
    assert membership_of(alice).role == Role.OWNER


@pytest.mark.django_db(transaction=True)
def test_workspaces_made_at_once_are_counted_one_after_the_other(alice, settings):
    settings.WORKSPACES_PER_PERSON = 2

    def make(number: int) -> None:
        with closing(connections["default"]):
            create_further_workspace(name=f"Number {number}", owner=alice)

    with ThreadPoolExecutor(4) as others:
        errors = [one.exception(timeout=20) for one in [others.submit(make, number) for number in range(4)]]

    assert sorted(map(str, map(type, errors))) == sorted(
        map(str, [type(None)] + [TooManyWorkspacesError] * 3)
    )
    assert Membership.objects.filter(user=alice, role=Role.OWNER).count() == 2
