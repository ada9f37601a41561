# ruff: noqa: S608, PT012 - the tables' names are our own, and blocks end in the middle
"""The database's own rule: what a statement sees and may write in a scope, for every table that has the rule."""

from __future__ import annotations

import ast
import json
import threading
import uuid

import psycopg
import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.db import DatabaseError, IntegrityError, ProgrammingError, connection, transaction
from django.http import StreamingHttpResponse
from django.utils import timezone

from accounts import scopes
from accounts.models import AuditEvent, Invitation, Membership, Notice, Workspace, WorkspaceExport
from accounts.row_security import is_exempt, loose_references, tenant_tables, unprotected_tables
from accounts.scopes import (
    NOTHING,
    Scope,
    System,
    current_scope,
    entered,
    person_scope,
    system_scope,
    workspace_scope,
)
from accounts.tenancy import ScopeMiddleware
from config.settings import BASE_DIR
from connections.models import OAuthRequest, SocialConnection, WebhookEvent
from publishing.attempts import note
from publishing.models import Delivery, Photo, Post, StorageReservation, Video, WorkspaceQuota
from tests.embedded import services

pytestmark = pytest.mark.django_db

TABLES = sorted(tenant_tables())
RESERVE = "INSERT INTO publishing_storagereservation (id, workspace_id, total_bytes) VALUES (gen_random_uuid(), %s, 1)"
OF_ONE_WORKSPACE = [name for name in TABLES if name not in {"accounts_workspace", "webhook_events"}]


@pytest.fixture
def populate(make_delivery, django_user_model):
    """Give a workspace a row in each of its tables."""

    def make(workspace):
        user = django_user_model.objects.create_user(f"{workspace.slug}@example.com")
        Membership.objects.create(workspace=workspace, user=user)
        Invitation.objects.create(
            workspace=workspace,
            email="n@example.com",
            role="viewer",
            token_hash=workspace.slug,
            expires_at=timezone.now(),
        )
        Notice.objects.create(workspace=workspace, user=user, kind="failed", key="k", title="t")
        AuditEvent.objects.create(workspace_id=workspace.pk, action="sign_in")
        WorkspaceExport.objects.create(workspace=workspace)
        WorkspaceQuota.objects.create(workspace=workspace, allowed_bytes=1)
        StorageReservation.objects.create(workspace=workspace, total_bytes=1)
        OAuthRequest.objects.create(
            workspace=workspace,
            user=user,
            provider="tiktok",
            state_hash=workspace.slug,
            session_hash="s",
            expires_at=timezone.now(),
        )
        Photo.objects.create(workspace=workspace, original_name="p.jpg", total_bytes=1, width=1, height=1)
        note(make_delivery(workspace), "start", "spam_risk")
        return workspace

    return make


@pytest.fixture
def both(populate, acme, rival):
    """Acme and rival, each with a row in every table."""
    WebhookEvent.objects.create(provider="tiktok", dedup_key="d", kind="publish", body="{}")
    return populate(acme), populate(rival)


def rows(table, column="workspace_id"):
    """What a raw statement finds."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {table}")
        return [row[0] for row in cursor.fetchall()]


def write(sql, *values):
    """Run a raw statement in a savepoint, and return how many rows it touched."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.rowcount


# --- Every table ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_without_a_scope_no_row_is_to_be_seen(both, table):
    assert rows(table, "id"), "there are some"
    with entered(NOTHING):
        assert rows(table, "id") == []
        assert write(f"DELETE FROM {table}") == 0


@pytest.mark.parametrize("table", OF_ONE_WORKSPACE)
def test_in_a_workspace_its_own_rows_are_to_be_seen_and_no_others(both, table):
    acme, rival = both
    assert {acme.pk, rival.pk} <= set(rows(table))
    with workspace_scope(acme.pk):
        assert set(rows(table)) == {acme.pk}
        assert write(f"DELETE FROM {table} WHERE workspace_id = %s", rival.pk) == 0


