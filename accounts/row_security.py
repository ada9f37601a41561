"""The database's own rule about tenants, as migration operations and as a check.

`workspace_id` of a row has to be the scope's workspace, to be read as well as to be written. FORCE makes it bind the
tables' owner, which is the application's role. https://www.postgresql.org/docs/current/ddl-rowsecurity.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connection, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations import RunSQL
from django.db.utils import DatabaseError

# Each reads a part of `app.scope` (accounts/scopes.py); NULL where that is empty or was never set. The planner inlines
# them, and as a sub-select each is computed once for a statement and not once for a row.
_FUNCTIONS = """
CREATE FUNCTION app_workspace() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(split_part(current_setting('app.scope', true), '|', 1), '')::uuid $$;
CREATE FUNCTION app_user() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(split_part(current_setting('app.scope', true), '|', 2), '')::uuid $$;
CREATE FUNCTION app_system() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(split_part(current_setting('app.scope', true), '|', 3), '') $$;
"""
_NO_FUNCTIONS = "DROP FUNCTION app_workspace(); DROP FUNCTION app_user(); DROP FUNCTION app_system();"

SYSTEM_ONLY = "FALSE"
"""For `protect`: rows of no workspace, which only the system scopes see."""


def define_functions() -> RunSQL:
    """Make what the policies read. Comes before the first `protect`."""
    return RunSQL(_FUNCTIONS, _NO_FUNCTIONS)


def protect(table: str, *, rule: str = "workspace_id = (SELECT app_workspace())", own: str = "") -> RunSQL:
    """Give `table` its policies: `rule` or a system scope to read and write; `own`, where given, to read too.

    `own` is a condition by which people read their own rows in any workspace: `user_id = (SELECT app_user())`.
    """
    lines = [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY;",
        f"CREATE POLICY tenant ON {table} USING (({rule}) OR (SELECT app_system()) IS NOT NULL);",
    ]
    undo = [
        f"DROP POLICY tenant ON {table};",
        f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;",
        f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;",
    ]
    if own:
        lines.append(f"CREATE POLICY own ON {table} FOR SELECT USING ({own});")
        undo.insert(0, f"DROP POLICY own ON {table};")
    return RunSQL("\n".join(lines), "\n".join(undo))


def key_by_workspace(table: str) -> RunSQL:
    """Let rows of other tables refer to those of `table` by workspace and id together. Comes before `keep_together`."""
    return RunSQL(
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_of_workspace UNIQUE (workspace_id, id);",
        f"ALTER TABLE {table} DROP CONSTRAINT {table}_of_workspace;",
    )


def keep_together(table: str, column: str, parent: str) -> RunSQL:
    """Have a row of `table` refer by `column` to rows of its own workspace only.

    Policies cannot: the database looks at foreign keys without them.
    https://www.postgresql.org/docs/current/ddl-rowsecurity.html
    """
    name = f"{table}_{column}_same_workspace"
    return RunSQL(
        f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (workspace_id, {column})"
        f" REFERENCES {parent} (workspace_id, id) DEFERRABLE INITIALLY DEFERRED;",
        f"ALTER TABLE {table} DROP CONSTRAINT {name};",
    )


def tenant_tables() -> set[str]:
    """The tables that must have a rule: those with `workspace_id`, the workspaces themselves, and what is marked so.

    A model without that column joins by the attribute `is_guarded = True`.
    """
    return {
        model._meta.db_table
        for model in apps.get_models(include_auto_created=True)
        if getattr(model, "is_guarded", False) or _has_workspace(model)
    }


def _has_workspace(model: type[models.Model]) -> bool:
    return any(field.attname == "workspace_id" for field in model._meta.concrete_fields)


_UNPROTECTED = """
SELECT relname FROM pg_class AS one
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'm', 'f')
AND (relname = ANY(%s) OR EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = one.oid AND attname = 'workspace_id' AND NOT attisdropped))
AND NOT (
    relrowsecurity AND relforcerowsecurity
    AND EXISTS (SELECT FROM pg_policy WHERE polrelid = one.oid AND polname = 'tenant')
    AND NOT EXISTS (
        SELECT FROM pg_policy WHERE polrelid = one.oid AND polpermissive
        AND polname <> 'tenant' AND (polname, polcmd) <> ('own', 'r')))
ORDER BY relname
"""


def unprotected_tables() -> list[str]:
    """The tenant tables of the database that lack forced row-level security or a policy, or have one that opens more.

    With or without a model: also partitions, which are asked past their parent's policies, and materialized views,
    which can have none. Raises DatabaseError.
    """
    with connection.cursor() as cursor:
        cursor.execute(_UNPROTECTED, [sorted(tenant_tables())])
        return [name for (name,) in cursor.fetchall()]


def loose_references() -> list[str]:
    """The columns by which a row could refer to another workspace's row: `table.column`. Raises DatabaseError."""
    tables = tenant_tables() - {"accounts_workspace"}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT one.conrelid::regclass || '.' || attname FROM pg_constraint one"
            " JOIN pg_attribute ON attrelid = one.conrelid AND attnum = one.conkey[1]"
            " WHERE one.contype = 'f' AND cardinality(one.conkey) = 1 AND one.confrelid = ANY(%s::regclass[])"
            " AND NOT EXISTS (SELECT FROM pg_constraint two WHERE two.contype = 'f' AND two.conrelid = one.conrelid"
            " AND two.confrelid = one.confrelid AND cardinality(two.conkey) = 2 AND one.conkey <@ two.conkey)"
            " ORDER BY 1",
            [sorted(tables)],
        )
        return [name for (name,) in cursor.fetchall()]


def is_exempt() -> bool:
    """Whether the database's role is bound by no policy, as a superuser is. Raises DatabaseError."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
        return bool(cursor.fetchone()[0])


def _has_migrations_to_apply() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


@register(Tags.database)
def check_row_security(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Find tables that belong to workspaces and lack the rule: `check --database default`, `doctor`, and each start.

    While migrations are to be applied, they may be what brings the rule: `migrate` itself asks here first.
    """
    if "default" not in (databases or ()):
        return []
    try:
        is_ready = not _has_migrations_to_apply()
        bare = unprotected_tables() if is_ready else []
        loose = loose_references() if is_ready else []
        exempt = is_exempt()
    except DatabaseError:
        return []  # no database yet; others say so
    found: list[CheckMessage] = [
        Error(
            f"The table {table} belongs to workspaces and has no row-level security.",
            hint="Add accounts.row_security.protect() to a migration.",
            id="accounts.E001",
        )
        for table in bare
    ]
    found += [
        Error(
            f"{column} can refer to a row of another workspace.",
            hint="Add accounts.row_security.keep_together() to a migration.",
            id="accounts.E003",
        )
        for column in loose
    ]
    if exempt:
        found.append(
            Error(
                "The database's role is a superuser or has BYPASSRLS, so row-level security does not bind it.",
                hint="Give DATABASE_URL an ordinary role.",
                id="accounts.E002",
            )
        )
    return found
