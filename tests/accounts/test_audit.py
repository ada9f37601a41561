"""The audit log: what is in it, who reads it, and that nobody changes it."""

from __future__ import annotations

import csv
import importlib
import io
import re
import uuid
from datetime import timedelta

import pytest
from allauth.mfa import signals as mfa
from allauth.mfa.models import Authenticator
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import Error, connection, transaction
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.audit import record
from accounts.audit_log import as_csv, safe_cell
from accounts.models import AuditEvent, Membership, Role, User
from accounts.scopes import workspace_scope
from accounts.workspaces import change_role, remove_member

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
migration = importlib.import_module("accounts.migrations.0003_teams_and_audit")


def member(user) -> Membership:
    return Membership.objects.select_related("user", "workspace").get(user=user)


def actions(**filters: object) -> list[str]:
    return list(AuditEvent.objects.filter(**filters).order_by("pk").values_list("action", flat=True))


def log_in(client: Client, **changes: str):
    return client.post(
        reverse("account_login"), {"login": "alice@example.com", "password": PASSWORD} | changes
    )


# --- Append-only ------------------------------------------------------------------------------------------------------


@pytest.fixture
def event(acme):
    """One event of acme."""
    return record("sign_out", workspace=acme, actor=None)


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("UPDATE accounts_auditevent SET action = 'sign_in'", id="update"),
        pytest.param("DELETE FROM accounts_auditevent", id="delete"),
        pytest.param("TRUNCATE accounts_auditevent", id="truncate"),
        pytest.param(
            "INSERT INTO accounts_auditevent (id, action, details, at)"
            " SELECT id, 'sign_in', '{}', now() FROM accounts_auditevent"
            " ON CONFLICT (id) DO UPDATE SET action = 'sign_in'",
            id="upsert",
        ),
    ],
)
def test_database_refuses_to_change_an_event_for_the_applications_role(event, statement):
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER IF EXISTS audit_keeps_table ON accounts_auditevent")
        cursor.execute(migration.KEEPS_TABLE)  # the tests take it away, to empty tables after them
        with pytest.raises(Error, match="append-only"), transaction.atomic():
            cursor.execute(statement)

    assert actions() == ["sign_out"]


def test_scope_that_changes_within_the_statement_does_not_make_the_workspace_look_gone(event, acme):
    statement = "DELETE FROM accounts_auditevent WHERE set_config('app.scope', '||', true) = '||'"

    with workspace_scope(acme.pk), pytest.raises(Error, match="append-only"), transaction.atomic():
        connection.cursor().execute(statement)


@pytest.mark.parametrize(
    "hide",
    [
        "DELETE FROM accounts_workspace WHERE id = %s",
        "UPDATE accounts_workspace SET id = gen_random_uuid() WHERE id = %s",
    ],
    ids=["deleted", "renumbered"],
)
def test_workspace_that_is_hidden_for_a_moment_leaves_a_trace_or_its_events(event, acme, hide):
    with connection.cursor() as cursor:
        with transaction.atomic():
            cursor.execute(hide, [acme.pk])
            with pytest.raises(Error, match="append-only"), transaction.atomic():
                cursor.execute("DELETE FROM accounts_auditevent")
            transaction.set_rollback(True)
        with transaction.atomic():
            trace = record("workspace.removed", workspace=acme, actor=None)
            cursor.execute(hide, [acme.pk])
            cursor.execute("DELETE FROM accounts_auditevent WHERE id <> %s", [trace.pk])
            with pytest.raises(Error, match="append-only"), transaction.atomic():
                cursor.execute("DELETE FROM accounts_auditevent")

    assert actions() == ["workspace.removed"]


def test_orm_cannot_change_an_event_either(event):
    event.action = "sign_in"

    with pytest.raises(Error, match="append-only"), transaction.atomic():
        event.save()
    with pytest.raises(Error, match="append-only"), transaction.atomic():
        event.delete()


def test_events_outlive_the_person_and_name_nobody_who_is_gone(alice, vic, acme, browse):
    record("post.created", workspace=acme, actor=vic, user=vic.pk)
    vic.delete()

    words = browse(alice).get(reverse("audit", args=["acme"])).content.decode()

    assert "Somebody who is gone" in words
    assert "vic@example.com" not in words


