"""The pages of a workspace itself: list, switcher, settings."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from accounts.models import Membership, Workspace
from accounts.workspaces import create_workspace
from tests.accounts.pages import Page

pytestmark = pytest.mark.django_db


def test_workspace_list_shows_mine_and_nobody_elses(alice, mallory, browse):
    words = browse(alice).get(reverse("workspace_list")).content.decode()

    assert "Acme" in words
    assert "Rival" not in words


def test_workspace_list_makes_a_new_one_and_enters_it(alice, browse):
    answer = browse(alice).post(reverse("workspace_list"), {"name": "Second"})

    second = Workspace.objects.get(name="Second")
    assert answer.url == reverse("workspace_open", args=[second.slug])
    assert second.memberships.get().user == alice


@pytest.mark.parametrize("name", ["", "   ", "x" * 81])
def test_workspace_list_refuses_a_name_that_is_none(alice, browse, name):
    answer = browse(alice).post(reverse("workspace_list"), {"name": name})

    assert answer.status_code == 422
    assert "field-error" in answer.content.decode()
    assert Workspace.objects.count() == 1


def test_workspace_list_makes_no_more_than_a_person_may_own(alice, erin, browse, settings):
    settings.WORKSPACES_PER_PERSON = 2
    create_workspace(name="Second", owner=alice)

    refused = browse(alice).post(reverse("workspace_list"), {"name": "Third"})
    settings.WORKSPACES_PER_PERSON = 1
    another = browse(erin).post(reverse("workspace_list"), {"name": "Hers"})

    assert refused.status_code == 422
    words = refused.content.decode()
    assert "You own 2 workspaces, as many as one person may here." in words
    assert 'value="Third"' in words
    assert another.status_code == 302, "being a member of somebody else's counts for nothing"
    assert not Workspace.objects.filter(name="Third").exists()


def test_no_limit_is_zero(alice, browse, settings):
    settings.WORKSPACES_PER_PERSON = 0

    assert browse(alice).post(reverse("workspace_list"), {"name": "Second"}).status_code == 302


def test_switcher_offers_every_workspace_and_marks_the_present_one(alice, browse):
    create_workspace(name="Second", slug="second", owner=alice)

    page = Page(browse(alice).get("/w/second/members/").content.decode())

    entries = {
        anchor["href"]: anchor.get("aria-current")
        for anchor in page.all("a")
        if re.fullmatch(r"/w/[a-z]+/", anchor["href"])
    }
    assert entries == {"/w/acme/": None, "/w/second/": "true"}


def test_switcher_keeps_showing_the_workspace_used_last_on_pages_outside(alice, browse):
    create_workspace(name="Second", slug="second", owner=alice)
    client = browse(alice)
    client.get("/w/second/members/")

    links = Page(client.get(reverse("profile")).content.decode()).links()

    assert "/w/second/members/" in links
    assert "/w/acme/members/" not in links


def test_a_poll_in_a_background_tab_does_not_change_the_workspace_used_last(alice, browse):
    create_workspace(name="Second", slug="second", owner=alice)
    client = browse(alice)
    client.get("/w/second/members/")

    client.get("/w/acme/members/", headers={"HX-Request": "true"})

    assert "/w/second/members/" in Page(client.get(reverse("profile")).content.decode()).links()


def test_settings_rename_and_keep_the_address(alice, acme, browse):
    answer = browse(alice).post("/w/acme/settings/", {"name": "Acme North", "slug": "elsewhere"})

    acme.refresh_from_db()
    assert answer.url == "/w/acme/settings/"
    assert (acme.name, acme.slug) == ("Acme North", "acme")


def test_settings_refuse_an_empty_name_and_keep_showing_the_old_one(alice, acme, browse):
    answer = browse(alice).post("/w/acme/settings/", {"name": ""})

    acme.refresh_from_db()
    assert answer.status_code == 422
    assert acme.name == "Acme"
    assert "Acme</span>" in answer.content.decode()


def test_workspace_list_takes_as_many_queries_for_five_as_for_one(
    alice, browse, django_assert_max_num_queries
):
    client = browse(alice)
    client.get(reverse("workspace_list"))
    for number in range(5):
        create_workspace(name=f"More {number}", owner=alice)

    with django_assert_max_num_queries(4):
        client.get(reverse("workspace_list"))

    assert Membership.objects.filter(user=alice).count() == 6