@pytest.mark.parametrize("table", OF_ONE_WORKSPACE)
def test_a_row_cannot_be_written_into_another_workspace(both, table):
    acme, rival = both
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT to_jsonb(t) FROM {table} AS t WHERE workspace_id = %s", [rival.pk])
        row = cursor.fetchone()[0]
    row = json.loads(row) if isinstance(row, str) else row
    copy = json.dumps(row | {"id": str(uuid.uuid4())})
    insert = f"INSERT INTO {table} SELECT * FROM jsonb_populate_record(NULL::{table}, %s)"
    with workspace_scope(acme.pk), pytest.raises(ProgrammingError, match="row-level security policy"):
        write(insert, copy)
    with entered(NOTHING), pytest.raises(ProgrammingError, match="row-level security policy"):
        write(insert, copy)


@pytest.mark.parametrize("table", [name for name in OF_ONE_WORKSPACE if name != "accounts_auditevent"])
def test_a_row_cannot_be_moved_into_another_workspace(both, table):
    acme, rival = both
    with workspace_scope(acme.pk):
        with pytest.raises(ProgrammingError, match="row-level security policy"):
            write(f"UPDATE {table} SET workspace_id = %s", rival.pk)
        assert write(f"UPDATE {table} SET id = id WHERE workspace_id = %s", rival.pk) == 0


REFERENCES = [
    ("publishing_post", "video_id", "publishing_video"),
    ("publishing_photo", "post_id", "publishing_post"),
    ("publishing_delivery", "post_id", "publishing_post"),
    ("publishing_delivery", "connection_id", "social_connections"),
    ("publishing_attempt", "delivery_id", "publishing_delivery"),
]


@pytest.mark.parametrize("place", ["in its workspace", "in a system scope"])
@pytest.mark.parametrize(("table", "column", "parent"), REFERENCES)
def test_a_row_cannot_refer_to_what_is_of_another_workspace(both, table, column, parent, place):
    acme, rival = both
    scope = Scope(workspace_id=acme.pk) if place == "in its workspace" else Scope(system="tests")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {parent} WHERE workspace_id = %s", [rival.pk])
        foreign = cursor.fetchone()[0]

    with (
        entered(scope),
        pytest.raises(IntegrityError, match=f"{table}_{column}_same_workspace"),
        transaction.atomic(),
    ):
        assert write(f"UPDATE {table} SET {column} = %s WHERE workspace_id = %s", foreign, acme.pk)
        connection.check_constraints()


def test_in_a_workspace_no_other_workspace_is_to_be_seen(both):
    acme, rival = both
    with workspace_scope(acme.pk):
        assert rows("accounts_workspace", "slug") == ["acme"]
        assert Workspace.objects.filter(pk=rival.pk).update(name="mine") == 0


def test_in_a_workspace_what_a_platform_told_is_not_to_be_seen(both):
    with workspace_scope(both[0].pk):
        assert rows("webhook_events", "id") == []


def test_system_scope_sees_every_workspace_and_is_logged_by_its_name(both, caplog):
    with caplog.at_level("DEBUG", logger="accounts.scopes"), system_scope(System.DISPATCH):
        assert Delivery.objects.count() == 2
        with connection.cursor() as cursor:
            cursor.execute("SELECT app_system()")
            assert cursor.fetchone() == ("dispatch",)
    assert "system scope dispatch" in caplog.messages


def test_a_person_reads_their_own_in_every_workspace_and_writes_nothing(both, alice, rival):
    Membership.objects.create(workspace=rival, user=alice)
    with person_scope(alice.pk):
        assert Membership.objects.count() == 2
        assert Workspace.objects.count() == 2
        assert Post.objects.count() == 0
        assert Membership.objects.update(role="owner") == 0
        with pytest.raises(ProgrammingError, match="row-level security policy"):
            write(
                "INSERT INTO accounts_membership (id, workspace_id, user_id, role, created_at)"
                " VALUES (gen_random_uuid(), %s, %s, 'owner', now())",
                rival.pk,
                alice.pk,
            )