def test_record_takes_part_in_the_transaction_of_the_change(acme):
    with transaction.atomic():
        record("sign_out", workspace=acme, actor=None)
        transaction.set_rollback(True)  # as where the change fails

    assert actions() == []


# --- What is recorded -------------------------------------------------------------------------------------------------


def test_record_refuses_an_unknown_action(acme):
    with pytest.raises(ValueError, match="ACTIONS"):
        record("post.eaten", workspace=acme, actor=None)


@pytest.mark.parametrize("name", ["token", "password", "secret", "key", "upload_url"])
def test_record_refuses_what_sounds_like_a_secret(acme, name):
    with pytest.raises(ValueError, match="must not be"):
        record("sign_in", workspace=acme, actor=None, **{name: "x"})


def test_every_action_has_a_group_to_filter_by():
    starts = tuple(start for _, group in audit.GROUPS.values() for start in group)

    assert [action for action in audit.ACTIONS if not action.startswith(starts)] == []


def test_sign_in_and_out_are_recorded_with_the_address(alice, acme, client):
    log_in(client)
    client.post(reverse("account_logout"))

    rows = AuditEvent.objects.filter(actor_id=alice.pk, workspace_id=acme.pk, ip="127.0.0.1")
    assert actions(pk__in=rows) == ["sign_in", "sign_out"]


def test_sign_in_stands_in_each_workspace_of_the_person(alice, rival, client):
    Membership.objects.create(workspace=rival, user=alice, role=Role.VIEWER)

    log_in(client)

    assert AuditEvent.objects.filter(action="sign_in").values("workspace_id").distinct().count() == 2


def test_failed_sign_in_is_recorded_without_what_was_typed(alice, client):
    log_in(client, password="my typed secret")
    log_in(client, login="my-password@typed.example")

    known, unknown = AuditEvent.objects.filter(action="sign_in.failed").order_by("pk")
    assert (known.details, known.actor_id) == ({"user_id": str(alice.pk)}, None)
    assert unknown.details == {"account": "unknown"}
    assert "typed" not in str(list(AuditEvent.objects.values()))


def test_forged_forwarding_header_does_not_change_the_address(alice, client):
    client.post(
        reverse("account_login"),
        {"login": "alice@example.com", "password": PASSWORD},
        headers={"X-Forwarded-For": "203.0.113.9"},
    )

    assert AuditEvent.objects.get(action="sign_in").ip == "127.0.0.1"


def test_address_behind_a_proxy_is_the_one_that_the_proxy_saw(acme, monkeypatch):
    monkeypatch.setattr("allauth.app_settings.AppSettings.TRUSTED_PROXY_COUNT", 1)
    request = RequestFactory().get("/", headers={"X-Forwarded-For": "1.2.3.4, 203.0.113.9"})

    assert record("sign_out", workspace=acme, actor=None, request=request).ip == "203.0.113.9"


def test_record_without_an_address_leaves_it_empty(acme):
    assert record("sign_out", workspace=acme, actor=None, request=HttpRequest()).ip is None


def test_password_change_is_recorded(alice, browse):
    client = browse(alice)
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": timezone.now().timestamp()}]
    session.save()

    client.post(
        reverse("account_change_password"),
        {"oldpassword": PASSWORD, "password1": "another fine secret", "password2": "another fine secret"},
    )

    assert actions(actor_id=alice.pk, action__startswith="password") == ["password.changed"]


def test_password_reset_by_e_mail_is_recorded(alice, client, mailoutbox):
    client.post(reverse("account_reset_password"), {"email": alice.email})
    link = re.search(r"http://testserver(\S+)", mailoutbox[0].body)[1]
    form = client.get(link, follow=True).request["PATH_INFO"]

    client.post(form, {"password1": "another fine secret", "password2": "another fine secret"})

    assert actions(actor_id=alice.pk, action__startswith="password") == ["password.reset"]


@pytest.mark.parametrize(
    ("signal", "action"),
    [
        (mfa.authenticator_added, "second_step.added"),
        (mfa.authenticator_removed, "second_step.removed"),
        (mfa.authenticator_reset, "second_step.codes_renewed"),
    ],
)
def test_second_steps_are_recorded_without_what_they_hold(alice, acme, signal, action):
    step = Authenticator.objects.create(user=alice, type="totp", data={"secret": "JBSWY3DPEHPK3PXP"})

    signal.send(Authenticator, request=RequestFactory().get("/"), user=alice, authenticator=step)

    event = AuditEvent.objects.get()
    assert (event.action, event.workspace_id, event.details["kind"]) == (action, acme.pk, "totp")
    assert "JBSWY" not in str(event.details)


