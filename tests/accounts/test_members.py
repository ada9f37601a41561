"""The members page."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Membership, Role, User

pytestmark = pytest.mark.django_db


def url(name: str, user: User, slug: str = "acme") -> str:
    return reverse(name, args=[slug, Membership.objects.get(user=user).pk])


def role_of(user: User) -> str | None:
    return Membership.objects.filter(user=user).values_list("role", flat=True).first()


def test_members_are_listed_with_role_and_what_it_may_do(alice, vic, browse):
    words = browse(vic).get("/w/acme/members/").content.decode()

    assert "alice@example.com" in words
    assert "Looks at posts and connections, changes nothing." in words


def test_members_offer_a_viewer_nothing_but_to_leave(alice, vic, browse):
    words = browse(vic).get("/w/acme/members/").content.decode()

    assert "<select" not in words
    assert url("member_remove", vic) in words
    assert url("member_remove", alice) not in words


def test_members_take_as_many_queries_for_many_as_for_few(alice, acme, browse, django_assert_max_num_queries):
    for number in range(20):
        user = User.objects.create_user(f"{number}@example.com")
        Membership.objects.create(workspace=acme, user=user, role=Role.VIEWER)
    client = browse(alice)
    client.get("/w/acme/members/")

    with django_assert_max_num_queries(8):
        client.get("/w/acme/members/")


def test_members_come_in_pages(alice, acme, browse):
    users = User.objects.bulk_create(User(email=f"{number}@example.com") for number in range(60))
    Membership.objects.bulk_create(
        Membership(workspace=acme, user=user, role=Role.VIEWER, created_at=timezone.now()) for user in users
    )
    client = browse(alice)

    first = client.get("/w/acme/members/").content.decode()
    second = client.get("/w/acme/members/?page=2").content.decode()

    assert (first.count("row-title"), second.count("row-title")) == (50, 11)
    assert "?page=2" in first


def test_member_role_is_changed_by_an_owner(alice, vic, browse):
    answer = browse(alice).post(url("member_role", vic), {"role": "editor"}, follow=True)

    assert role_of(vic) == Role.EDITOR
    assert "Vic is now editor." in answer.content.decode()


@pytest.mark.parametrize("role", ["", "king", "owner "])
def test_member_role_refuses_what_is_no_role(alice, vic, browse, role):
    browse(alice).post(url("member_role", vic), {"role": role})

    assert role_of(vic) == Role.VIEWER


def test_member_role_is_not_owner_by_an_admins_hand(alice, erin, vic, browse):
    Membership.objects.filter(user=erin).update(role=Role.ADMIN)

    browse(erin).post(url("member_role", vic), {"role": "owner"})

    assert role_of(vic) == Role.VIEWER


def test_member_role_tells_the_last_owner_why_not(alice, browse):
    answer = browse(alice).post(url("member_role", alice), {"role": "viewer"}, follow=True)

    assert role_of(alice) == Role.OWNER
    assert "A workspace needs an owner" in answer.content.decode()


def test_member_of_another_workspace_is_not_found(alice, mallory, browse):
    client = browse(mallory)

    assert client.post(url("member_role", alice, "rival"), {"role": "viewer"}).status_code == 404
    assert client.post(url("member_remove", alice, "rival")).status_code == 404
    assert role_of(alice) == Role.OWNER


def test_member_remove_asks_first(alice, vic, browse):
    answer = browse(alice).get(url("member_remove", vic))

    assert "Remove Vic?" in answer.content.decode()
    assert role_of(vic) == Role.VIEWER


def test_member_remove_shuts_the_door_at_once(alice, vic, browse):
    vics = browse(vic)

    browse(alice).post(url("member_remove", vic))

    assert vics.get("/w/acme/members/").status_code == 404


def test_member_may_leave(alice, vic, browse):
    answer = browse(vic).post(url("member_remove", vic), follow=True)

    assert role_of(vic) is None
    assert "You have left Acme." in answer.content.decode()


def test_last_owner_is_led_to_what_comes_before_leaving(alice, vic, browse):
    words = browse(alice).get(url("member_remove", alice)).content.decode()
    assert reverse("workspace_transfer", args=["acme"]) in words
    assert "You lose access" not in words
    Membership.objects.filter(user=vic).update(role=Role.OWNER)

    words = browse(alice).get(url("member_remove", alice)).content.decode()

    assert "You lose access to Acme at once." in words


def test_last_owner_is_told_why_they_cannot_leave(alice, browse):
    answer = browse(alice).post(url("member_remove", alice), follow=True)

    assert role_of(alice) == Role.OWNER
    assert "Make somebody else an owner first." in answer.content.decode()
