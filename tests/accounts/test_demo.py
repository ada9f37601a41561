"""The demo's logins."""

from __future__ import annotations

import pytest
from allauth.account.models import EmailAddress
from django.core.management import CommandError, call_command
from django.urls import reverse

from accounts import demo
from accounts.models import Membership, Role, User, Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _people_only(settings):
    settings.DEMO_LOADERS = ["accounts.demo.load_people"]
    settings.BASE_URL = "http://127.0.0.1:8000"


@pytest.mark.parametrize("login", demo.LOGINS, ids=lambda login: login.email)
def test_load_demo_makes_logins_that_work(client, capsys, login):
    call_command("load_demo")

    answer = client.post(reverse("account_login"), {"login": login.email, "password": demo.PASSWORD})

    assert answer.status_code == 302
    assert EmailAddress.objects.get(email=login.email).verified
    assert login.email in capsys.readouterr().out


def test_load_demo_gives_each_their_role():
    call_command("load_demo", stdout=None)

    roles = dict(Membership.objects.values_list("user__email", "role"))
    assert roles == {demo.OWNER.email: Role.OWNER, demo.VIEWER.email: Role.VIEWER}
    assert list(User.objects.filter(is_superuser=True).values_list("email", flat=True)) == [
        demo.OPERATOR.email
    ]


def test_load_demo_again_changes_nothing_that_a_person_changed():
    demo.load_people()
    Workspace.objects.update(name="Renamed")
    Membership.objects.filter(user__email=demo.VIEWER.email).update(role=Role.EDITOR)

    demo.load_people()

    assert Workspace.objects.get().name == "Renamed"
    assert Membership.objects.get(user__email=demo.VIEWER.email).role == Role.EDITOR
    assert User.objects.count() == 3


def test_load_demo_is_refused_where_others_can_reach_the_site(settings):
    settings.BASE_URL = "https://broadside.example.com"

    with pytest.raises(CommandError, match="known to everybody"):
        call_command("load_demo")

    assert User.objects.count() == 0


def test_load_demo_obeys_who_wants_it_anywhere(settings):
    settings.BASE_URL = "https://broadside.example.com"

    call_command("load_demo", "--anywhere", stdout=None)

    assert User.objects.filter(email=demo.OWNER.email).exists()