def test_changes_of_members_are_recorded_once_each(alice, vic, erin, acme):
    change_role(actor=member(alice), membership_id=member(vic).pk, role=Role.EDITOR)
    change_role(actor=member(alice), membership_id=member(vic).pk, role=Role.EDITOR)
    remove_member(actor=member(alice), membership_id=member(vic).pk)
    remove_member(actor=member(erin), membership_id=member(erin).pk)

    assert actions(workspace_id=acme.pk) == ["member.role_changed", "member.removed", "member.left"]
    assert AuditEvent.objects.get(action="member.role_changed").details == {
        "user": str(vic.pk),
        "was": "viewer",
        "now": "editor",
    }


def test_rename_is_recorded_with_both_names_and_only_if_it_is_one(alice, acme, browse):
    client = browse(alice)
    client.post("/w/acme/settings/", {"name": "Acme North"})
    client.post("/w/acme/settings/", {"name": "Acme North"})

    assert AuditEvent.objects.get(action="workspace.renamed").details == {"was": "Acme", "now": "Acme North"}


def test_deeds_in_the_admin_are_recorded_without_the_values(alice, browse):
    operator = User.objects.create_superuser("op@example.com", "an operator's secret")
    form = {
        "email": alice.email,
        "name": "A private name",
        "is_active": "on",
        "memberships-TOTAL_FORMS": "0",
        "memberships-INITIAL_FORMS": "0",
    }

    browse(operator).post(reverse("admin:accounts_user_change", args=[alice.pk]), form)

    event = AuditEvent.objects.get(action="admin.changed")
    assert LogEntry.objects.filter(action_flag=CHANGE).count() == 1
    assert (event.actor_id, event.details["object"], event.workspace_id) == (operator.pk, str(alice.pk), None)
    assert "A private name" not in str(event.details)
    assert alice.email not in str(event.details)


# --- The page ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 403), ("editor", 403), ("admin", 200), ("owner", 200)]
)
def test_audit_page_is_for_managers(vic, browse, role, status):
    Membership.objects.update(role=role)

    assert browse(vic).get(reverse("audit", args=["acme"])).status_code == status


def test_audit_page_shows_nothing_of_another_workspace(alice, acme, rival, mallory, browse):
    record("workspace.renamed", workspace=rival, actor=mallory, was="Rival", now="Secret plan")
    record("sign_out", workspace=None, actor=mallory)

    words = browse(alice).get(reverse("audit", args=["acme"]), {"person": mallory.pk}).content.decode()

    assert "Secret plan" not in words
    assert "mallory" not in words


def test_audit_page_says_who_what_and_from_where(alice, vic, acme, browse):
    change_role(actor=member(alice), membership_id=member(vic).pk, role=Role.EDITOR)

    words = browse(alice).get(reverse("audit", args=["acme"])).content.decode()

    assert "Role changed" in words
    assert "Alice (alice@example.com)" in words
    assert "Vic (vic@example.com)" in words


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        pytest.param({"group": "members"}, {"Role changed"}, id="group"),
        pytest.param({"group": "posts"}, {"Post created"}, id="another group"),
        pytest.param({"from": "2200-01-01"}, set(), id="after"),
        pytest.param({"to": "2000-01-01"}, set(), id="before"),
        pytest.param(
            {"group": "x", "person": "y", "from": "2026-13-45"}, {"Role changed", "Post created"}, id="rot"
        ),
        pytest.param({"person": str(uuid.UUID(int=0))}, set(), id="nobody"),
    ],
)
def test_audit_page_filters(alice, vic, acme, browse, filters, shown):
    record("member.role_changed", workspace=acme, actor=alice, user=vic.pk)
    record("post.created", workspace=acme, actor=vic)

    words = browse(alice).get(reverse("audit", args=["acme"]), filters).content.decode()

    assert {one for one in ("Role changed", "Post created") if f"<span>{one}</span>" in words} == shown


