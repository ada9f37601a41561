"""The profile page."""

from __future__ import annotations

import pytest
from django.urls import reverse

pytestmark = pytest.mark.django_db


def test_profile_changes_the_name(alice, browse):
    answer = browse(alice).post(
        reverse("profile"), {"name": "Alice A.", "is_staff": "on", "email": "x@example.com"}
    )

    alice.refresh_from_db()
    assert answer.url == reverse("profile")
    assert (alice.name, alice.is_staff, alice.email) == ("Alice A.", False, "alice@example.com")


@pytest.mark.parametrize("name", ["", "  ", "x" * 101])
def test_profile_refuses_a_name_that_is_none(alice, browse, name):
    answer = browse(alice).post(reverse("profile"), {"name": name})

    alice.refresh_from_db()
    assert answer.status_code == 422
    assert alice.name == "Alice"


def test_profile_shows_a_name_as_text_not_as_markup(alice, browse):
    alice.name = "<b>Alice</b>"
    alice.save(update_fields=["name"])

    words = browse(alice).get(reverse("profile")).content.decode()

    assert "<b>Alice" not in words
    assert "&lt;b&gt;Alice" in words
