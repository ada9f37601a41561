"""The encryption keys as an operator sees them: what still needs which key, and moving everything to the newest one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.db.models import Count, Value
from django.db.models.functions import StrIndex, Substr

from connections import second_factors
from connections.crypto import DecryptionError, EncryptedTextField, keyring, open_sealed, seal

BATCH = 200


@dataclass(frozen=True)
class Column:
    """One encrypted column of one table."""

    model: type[models.Model]
    field: str

    def __str__(self) -> str:
        return f"{self.model._meta.db_table}.{self.field}"


@dataclass(frozen=True)
class KeyHealth:
    """What the stored values need and what the settings offer. `rows` counts by column, then by key id.

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
    """What a rotation did to one column: values re-encrypted, changed by somebody meanwhile, and not openable."""

    column: Column
    total: int
    done: int = 0
    overtaken: int = 0
    unreadable: int = 0


def encrypted_columns() -> list[Column]:
    """Every encrypted column of every model, so that a new one is covered without a word here."""
    return [
        Column(model, field.attname)
        for model in apps.get_models()
        if not model._meta.proxy
        for field in model._meta.local_concrete_fields
        if isinstance(field, EncryptedTextField)
    ]


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
    column: Column, *, dry_run: bool = False, on_progress: Callable[[Rotation], None] = lambda _: None
) -> Rotation:
    """Re-encrypt under the first key what is stored in `column` under others; return what was done.

    Online and resumable: each value is replaced on its own, only if nobody changed it since it was read (a token that
    is refreshed meanwhile is under the newest key anyway), and what is done needs no second look. A value that does
    not open is counted and left. `dry_run` opens the values without writing.
    """
    result = Rotation(column, _outdated(column).count())
    for batch in _batches(column):
        for row in batch:
            _rotate_one(row, column.field, result, dry_run=dry_run)
        on_progress(result)
    return result


def _rotate_one(row: models.Model, field: str, result: Rotation, *, dry_run: bool) -> None:
    stored = getattr(row, field)
    try:
        plaintext = open_sealed(row, field)
    except DecryptionError:
        result.unreadable += 1
        return
    if dry_run:
        result.done += 1
        return
    unchanged = type(row)._base_manager.filter(pk=row.pk, **{field: stored})
    if unchanged.update(**{field: seal(row, field, plaintext)}):
        result.done += 1
    else:
        result.overtaken += 1


def _batches(column: Column) -> Iterator[list[models.Model]]:
    """The outdated rows in the order of their keys, read anew for each batch, so that no transaction stays open."""
    rows = _outdated(column).only("pk", column.field).order_by("pk")
    batch = list(rows[:BATCH])
    while batch:
        yield batch
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:BATCH])


def _filled(column: Column) -> models.QuerySet[models.Model]:
    return column.model._base_manager.exclude(**{column.field: ""}).exclude(**{column.field: None})


def _outdated(column: Column) -> models.QuerySet[models.Model]:
    return _filled(column).exclude(**{f"{column.field}__startswith": f"{keyring().primary_id}:"})


def _rows_by_key(column: Column) -> dict[str, int]:
    used = Substr(column.field, 1, StrIndex(column.field, Value(":")) - 1, output_field=models.TextField())
    counts = _filled(column).values(used=used).annotate(n=Count("pk")).order_by("used")
    return {row["used"]: row["n"] for row in counts}


def _sample_problem(column: Column, key: str) -> str:
    row = _filled(column).filter(**{f"{column.field}__startswith": f"{key}:"}).order_by("-pk").first()
    if row is None:
        return ""
    try:
        open_sealed(row, column.field)
    except DecryptionError as error:
        return f"{column} holds a value that does not open: {error}."
    return ""