def test_a_person_in_one_workspace_reads_only_memberships_and_notices_of_their_others(both, alice):
    acme, rival = both
    Membership.objects.create(workspace=rival, user=alice)
    with person_scope(alice.pk), workspace_scope(acme.pk):
        assert {one.workspace_id for one in Delivery.objects.all()} == {acme.pk}
        assert {one.user_id for one in Membership.objects.filter(workspace=rival)} == {alice.pk}


# --- The check --------------------------------------------------------------------------------------------------------


def test_every_tenant_table_has_the_rule():
    assert unprotected_tables() == []
    assert loose_references() == []
    assert not is_exempt()
    assert run_checks(databases=["default"]) == []


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE {} DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE {} NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON {}",
    ],
)
def test_the_check_finds_a_table_whose_rule_was_taken_away(table, change):
    write(change.format(table))
    assert [one.id for one in run_checks(databases=["default"])] == ["accounts.E001"]
    assert unprotected_tables() == [table]


@pytest.mark.parametrize(
    "make",
    [
        "CREATE TABLE {} (id int, workspace_id uuid)",
        "CREATE TABLE {} PARTITION OF whole DEFAULT",
        "CREATE MATERIALIZED VIEW {} AS SELECT workspace_id, caption FROM publishing_post",
        "CREATE POLICY wider ON {} USING (true)",
        "CREATE POLICY own ON {} USING (true)",
    ],
)
def test_the_check_finds_what_no_model_tells_of(make):
    write("CREATE TABLE whole (workspace_id uuid) PARTITION BY LIST (workspace_id)")
    write("ALTER TABLE whole ENABLE ROW LEVEL SECURITY; ALTER TABLE whole FORCE ROW LEVEL SECURITY")
    write("CREATE POLICY tenant ON whole USING (workspace_id = app_workspace())")
    assert unprotected_tables() == []
    name = "publishing_post" if "POLICY" in make else "publishing_extra"

    write(make.format(name))

    assert unprotected_tables() == [name]


@pytest.mark.parametrize(("table", "column", "parent"), REFERENCES)
def test_the_check_finds_a_reference_that_could_leave_the_workspace(table, column, parent):
    write(f"ALTER TABLE {table} DROP CONSTRAINT {table}_{column}_same_workspace")
    assert [one.id for one in run_checks(databases=["default"])] == ["accounts.E003"]
    assert loose_references() == [f"{table}.{column}"]


def test_every_reference_between_tenant_tables_is_tried():
    assert set(REFERENCES) == {
        (model._meta.db_table, column.attname, column.related_model._meta.db_table)
        for model in apps.get_models()
        for column in model._meta.concrete_fields
        if column.is_relation and column.related_model._meta.db_table in {*TABLES} - {"accounts_workspace"}
    }


def test_the_check_lets_the_migration_through_that_brings_the_rule():
    write("ALTER TABLE publishing_post DISABLE ROW LEVEL SECURITY")
    write("DELETE FROM django_migrations WHERE app = 'publishing' AND name >= '0005'")
    assert run_checks(databases=["default"]) == []


def test_a_model_with_a_workspace_is_a_tenant_table():
    assert {"publishing_delivery", "social_connections", "accounts_workspace", "webhook_events"} <= set(
        TABLES
    )
    for model in (Delivery, SocialConnection, Video, Post, Photo, Notice, AuditEvent):
        assert model._meta.db_table in TABLES


# --- How long a scope lasts -------------------------------------------------------------------------------------------