def test_audit_page_finds_a_person_also_where_something_was_done_to_them(alice, vic, acme, browse):
    record("member.role_changed", workspace=acme, actor=alice, user=vic.pk)
    record("post.created", workspace=acme, actor=alice)

    words = browse(alice).get(reverse("audit", args=["acme"]), {"person": vic.pk}).content.decode()

    assert "<span>Role changed</span>" in words
    assert "<span>Post created</span>" not in words


def test_audit_page_takes_as_many_queries_for_many_as_for_few(
    alice, acme, browse, django_assert_max_num_queries
):
    for number in range(40):
        user = User.objects.create_user(f"{number}@example.com")
        record("member.removed", workspace=acme, actor=alice, user=user.pk)
    client = browse(alice)
    client.get(reverse("audit", args=["acme"]))

    with django_assert_max_num_queries(9):
        client.get(reverse("audit", args=["acme"]))


def test_audit_page_escapes_what_people_wrote(alice, acme, browse):
    record("workspace.renamed", workspace=acme, actor=alice, was="<script>alert(1)</script>", now="x")

    assert "<script>alert" not in browse(alice).get(reverse("audit", args=["acme"])).content.decode()


# --- The export -------------------------------------------------------------------------------------------------------


def export(client: Client, **filters: str) -> list[dict[str, str]]:
    answer = client.post(reverse("audit_export", args=["acme"]), filters)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.getvalue().decode())))


def test_export_holds_every_event_and_is_one_itself(alice, acme, browse, monkeypatch):
    monkeypatch.setattr("accounts.audit_log.BATCH", 2)
    for _ in range(5):
        record("post.created", workspace=acme, actor=alice)

    rows = export(browse(alice))

    assert [row["action"] for row in rows] == ["audit.exported"] + ["post.created"] * 5
    assert rows[0]["IP address"] == "127.0.0.1"


def test_export_keeps_to_the_filters_and_to_the_workspace(alice, acme, rival, mallory, browse):
    record("post.created", workspace=acme, actor=alice)
    record("post.created", workspace=rival, actor=mallory)

    rows = export(browse(alice), group="posts")

    assert [(row["action"], row["person id"]) for row in rows] == [("post.created", str(alice.pk))]
    assert AuditEvent.objects.get(action="audit.exported").details == {"filters": "group=posts"}


def test_export_runs_no_formula(alice, acme, browse):
    User.objects.filter(pk=alice.pk).update(name='=HYPERLINK("http://evil.example")')
    record("post.created", workspace=acme, actor=alice)

    rows = export(browse(alice), group="posts")

    assert rows[0]["person"].startswith("'=HYPERLINK")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1"])
def test_safe_cell_disarms_a_formula(text):
    assert safe_cell(text) == "'" + text


@pytest.mark.parametrize("text", ["", "plain", "2026-01-01", "a=b", "1-2"])
def test_safe_cell_leaves_the_rest(text):
    assert safe_cell(text) == text


def test_csv_quotes_what_would_break_a_row():
    text = "".join(as_csv([['a"b', "c,d", "e\nf"]]))

    assert next(csv.reader(io.StringIO(text))) == ['a"b', "c,d", "e\nf"]


# --- Operators --------------------------------------------------------------------------------------------------------


def test_operators_read_all_events_and_change_none(acme, rival, alice, browse):
    operator = User.objects.create_superuser("op@example.com", "an operator's secret")
    client = browse(operator)
    event = record("post.created", workspace=rival, actor=alice)

    listed = client.get(reverse("admin:accounts_auditevent_changelist")).content.decode()

    assert "post.created" in listed
    change = reverse("admin:accounts_auditevent_change", args=[event.pk])
    assert client.get(change).status_code == 200
    assert client.post(change, {"action": "sign_in"}).status_code == 403
    assert client.get(reverse("admin:accounts_auditevent_add")).status_code == 403
    assert client.get(reverse("admin:accounts_auditevent_delete", args=[event.pk])).status_code == 403


def test_admin_shows_invitations_without_their_hash(alice, acme, browse):
    from accounts.models import Invitation

    row = Invitation.objects.create(
        workspace=acme,
        email="n@example.com",
        role="viewer",
        token_hash="f" * 64,
        expires_at=timezone.now() + timedelta(days=1),
    )
    operator = User.objects.create_superuser("op@example.com", "an operator's secret")

    words = browse(operator).get(reverse("admin:accounts_invitation_change", args=[row.pk])).content.decode()

    assert "n@example.com" in words
    assert "f" * 64 not in words
