"""A backup made as docs/operations.md says is whole, and comes back with the rules that hold tenants apart."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import connection
from psycopg import sql

from tests.docs.pages import page
from tests.leaks import database_url, dump_database, postgres_program
from tests.publishing.conftest import make_connection, make_delivery, make_video  # noqa: F401  # fixtures

pytestmark = pytest.mark.django_db(transaction=True)
RESTORED = "broadside_restored"
EVERYTHING = "SET app.scope = '||backup'"


@pytest.fixture
def two_tenants(acme, rival, alice, mallory, make_delivery):  # noqa: F811
    return [make_delivery(acme), make_delivery(rival)]


@pytest.fixture
def restored(two_tenants) -> Iterator[str]:
    """The address of a new database into which a dump by the application's own role was restored."""
    dump = dump_database("--format=custom")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {RESTORED}")
    try:
        command: list[str | Path] = [
            postgres_program("pg_restore"),
            "--clean",
            "--if-exists",
            "--no-owner",
            "--exit-on-error",
        ]
        subprocess.run([*command, "-d", database_url(RESTORED)], input=dump, check=True, capture_output=True)
        yield database_url(RESTORED)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {RESTORED} WITH (FORCE)")


def _contents(url: str) -> dict[str, list[str]]:
    """Every row of every table, the policies and the triggers."""
    with psycopg.connect(url) as database:
        database.execute(EVERYTHING)
        tables = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        found = {
            name: [
                row
                for (row,) in database.execute(
                    sql.SQL("SELECT x::text FROM {} x ORDER BY 1").format(sql.Identifier(name))
                )
            ]
            for (name,) in tables
        }
        rules = "SELECT p::text FROM (SELECT tablename, policyname, cmd, qual, with_check FROM pg_policies) p"
        triggers = "SELECT tgrelid::regclass || ' ' || tgname FROM pg_trigger WHERE NOT tgisinternal"
        forced = "SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity"
        for name, statement in {"policies": rules, "triggers": triggers, "forced": forced}.items():
            found[name] = sorted(row for (row,) in database.execute(statement))
    return found


def test_dump_in_the_scope_of_backups_comes_back_whole_with_its_rules(restored):
    before, after = _contents(database_url()), _contents(restored)

    assert len(before["publishing_delivery"]) == 2
    assert min(len(before[name]) for name in ("policies", "triggers", "forced")) > 0
    assert after == before


def test_restored_database_shows_nothing_without_a_scope(restored):
    with psycopg.connect(restored) as database:
        seen = database.execute("SELECT count(*) FROM publishing_delivery").fetchone()

    assert seen == (0,)


def _dump(*options: str) -> subprocess.CompletedProcess[bytes]:
    command: list[str | Path] = [postgres_program("pg_dump"), *options, database_url()]
    return subprocess.run(command, check=False, capture_output=True, env=dict(os.environ))


def test_dump_without_a_scope_is_refused_or_holds_no_row_of_a_workspace(two_tenants):
    refused, empty = _dump(), _dump("--enable-row-security")

    assert refused.returncode != 0
    assert b"row-level security" in refused.stderr
    assert str(two_tenants[0].pk).encode() not in empty.stdout
    assert str(two_tenants[0].pk).encode() in dump_database()


def test_page_tells_the_command_that_is_tested_here():
    told = page("docs/operations.md").section("## Backup and restore")

    assert 'PGOPTIONS="-c app.scope=||backup" pg_dump --enable-row-security' in told