def scope_in_database():
    """What the database holds between two statements: no prefix goes before this one."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW app.scope")
        return cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_a_connection_keeps_nothing_after_a_statement(acme):
    with workspace_scope(acme.pk):
        assert Workspace.objects.count() == 1
        assert scope_in_database() == ""
    assert scope_in_database() == ""


@pytest.mark.django_db(transaction=True)
def test_a_connection_keeps_nothing_after_a_transaction_that_failed(acme):
    with pytest.raises(ZeroDivisionError), workspace_scope(acme.pk), transaction.atomic():
        Workspace.objects.count()
        raise ZeroDivisionError
    assert scope_in_database() == ""
    with entered(NOTHING):
        assert Workspace.objects.count() == 0


def test_a_scope_ends_with_its_block_inside_of_one_transaction(acme, rival):
    with entered(NOTHING):
        with pytest.raises(ZeroDivisionError), workspace_scope(acme.pk):
            assert Workspace.objects.get().slug == "acme"
            raise ZeroDivisionError
        assert Workspace.objects.count() == 0
        with workspace_scope(rival.pk):
            assert Workspace.objects.get().slug == "rival"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT slug FROM accounts_workspace",
        "/* a remark */ SELECT slug FROM accounts_workspace",
        "-- a remark\nSELECT slug FROM accounts_workspace",
        "(SELECT slug FROM accounts_workspace)",
        "WITH w AS (SELECT slug FROM accounts_workspace) SELECT slug FROM w",
        "DECLARE one CURSOR FOR SELECT slug FROM accounts_workspace",
        "PREPARE one AS SELECT slug FROM accounts_workspace",
        "EXPLAIN ANALYZE SELECT slug FROM accounts_workspace",
        "DO $$ BEGIN PERFORM slug FROM accounts_workspace; END $$",
    ],
)
def test_no_kind_of_statement_takes_up_the_scope_of_the_one_before(acme, statement):
    with workspace_scope(acme.pk):
        assert Workspace.objects.count() == 1
    with entered(NOTHING), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
        assert scope_in_database() == "||"


def test_a_cursor_in_the_database_goes_by_the_scope_that_opened_it(acme, rival):
    with transaction.atomic(), connection.cursor() as cursor:
        with workspace_scope(acme.pk):
            cursor.execute("DECLARE ours CURSOR FOR SELECT slug FROM accounts_workspace")
            cursor.execute("FETCH ALL FROM ours")
            assert cursor.fetchall() == [("acme",)]
        with entered(NOTHING):
            cursor.execute("DECLARE nobodys CURSOR FOR SELECT slug FROM accounts_workspace")
            cursor.execute("FETCH ALL FROM nobodys")
            assert cursor.fetchall() == []


SCOPES = {"entered", "workspace_scope", "person_scope", "system_scope"}


def own_nodes(function):
    """The nodes of a function's own body, without those of functions in it."""
    for child in ast.iter_child_nodes(function):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from own_nodes(child)


def programs():
    for program in ("accounts", "config", "connections", "publishing"):
        for path in (BASE_DIR / program).rglob("*.py"):
            yield path.relative_to(BASE_DIR).as_posix(), ast.parse(path.read_text())


def enters_scope(node):
    calls = [node, *getattr(node, "items", ())]
    found = (getattr(call, "context_expr", call) for call in calls)
    return any(isinstance(one, ast.Call) and getattr(one.func, "id", "") in SCOPES for one in found)


def test_no_generator_yields_in_the_middle_of_a_scope():
    """A generator that is not read to its end would leave its reader in that scope, and a decorator ends too early."""
    found = set()
    for path, tree in programs():
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            blocks = [
                node for node in own_nodes(function) if isinstance(node, ast.With) and enters_scope(node)
            ]
            if any(map(enters_scope, function.decorator_list)):
                blocks.append(function)
            if any(
                isinstance(one, ast.Yield | ast.YieldFrom) for block in blocks for one in own_nodes(block)
            ):
                found.add((path, function.name))
    assert found == {("accounts/scopes.py", name) for name in SCOPES - {"entered"}}, found


def test_nothing_goes_to_the_database_past_the_scope():
    """These methods of psycopg's cursor and connection are not led through Django's wrappers."""
    passing = {"callproc", "copy_from", "copy_to", "copy_expert", "stream", "create_cursor"}
    found = {
        (path, node.func.attr)
        for path, tree in programs()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in passing or (node.func.attr == "copy" and node.args)
    }
    assert found == set()


def test_a_rolled_back_savepoint_brings_no_scope_back(acme, rival):
    with workspace_scope(acme.pk):
        assert Workspace.objects.get().slug == "acme"
        with workspace_scope(rival.pk), pytest.raises(DatabaseError), transaction.atomic():
            assert Workspace.objects.get().slug == "rival"
            Workspace.objects.create(name="x", slug="rival")
        assert Workspace.objects.get().slug == "acme"


