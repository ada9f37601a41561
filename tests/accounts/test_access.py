"""Who gets into which page of accounts: one row for each URL, compared with the URL conf."""

from __future__ import annotations

import pytest
from allauth.usersessions.models import UserSession
from django.urls import reverse
from django.utils import timezone

from accounts import urls
from accounts.models import Invitation, Membership, Role

pytestmark = pytest.mark.django_db

VISITOR, STRANGER, VIEWER, EDITOR, OWNER = "visitor", "mallory", "vic", "erin", "alice"
CAST = (VISITOR, STRANGER, VIEWER, EDITOR, OWNER)
ACCESS = [
    ("home", "get", (200, 302, 302, 302, 302)),
    ("profile", "get", (302, 200, 200, 200, 200)),
    ("personal_data", "get", (302, 200, 200, 200, 200)),
    ("personal_data", "post", (302, 302, 302, 302, 302)),
    ("session_end", "get", (302, 405, 405, 405, 405)),
    ("session_end", "post", (302, 404, 404, 404, 404)),
    ("account_delete", "get", (302, 302, 302, 302, 302)),
    ("account_delete", "post", (302, 302, 302, 302, 302)),
    ("workspace_data", "get", (302, 404, 403, 403, 200)),
    ("workspace_data", "post", (302, 404, 403, 403, 302)),
    ("workspace_list", "get", (302, 200, 200, 200, 200)),
    ("workspace_open", "get", (302, 404, 302, 302, 302)),
    ("workspace_settings", "get", (302, 404, 403, 403, 200)),
    ("workspace_settings", "post", (302, 404, 403, 403, 422)),
    ("workspace_members", "get", (302, 404, 200, 200, 200)),
    ("workspace_members", "post", (302, 405, 405, 405, 405)),
    ("member_role", "get", (302, 405, 405, 405, 405)),
    ("member_role", "post", (302, 404, 403, 403, 302)),
    ("member_remove", "get", (302, 404, 403, 403, 200)),
    ("member_remove", "post", (302, 404, 403, 403, 302)),
    ("invite", "get", (302, 405, 405, 405, 405)),
    ("invite", "post", (302, 404, 403, 403, 422)),
    ("invitation_resend", "get", (302, 405, 405, 405, 405)),
    ("invitation_resend", "post", (302, 404, 403, 403, 302)),
    ("invitation_revoke", "get", (302, 405, 405, 405, 405)),
    ("invitation_revoke", "post", (302, 404, 403, 403, 302)),
    ("invitation_open", "get", (302, 302, 302, 302, 302)),
    ("invitation_open", "post", (405, 405, 405, 405, 405)),
    ("invitation", "get", (404, 404, 404, 404, 404)),
    ("invitation", "post", (404, 404, 404, 404, 404)),
    ("workspace_transfer", "get", (302, 404, 403, 403, 200)),
    ("workspace_transfer", "post", (302, 404, 403, 403, 422)),
    ("workspace_delete", "get", (302, 404, 403, 403, 200)),
    ("workspace_delete", "post", (302, 404, 403, 403, 422)),
    ("workspace_restore", "get", (302, 405, 405, 405, 405)),
    ("workspace_restore", "post", (302, 404, 403, 403, 302)),
    ("audit", "get", (302, 404, 403, 403, 200)),
    ("audit", "post", (302, 405, 405, 405, 405)),
    ("audit_export", "get", (302, 405, 405, 405, 405)),
    ("audit_export", "post", (302, 404, 403, 403, 200)),
]


@pytest.fixture
def target(acme, django_user_model):
    """A member that the pages about one member are about."""
    user = django_user_model.objects.create_user("bystander@example.com")
    return Membership.objects.create(workspace=acme, user=user, role=Role.VIEWER)


@pytest.fixture
def elsewhere(target):
    """A session of that member, which is nobody else's to end."""
    return UserSession.objects.create(user=target.user, session_key="0" * 32, ip="127.0.0.1", user_agent="x")


@pytest.fixture
def invited(acme):
    """An invitation that the pages about one invitation are about."""
    return Invitation.objects.create(
        workspace=acme,
        email="n@example.com",
        role=Role.EDITOR,
        token_hash="0" * 64,
        expires_at=timezone.now(),
    )


@pytest.mark.parametrize("position", range(len(CAST)), ids=CAST)
@pytest.mark.parametrize(("name", "method", "statuses"), ACCESS)
def test_page_opens_to_whom_it_should(
    client, target, invited, elsewhere, alice, erin, vic, mallory, name, method, statuses, position
):
    people = {"mallory": mallory, "vic": vic, "erin": erin, "alice": alice}
    person = people.get(CAST[position])
    if person:
        client.force_login(person)
    known = {"slug": "acme", "membership_id": target.pk, "invitation_id": invited.pk, "token": "forged"}
    known["session_id"] = elsewhere.pk
    [pattern] = [pattern for pattern in urls.urlpatterns if pattern.name == name]
    arguments = {key: known[key] for key in pattern.pattern.converters}

    answer = getattr(client, method)(reverse(name, kwargs=arguments))

    assert answer.status_code == statuses[position]


def test_every_page_has_a_row():
    assert {pattern.name for pattern in urls.urlpatterns} == {name for name, _, _ in ACCESS}


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("account_login", 200),
        ("account_signup", 200),
        ("account_reset_password", 200),
        ("account_reset_password_done", 200),
        ("account_reset_password_from_key_done", 200),
        ("account_email_verification_sent", 200),
        ("account_inactive", 200),
        ("account_logout", 302),
        ("account_email", 302),
        ("account_change_password", 302),
        ("account_reauthenticate", 302),
    ],
)
def test_visitor_reaches_the_doors_and_nothing_behind_them(client, name, status):
    assert client.get(reverse(name)).status_code == status


def test_admin_sends_a_visitor_through_the_common_login(client):
    answer = client.get("/admin/", follow=True)

    assert answer.request["PATH_INFO"] == reverse("account_login")


def test_admin_is_not_found_by_those_who_are_no_operators(alice, browse):
    assert browse(alice).get("/admin/", follow=True).status_code == 403
