"""The encryption keys as an operator sees them: what still needs which key, and moving everything to the newest one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, models
from django.db.models import Case, Count, Q, Value, When
from django.db.models.functions import Substr

from accounts.scopes import System, system_scope
from connections import second_factors
from connections.crypto import KEY_ID, DecryptionError, EncryptedTextField, keyring, open_sealed, seal

BATCH = 500
"""Rows in one statement: some milliseconds."""


@dataclass(frozen=True)
class Column:
    """One encrypted column of one table."""

    model: type[models.Model]
    field: str

    def __str__(self) -> str:
        return f"{self.model._meta.db_table}.{self.field}"

    @property
    def column(self) -> str:
        """Its name in the database."""
        return str(self.model._meta.get_field(self.field).column)  # type: ignore[union-attr]


@dataclass(frozen=True)
class KeyHealth:
    """What the stored values need and what the settings offer. `rows` counts by column, then by key id ("": none).

    `problem` says what is wrong in an operator's words, "" if nothing is. Safe to print: it holds ids, no key.
    """

    problem: str
    key_ids: tuple[str, ...]
    rows: dict[str, dict[str, int]]

    @property
    def is_ok(self) -> bool:
        """Whether every stored value can be opened, as far as a sample of each column and key tells."""
        return not self.problem

    @property
    def outdated(self) -> int:
        """Values that `manage.py rotate_encryption_keys` has yet to move to the first key."""
        newest = self.key_ids[:1]
        return sum(n for counts in self.rows.values() for key, n in counts.items() if (key,) != newest)


@dataclass
class Rotation:
    """How far one column is: values in all, those that were under the newest key before, and what was done since.

    `overtaken` were changed by somebody meanwhile, and so are under the newest key as well.
    """

    column: Column
    total: int
    already: int = 0
    done: int = 0
    overtaken: int = 0
    unreadable: int = 0

    @property
    def handled(self) -> int:
        """Values that this run need not look at again."""
        return self.already + self.done + self.overtaken + self.unreadable


def encrypted_columns() -> list[Column]:
    """Every encrypted column of every model, so that a new one is covered without a word here."""
    return [
        Column(model, field.attname)
        for model in apps.get_models()
        if not model._meta.proxy
        for field in model._meta.local_concrete_fields
        if isinstance(field, EncryptedTextField)
    ]


@system_scope(System.KEYS)
def outdated_values() -> int:
    """Count what is yet to be moved to the first key, without opening anything. Raises ImproperlyConfigured."""
    factors = second_factors.rows_by_key()
    in_columns = sum(_outdated(column).count() for column in encrypted_columns())
    return in_columns + sum(n for key, n in factors.items() if key != keyring().primary_id)


@system_scope(System.KEYS)
def key_health() -> KeyHealth:
    """Compare the keys of the settings with what is stored, opening one value for each column and key."""
    try:
        ring = keyring()
    except ImproperlyConfigured as error:
        return KeyHealth(str(error), (), {})
    rows: dict[str, dict[str, int]] = {}
    problems = []
    for column in encrypted_columns():
        rows[str(column)] = counts = _rows_by_key(column)
        problems += [problem for key in counts if (problem := _sample_problem(column, key))]
    if factors := second_factors.rows_by_key():
        rows[second_factors.CONTEXT] = factors
        problems += filter(None, [second_factors.problem()])
    return KeyHealth(" ".join(problems), ring.ids, rows)


def rotate(
    column: Column,
    *,
    dry_run: bool = False,
    batch_rows: int | None = None,
    on_progress: Callable[[Rotation], None] = lambda _: None,
) -> Rotation:
    """Re-encrypt under the first key what is stored in `column` under others; return what was done.

    Online: a batch is read without locks and written by one short statement, which waits for no row that somebody holds
    and replaces no value that somebody changed (a token that is refreshed meanwhile is under the newest key anyway);
    rows that were held are done one by one at the end. Resumable: what is done is under the newest key and needs no
    second look, so a run that was killed is simply started again. A value that does not open is counted and left.
    `dry_run` opens the values without writing.
    """
    outdated = _outdated(column).count()
    total = _filled(column).count()
    result = Rotation(column, total=max(total, outdated), already=max(total - outdated, 0))
    left: list[Any] = []
    for batch in _batches(column, batch_rows or BATCH):
        opened = _open_batch(batch, column.field, result)
        if dry_run:
            result.done += len(opened)
        else:
            replaced = _replace(column, opened)
            result.done += len(replaced)
            left += [row.pk for row, _ in opened if row.pk not in replaced]
        on_progress(result)
    for pk in left:
        _rotate_one(column, pk, result)
    if left:
        on_progress(result)
    return result


def _open_batch(rows: list[models.Model], field: str, result: Rotation) -> list[tuple[models.Model, str]]:
    opened = []
    for row in rows:
        try:
            opened.append((row, open_sealed(row, field)))
        except DecryptionError:
            result.unreadable += 1
    return opened


def _replace(column: Column, opened: list[tuple[models.Model, str]]) -> set[Any]:
    """Write a batch in one statement, but for rows that are locked or changed; return the keys of those written."""
    meta, quote = column.model._meta, connection.ops.quote_name
    table, pk, value = (quote(str(name)) for name in (meta.db_table, meta.pk.column, column.column))
    kind = meta.pk.rel_db_type(connection)
    statement = f"""
        WITH wanted AS (
            SELECT * FROM unnest(%s::{kind}[], %s::text[], %s::text[]) AS one (pk, old, new)
        ), free AS (
            SELECT {table}.{pk} AS pk FROM {table}
            WHERE {table}.{pk} = ANY(%s::{kind}[]) ORDER BY {table}.{pk} FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE {table} SET {value} = wanted.new FROM wanted JOIN free USING (pk)
        WHERE {table}.{pk} = wanted.pk AND {table}.{value} = wanted.old
        RETURNING {table}.{pk}
    """  # noqa: S608  # names of our own tables and columns, quoted
    keys = [row.pk for row, _ in opened]
    old = [str(getattr(row, column.field)) for row, _ in opened]
    new = [str(seal(row, column.field, plaintext)) for row, plaintext in opened]
    with connection.cursor() as cursor:
        cursor.execute(statement, [keys, old, new, keys])
        return {row[0] for row in cursor.fetchall()}


def _rotate_one(column: Column, pk: Any, result: Rotation) -> None:
    """A row that was held or changed in its batch: look again, and wait for it if need be."""
    row = _outdated(column).only("pk", column.field).filter(pk=pk).first()
    if row is None:
        result.overtaken += 1
        return
    for opened, plaintext in _open_batch([row], column.field, result):
        unchanged = column.model._base_manager.filter(pk=pk, **{column.field: getattr(opened, column.field)})
        if unchanged.update(**{column.field: seal(opened, column.field, plaintext)}):
            result.done += 1
        else:
            result.overtaken += 1


def _batches(column: Column, size: int) -> Iterator[list[models.Model]]:
    """The outdated rows in the order of their keys, read anew for each batch, so that no transaction stays open."""
    rows = _outdated(column).only("pk", column.field).order_by("pk")
    batch = list(rows[:size])
    while batch:
        yield batch
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:size])


def _filled(column: Column) -> models.QuerySet[models.Model]:
    return column.model._base_manager.exclude(**{column.field: ""}).exclude(**{column.field: None})


def _outdated(column: Column) -> models.QuerySet[models.Model]:
    return _filled(column).exclude(**{f"{column.field}__startswith": f"{keyring().primary_id}:"})


def _rows_by_key(column: Column) -> dict[str, int]:
    used = Case(When(_is_sealed(column), then=Substr(column.field, 1, 8)), default=Value(""))
    counts = _filled(column).values(used=used).annotate(n=Count("pk")).order_by("used")
    return {row["used"]: row["n"] for row in counts}


def _is_sealed(column: Column) -> Q:
    return Q(**{f"{column.field}__regex": f"^{KEY_ID}:"})


def _sample_problem(column: Column, key: str) -> str:
    of_key = Q(**{f"{column.field}__startswith": f"{key}:"}) if key else ~_is_sealed(column)
    row = _filled(column).filter(of_key).order_by("-pk").first()
    if row is None:
        return ""
    try:
        open_sealed(row, column.field)
    except DecryptionError as error:
        return f"{column} holds a value that does not open: {error}."
    return ""
