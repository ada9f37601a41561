"""Users and roles."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import IntegrityError

from accounts.ids import first_uuid7_since, uuid7
from accounts.models import Membership, Role, User


@pytest.mark.parametrize(
    ("role", "publishes", "manages", "owns"),
    [
        (Role.VIEWER, False, False, False),
        (Role.EDITOR, True, False, False),
        (Role.ADMIN, True, True, False),
        (Role.OWNER, True, True, True),
    ],
)
def test_role_gives_what_it_should(role, publishes, manages, owns):
    membership = Membership(role=role)

    assert (membership.can_publish, membership.can_manage, membership.is_owner) == (publishes, manages, owns)


def test_user_address_is_unique_whatever_its_case(alice):
    with pytest.raises(IntegrityError):
        User.objects.bulk_create([User(email="ALICE@EXAMPLE.COM")])


def test_user_whose_address_was_typed_in_capitals_can_log_in(client, db):
    User.objects.create_superuser("Op@Example.COM", "correct horse battery")

    client.post("/accounts/login/", {"login": "Op@Example.COM", "password": "correct horse battery"})

    assert client.get("/profile/").status_code == 200


def test_membership_is_one_for_each_user_and_workspace(alice, acme):
    with pytest.raises(IntegrityError):
        Membership.objects.create(user=alice, workspace=acme, role=Role.VIEWER)


def test_membership_role_is_held_by_the_database(alice):
    with pytest.raises(IntegrityError):
        Membership.objects.update(role="king")


@pytest.mark.parametrize(
    ("name", "email", "short"),
    [("Nora Nord", "n@example.com", "Nora"), ("", "nora@example.com", "nora"), ("  ", "n@example.com", "n")],
)
def test_user_is_called_by_something_short(name, email, short):
    assert User(name=name, email=email).get_short_name() == short


def test_user_needs_an_address(db):
    with pytest.raises(ValueError, match="e-mail"):
        User.objects.create_user("")


def test_ids_made_later_sort_later(monkeypatch):
    moments = iter([1_000_000_000_000, 1_002_000_000_000])
    monkeypatch.setattr("accounts.ids.time.time_ns", lambda: next(moments))

    first, second = uuid7(), uuid7()

    assert first < second
    assert first.version == 7


def test_bound_of_ids_stands_before_those_made_since_and_after_the_older_ones(monkeypatch):
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    since = int(moment.timestamp() * 1000)
    moments = iter([(since - 1) * 1_000_000, since * 1_000_000])
    monkeypatch.setattr("accounts.ids.time.time_ns", lambda: next(moments))

    before, after = uuid7(), uuid7()

    assert before < first_uuid7_since(moment) < after
