"""Connections in the admin: what operators see and do, and that no secret is among it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from connections.crypto import open_sealed
from connections.models import ConnectionStatus, OAuthRequest, SocialConnection, WebhookEvent
from tests.connections.conftest import REVOKE_URL, TOKEN_URL, flat_error, grant
from tests.connections.webhook_wire import completed, deliver

pytestmark = pytest.mark.django_db

LIST = "/admin/connections/socialconnection/"


@pytest.fixture
def operator(client, db):
    """An operator's browser."""
    client.force_login(User.objects.create_superuser("op@example.com", "correct horse battery"))
    return client


def text(answer):
    return answer.content.decode()


def act(client, name, *rows):
    return client.post(LIST, {"action": name, "_selected_action": [row.pk for row in rows]}, follow=True)


def listed(client, **query):
    result = client.get(LIST, query).context["cl"].result_list
    return set(result)


@pytest.mark.parametrize("page", ["list", "change", "history"])
def test_no_page_shows_a_token_or_its_ciphertext(operator, acme, make_connection, page):
    row = make_connection(acme)
    address = {
        "list": LIST,
        "change": f"{LIST}{row.pk}/change/",
        "history": f"{LIST}{row.pk}/history/",
    }[page]

    shown = operator.get(address)

    assert shown.status_code == 200
    assert "old-access" not in text(shown)
    assert "old-refresh" not in text(shown)
    assert str(row.access_token) not in text(shown)
    assert "gAAAA" not in text(shown)


def test_only_the_label_can_be_changed(operator, acme, make_connection):
    row = make_connection(acme)
    url = f"{LIST}{row.pk}/change/"

    operator.post(
        url, {"account_label": "Main", "status": "revoked", "access_token": "x", "is_primary": "on"}
    )

    row.refresh_from_db()
    assert row.account_label == "Main"
    assert row.status == ConnectionStatus.ACTIVE
    assert row.is_primary is False
    assert open_sealed(row, "access_token") == "act.old-access"


def test_nothing_is_added_or_deleted_by_hand(operator, acme, make_connection):
    row = make_connection(acme)

    assert operator.get(f"{LIST}add/").status_code == 403
    assert operator.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert SocialConnection.objects.exists()


def test_connects_under_way_are_not_in_the_admin():
    from django.contrib import admin

    assert OAuthRequest not in admin.site._registry


def test_connections_are_found_by_name_account_and_workspace(operator, acme, rival, make_connection):
    nora = make_connection(acme, profile={"username": "noramoves", "display_name": "Nora"})
    other = make_connection(rival, account_label="Shop")

    assert listed(operator, q="noramo") == {nora}
    assert listed(operator, q="shop") == {other}
    assert listed(operator, q="Rival") == {other}
    assert listed(operator, q=nora.provider_account_id) == {nora}
    assert listed(operator, workspace__id__exact=str(acme.pk)) == {nora}


def test_connections_are_filtered_by_state_and_expiry(operator, acme, make_connection, expired):
    now = timezone.now()
    over = make_connection(acme, **expired)
    ending = make_connection(acme, access_expires_at=now + timedelta(minutes=30))
    fortnight = make_connection(acme, refresh_expires_at=now + timedelta(days=3))
    gone = make_connection(
        acme, status=ConnectionStatus.NEEDS_REAUTH, refresh_expires_at=now - timedelta(days=1)
    )

    assert listed(operator, status__exact="needs_reauth") == {gone}
    assert listed(operator, expires="access_over") == {over}
    assert listed(operator, expires="access_hour") == {ending}
    assert listed(operator, expires="permission_fortnight") == {fortnight}
    assert listed(operator, expires="permission_over") == {gone}
    assert len(listed(operator, expires="nonsense")) == 4


def test_a_token_is_refreshed_though_it_lives(operator, acme, make_connection, tiktok):
    row = make_connection(acme)
    tiktok.post(TOKEN_URL, json=grant(open_id=row.provider_account_id))

    answer = act(operator, "refresh_token_now", row)

    row.refresh_from_db()
    assert open_sealed(row, "access_token") == "act.new-access"
    assert "refreshed the token" in text(answer)
    assert "new-access" not in text(answer)


def test_one_failing_action_is_told_and_stops_no_other(operator, acme, make_connection, tiktok):
    dead, live = make_connection(acme, refresh_token="rft.dead"), make_connection(acme)
    tiktok.post(
        TOKEN_URL,
        status=400,
        json=flat_error("invalid_grant"),
        match=[lambda request: (b"rft.dead" in request.body, "another token")],
    )
    tiktok.post(TOKEN_URL, json=grant(open_id=live.provider_account_id))

    answer = act(operator, "refresh_token_now", dead, live)

    dead.refresh_from_db()
    live.refresh_from_db()
    assert "failed: The refresh token was refused [invalid_grant]" in text(answer)
    assert dead.status == ConnectionStatus.NEEDS_REAUTH
    assert live.token_generation == 1


def test_a_connection_is_tested(operator, acme, make_connection, account):
    assert "test: ok" in text(act(operator, "test_now", make_connection(acme)))


def test_a_connection_is_marked_for_reconnecting_and_that_is_recorded(
    operator, acme, make_connection, notices
):
    row = make_connection(acme)

    answer = act(operator, "require_reconnect", row)

    row.refresh_from_db()
    assert row.status == ConnectionStatus.NEEDS_REAUTH
    assert notices == [("lost", row.pk)]
    assert "marked for reconnecting" in text(answer)
    history = reverse("admin:connections_socialconnection_history", args=[row.pk])
    assert "Marked for reconnecting" in text(operator.get(history))


def test_a_connection_is_disconnected_and_revoked(operator, acme, make_connection, tiktok):
    row = make_connection(acme)
    tiktok.post(REVOKE_URL, json={})

    answer = act(operator, "disconnect_now", row)

    row.refresh_from_db()
    assert row.status == ConnectionStatus.REVOKED
    assert "at the platform: revoked" in text(answer)
    assert len(tiktok.calls) == 1


def test_staff_who_may_only_look_has_no_actions(client, acme, make_connection):
    from django.contrib.auth.models import Permission

    staff = User.objects.create_user("staff@example.com", "correct horse battery", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_socialconnection"))
    client.force_login(staff)
    row = make_connection(acme)

    act(client, "require_reconnect", row)

    row.refresh_from_db()
    assert row.status == ConnectionStatus.ACTIVE


def test_webhook_events_are_found_and_stay_as_they_came(operator):
    deliver(completed("p.wanted"))
    deliver(completed("p.other"))
    event = WebhookEvent.objects.get(publish_id="p.wanted")
    page = "/admin/connections/webhookevent/"

    found = operator.get(page, {"q": "p.wanted"})
    shown = operator.get(f"{page}{event.pk}/change/")

    assert list(found.context["cl"].result_list) == [event]
    assert "p.wanted" in text(shown)
    assert operator.post(f"{page}{event.pk}/change/", {"outcome": "x"}).status_code == 403
    assert operator.get(f"{page}add/").status_code == 403
    assert operator.post(f"{page}{event.pk}/delete/", {"post": "yes"}).status_code == 403