def test_a_statement_after_an_error_in_a_savepoint_works(acme):
    with workspace_scope(acme.pk):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        assert Workspace.objects.count() == 1


def test_many_rows_in_one_call_carry_the_scope_too(acme, rival):
    with workspace_scope(acme.pk):
        with connection.cursor() as cursor:
            cursor.executemany(RESERVE, [[acme.pk], [acme.pk]])
        assert StorageReservation.objects.count() == 2
        with (
            pytest.raises(ProgrammingError, match="security policy"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.executemany(RESERVE, [[acme.pk], [rival.pk]])


@pytest.mark.django_db(transaction=True)
def test_many_rows_in_one_call_carry_the_scope_outside_of_a_transaction(acme):
    with workspace_scope(acme.pk), connection.cursor() as cursor:
        cursor.executemany(RESERVE, [[acme.pk], [acme.pk]])
    assert StorageReservation.objects.count() == 2


def test_a_thread_begins_without_a_scope(acme, monkeypatch):
    monkeypatch.setattr(scopes, "_scope", type(scopes._scope)("scope", default=NOTHING))
    seen = []
    with workspace_scope(acme.pk):
        thread = threading.Thread(target=lambda: seen.append(current_scope()))
        thread.start()
        thread.join()
    assert seen == [NOTHING]


@pytest.mark.django_db(transaction=True)
def test_a_raw_connection_of_the_applications_role_sees_nothing(acme):
    settings = connection.settings_dict
    with psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        dbname=settings["NAME"],
    ) as raw:
        assert raw.execute("SELECT count(*) FROM accounts_workspace").fetchone() == (0,)
        raw.execute(f"SET app.scope = '{acme.pk}||'")
        assert raw.execute("SELECT slug FROM accounts_workspace").fetchall() == [("acme",)]
    assert services


@pytest.mark.parametrize("system", ["x'; DROP TABLE accounts_user; --", "Dispatch", "a|b", "a\n"])
def test_a_scope_holds_nothing_that_could_end_its_statement(system):
    with pytest.raises(ValueError, match="no scope"):
        _ = Scope(system=system).prefix


# --- Requests ---------------------------------------------------------------------------------------------------------


def test_request_that_fails_leaves_no_scope(rf, acme, alice):
    def fail(request):
        scopes.narrow_to(acme.pk)
        raise ZeroDivisionError

    with entered(NOTHING):
        with pytest.raises(ZeroDivisionError):
            ScopeMiddleware(fail)(rf.get("/"))
        assert current_scope() == NOTHING


def test_streamed_answer_keeps_its_scope_to_the_last_byte(rf, acme, rival):
    def stream(request):
        scopes.narrow_to(acme.pk)
        return StreamingHttpResponse(one.slug for one in Workspace.objects.iterator())

    with entered(NOTHING):
        answer = ScopeMiddleware(stream)(rf.get("/"))
        assert current_scope() == NOTHING
        assert b"".join(answer.streaming_content) == b"acme"
        assert current_scope() == NOTHING


def test_stranger_and_visitor_stay_without_a_workspace(client, mallory, acme, monkeypatch):
    seen = []
    monkeypatch.setattr("accounts.tenancy.narrow_to", seen.append)
    assert client.get("/w/acme/posts/").status_code == 302
    client.force_login(mallory)
    assert client.get("/w/acme/posts/").status_code == 404
    assert seen == []


def test_view_that_forgets_its_filter_shows_no_other_workspace(
    client, alice, populate, acme, rival, monkeypatch
):
    for workspace in (populate(acme), populate(rival)):
        Post.objects.filter(workspace=workspace).update(caption=f"of {workspace.slug} alone")
    everything = type(Delivery.objects.all()).filter

    def forgetful(rows, *args, **fields):
        fields.pop("workspace", None)
        return everything(rows, *args, **fields)

    monkeypatch.setattr(type(Delivery.objects.all()), "filter", forgetful)
    client.force_login(alice)
    answer = client.get("/w/acme/posts/")
    assert "of acme alone" in answer.text
    assert "of rival alone" not in answer.text
