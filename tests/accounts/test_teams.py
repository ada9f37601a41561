"""Roles in one place, handing over, deleting and restoring a workspace."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Barrier

import pytest
from django.db import IntegrityError, connections, transaction
from django.urls import reverse
from django.utils import timezone

from accounts import removal
from accounts.account_removal import consequences_of
from accounts.models import AuditEvent, Membership, Role, Workspace
from accounts.permissions import Permission
from accounts.removal import RemovalError, remove_due, request_deletion, restore
from accounts.signals import workspace_disconnecting, workspace_stopping
from accounts.workspaces import (
    LastOwnerError,
    RoleChangeError,
    change_role,
    remove_member,
    transfer_ownership,
)

pytestmark = pytest.mark.django_db


def member(user) -> Membership:
    return Membership.objects.select_related("user", "workspace").get(user=user)


@pytest.fixture
def admin(acme, django_user_model):
    """An admin of acme."""
    user = django_user_model.objects.create_user("adam@example.com", "correct horse battery", name="Adam")
    return Membership.objects.create(workspace=acme, user=user, role=Role.ADMIN)


def grace_is_over(workspace: Workspace) -> None:
    Workspace.objects.filter(pk=workspace.pk).update(delete_after=timezone.now() - timedelta(seconds=1))


# --- Roles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_role_grants_nothing_above_itself(role):
    assert all(role.covers(given) for given in role.grants)


def test_permissions_only_grow_with_the_role():
    counts = [sum(one.is_of(role) for one in Permission) for role in Role]

    assert counts == sorted(set(counts))
    assert counts[-1] == len(Permission)


def test_members_page_shows_the_table_of_the_code(vic, browse):
    words = browse(vic).get("/w/acme/members/").content.decode()

    rows = re.findall(r'scope="row">([^<]+)</th><td data-label="Who may">([^<]+)<', words)
    assert rows == [(one.words, one.who) for one in Permission]


def test_words_of_who_may_name_the_roles_that_may():
    for one in Permission:
        named = {role for role in Role if one.who == "Everybody" or f"{role.value}s" in one.who.lower()}
        assert named == {role for role in Role if one.is_of(role)}


@pytest.mark.parametrize(
    ("whom", "role"), [("adam", Role.EDITOR), ("vic", Role.ADMIN), ("alice", Role.ADMIN)]
)
def test_admin_neither_makes_nor_changes_admins(alice, admin, vic, acme, django_user_model, whom, role):
    eve = django_user_model.objects.create_user("eve@example.com")
    acting = Membership.objects.create(workspace=acme, user=eve, role=Role.ADMIN)
    target = Membership.objects.get(user__email=f"{whom}@example.com")

    with pytest.raises(RoleChangeError):
        change_role(actor=acting, membership_id=target.pk, role=role)

    assert Membership.objects.get(pk=target.pk).role == target.role


def test_admin_does_not_remove_an_admin(alice, admin, acme, django_user_model):
    eve = django_user_model.objects.create_user("eve@example.com")
    acting = Membership.objects.create(workspace=acme, user=eve, role=Role.ADMIN)

    with pytest.raises(RoleChangeError):
        remove_member(actor=acting, membership_id=admin.pk)


def test_admin_may_step_down_and_not_up(alice, admin):
    with pytest.raises(RoleChangeError):
        change_role(actor=admin, membership_id=admin.pk, role=Role.OWNER)

    change_role(actor=admin, membership_id=admin.pk, role=Role.VIEWER)

    assert member(admin.user).role == Role.VIEWER


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_leave_at_once_leave_one(alice, erin):
    """With threads: whoever comes second must see that the first has gone."""
    Membership.objects.filter(user=erin).update(role=Role.OWNER)
    start = Barrier(2, timeout=20)

    def leave(actor: Membership) -> type[BaseException] | None:
        try:
            start.wait()
            remove_member(actor=actor, membership_id=actor.pk)
        except LastOwnerError as error:
            return type(error)
        finally:
            connections.close_all()
        return None

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(leave, [member(alice), member(erin)]))

    assert sorted(map(str, outcomes)) == sorted(map(str, [None, LastOwnerError]))
    assert Membership.objects.filter(role=Role.OWNER).count() == 1


@pytest.mark.django_db(transaction=True)
def test_member_who_is_removed_twice_at_once_goes_once(alice, vic):
    target, start = member(vic).pk, Barrier(2, timeout=20)

    def remove(actor: Membership) -> type[BaseException] | None:
        try:
            start.wait()
            remove_member(actor=actor, membership_id=target)
        except Membership.DoesNotExist as error:
            return type(error)
        finally:
            connections.close_all()
        return None

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(remove, [member(alice), member(alice)]))

    assert outcomes.count(None) == 1
    assert AuditEvent.objects.filter(action="member.removed").count() == 1


def test_owner_who_is_switched_off_is_none_to_leave_a_workspace_to(alice, erin):
    Membership.objects.filter(user=erin).update(role=Role.OWNER)
    type(erin).objects.filter(pk=erin.pk).update(is_active=False)

    with pytest.raises(LastOwnerError):
        remove_member(actor=member(alice), membership_id=member(alice).pk)
    assert consequences_of(alice).blocking == [member(alice).workspace]


@pytest.mark.django_db(transaction=True)
def test_handing_over_to_somebody_who_leaves_at_once_keeps_an_owner(alice, erin):
    start = Barrier(2, timeout=20)
    heir = member(erin).pk

    def at_once(do: Callable[[], object]) -> type[BaseException] | None:
        try:
            start.wait()
            do()
        except (LastOwnerError, Membership.DoesNotExist) as error:
            return type(error)
        finally:
            connections.close_all()
        return None

    deeds = [
        partial(transfer_ownership, actor=member(alice), membership_id=heir),
        partial(remove_member, actor=member(erin), membership_id=heir),
    ]
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(at_once, deeds))

    assert outcomes in ([None, LastOwnerError], [Membership.DoesNotExist, None])
    assert Membership.objects.filter(role=Role.OWNER).count() == 1


# --- Handing over -----------------------------------------------------------------------------------------------------


def test_transfer_makes_the_other_owner_and_me_admin(alice, erin, browse):
    answer = browse(alice).post(reverse("workspace_transfer", args=["acme"]), {"member": member(erin).pk})

    assert answer.status_code == 302
    assert (member(erin).role, member(alice).role) == (Role.OWNER, Role.ADMIN)
    assert AuditEvent.objects.filter(action="workspace.transferred", actor_id=alice.pk).exists()


def test_transfer_is_the_owners_alone(alice, admin, erin):
    with pytest.raises(RoleChangeError):
        transfer_ownership(actor=admin, membership_id=member(erin).pk)

    assert member(alice).role == Role.OWNER


def test_transfer_refuses_a_member_of_another_workspace(alice, mallory, browse):
    client = browse(alice)

    for target in (member(mallory).pk, member(alice).pk, "x"):
        assert (
            client.post(reverse("workspace_transfer", args=["acme"]), {"member": target}).status_code == 422
        )

    assert member(alice).role == Role.OWNER


def test_transfer_without_anybody_else_says_so(alice, browse):
    assert (
        "There is nobody else here"
        in browse(alice).get(reverse("workspace_transfer", args=["acme"])).content.decode()
    )


# --- Deleting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "acme", "Rival", "Acme!"])
def test_delete_wants_the_name_typed(alice, acme, browse, name):
    answer = browse(alice).post(reverse("workspace_delete", args=["acme"]), {"name": name})

    acme.refresh_from_db()
    assert answer.status_code == 422
    assert acme.delete_after is None


def test_delete_gives_two_weeks_and_tells_every_member(alice, vic, acme, browse):
    browse(alice).post(reverse("workspace_delete", args=["acme"]), {"name": " Acme "})

    acme.refresh_from_db()
    words = browse(vic).get("/w/acme/members/").content.decode()
    assert timedelta(days=13, hours=23) < acme.delete_after - timezone.now() <= timedelta(days=14)
    assert "Acme will be deleted on" in words
    assert "An owner can keep it" in words
    assert "Keep Acme" not in words


@pytest.mark.parametrize("name", ["workspace_delete", "workspace_restore", "workspace_transfer"])
def test_delete_restore_and_transfer_are_not_for_admins(admin, acme, browse, name):
    answer = browse(admin.user).post(reverse(name, args=["acme"]), {"name": "Acme"})

    acme.refresh_from_db()
    assert answer.status_code == 403
    assert acme.delete_after is None


def test_delete_believes_the_database_over_an_old_copy_of_the_actor(alice, acme):
    stale = member(alice)
    Membership.objects.update(role=Role.EDITOR)

    with pytest.raises(RemovalError):
        request_deletion(actor=stale)


def test_delete_twice_keeps_the_first_day(alice, acme):
    first = request_deletion(actor=member(alice)).delete_after

    assert request_deletion(actor=member(alice)).delete_after == first
    assert AuditEvent.objects.filter(action="workspace.deletion_requested").count() == 1


def test_restore_keeps_the_workspace(alice, acme, browse):
    request_deletion(actor=member(alice))

    browse(alice).post(reverse("workspace_restore", args=["acme"]))

    acme.refresh_from_db()
    assert acme.delete_after is None
    assert remove_due() == "removed=0 waiting=0"


def test_removal_waits_for_the_grace_to_end(alice, acme):
    request_deletion(actor=member(alice))

    remove_due()

    assert Workspace.objects.filter(pk=acme.pk).exists()


def test_removal_takes_only_the_workspace_that_is_due(alice, vic, acme, mallory, rival):
    grace_is_over(acme)

    outcome = remove_due()

    assert outcome == "removed=1 waiting=0"
    assert list(Workspace.objects.all()) == [rival]
    assert list(Membership.objects.values_list("user__email", flat=True)) == ["mallory@example.com"]


def test_removal_leaves_the_events_of_the_workspace(alice, vic, acme):
    change_role(actor=member(alice), membership_id=member(vic).pk, role=Role.EDITOR)
    grace_is_over(acme)

    remove_due()

    actions = AuditEvent.objects.filter(workspace_id=acme.pk).order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["workspace.removed"]


def test_removal_that_has_begun_shuts_everybody_out_and_cannot_be_taken_back(alice, acme, browse):
    grace_is_over(acme)
    workspace_stopping.connect(wait)
    try:
        assert remove_due() == "removed=0 waiting=1"
    finally:
        workspace_stopping.disconnect(wait)

    with pytest.raises(RemovalError):
        restore(actor=member(alice))
    client = browse(alice)
    assert client.get("/w/acme/members/").status_code == 404
    assert "Acme" not in client.get(reverse("workspace_list")).content.decode()
    assert client.get("/").url == reverse("workspace_list")


def test_removal_goes_on_where_it_waited(alice, acme):
    grace_is_over(acme)
    workspace_stopping.connect(wait)
    try:
        remove_due()
    finally:
        workspace_stopping.disconnect(wait)

    assert remove_due() == "removed=1 waiting=0"


def test_removal_of_one_workspace_is_not_stopped_by_the_failure_of_another(alice, acme, mallory, rival):
    def fail(workspace: Workspace, **_: object) -> bool:
        if workspace.pk == acme.pk:
            raise RuntimeError("broken")
        return True

    grace_is_over(acme)
    grace_is_over(rival)
    workspace_disconnecting.connect(fail)
    try:
        outcome = remove_due()
    finally:
        workspace_disconnecting.disconnect(fail)

    assert outcome == "removed=1 waiting=1"
    assert list(Workspace.objects.all()) == [acme]


def wait(workspace: Workspace, **_: object) -> bool:
    """A handler that is not done yet."""
    return False


def test_database_refuses_a_removal_without_a_grace(acme):
    with pytest.raises(IntegrityError), transaction.atomic():
        Workspace.objects.filter(pk=acme.pk).update(removal_started_at=timezone.now())


def test_grace_is_what_the_page_says(alice, browse):
    words = browse(alice).get(reverse("workspace_delete", args=["acme"])).content.decode()

    assert f"For {removal.GRACE.days} days" in words
