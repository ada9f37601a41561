"""The start page."""

from __future__ import annotations

import pytest
from django.urls import reverse

from accounts.workspaces import create_workspace

pytestmark = pytest.mark.django_db


def posts_of(slug: str) -> str:
    return reverse("publishing:post_list", args=[slug])


def test_home_tells_a_visitor_what_this_is(client):
    answer = client.get("/")

    words = answer.content.decode()
    assert answer.status_code == 200
    assert reverse("account_login") in words
    assert reverse("account_signup") in words


def test_home_brings_a_member_to_their_posts(alice, browse):
    assert browse(alice).get("/").url == posts_of("acme")


def test_home_brings_a_member_of_several_to_the_one_joined_first(alice, browse):
    create_workspace(name="Aaa", owner=alice)

    assert browse(alice).get("/").url == posts_of("acme")


def test_home_brings_a_member_of_several_to_the_one_used_last(alice, browse):
    create_workspace(name="Second", slug="second", owner=alice)
    client = browse(alice)
    client.get("/w/second/members/")

    assert client.get("/").url == posts_of("second")


def test_home_forgets_a_workspace_that_one_was_removed_from(alice, browse):
    second = create_workspace(name="Second", slug="second", owner=alice)
    client = browse(alice)
    client.get("/w/second/members/")
    second.memberships.all().delete()

    assert client.get("/").url == posts_of("acme")


def test_home_brings_someone_without_a_workspace_to_the_place_to_make_one(alice, browse):
    alice.memberships.all().delete()
    client = browse(alice)

    answer = client.get("/", follow=True)

    assert answer.request["PATH_INFO"] == reverse("workspace_list")
    assert "You are in no workspace" in answer.content.decode()
