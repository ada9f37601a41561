"""Whose rows a statement may touch: the scope that the database's row-level security asks for.

Every table that belongs to a workspace has policies (`accounts/row_security.py`) that compare its rows with the setting
`app.scope`. That setting travels with each statement, in the same message and for its transaction alone, so that it
outlives neither a request nor a task, is right behind a transaction-pooling proxy, and costs no round trip. Without a
scope a statement finds no row and writes none.

    with workspace_scope(workspace.pk): ...        one workspace: what nearly all code runs in
    with person_scope(user.pk): ...                a person's own memberships, notices and workspaces, to read
    with system_scope(System.DISPATCH): ...        every workspace: for the few purposes in `System`
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)


class System(StrEnum):
    """Every reason for which code of ours may see more than one workspace."""

    ADMIN = "admin"  # operators' pages in the admin
    AUDIT = "audit"  # an event that concerns no workspace
    CLAIM = "claim"  # a worker takes the delivery that it was rung for, whose workspace it does not know yet
    COMMAND = "command"  # an operator at the command line, who names the workspace
    DEMO = "demo"  # the demo's content is loaded
    DISPATCH = "dispatch"  # due deliveries of all workspaces, in rotation
    EXPORT = "export"  # the exports that people asked for, a person's own across workspaces
    INVITATION = "invitation"  # the link in an invitation is known by its hash alone
    KEYS = "keys"  # whether the keys open what is stored, and moving it to the newest one
    NOTICES = "notices"  # the e-mails that are due
    OAUTH_CALLBACK = "oauth-callback"  # the platform sends people back to one address for all workspaces
    OPERATIONS = "operations"  # the health of the whole, and its metrics
    PULL = "pull"  # the platform fetches a file by a signed address
    REMOVAL = "removal"  # workspaces whose grace period is over
    SHARED_ACCOUNT = "shared-account"  # whether another workspace holds the same account at the platform
    SLUG = "slug"  # whether a workspace's address is taken
    UPKEEP = "upkeep"  # tokens that end soon, what was left behind, what is old
    WEBHOOK = "webhook"  # a platform speaks of an account or a publish job, never of a workspace


@dataclass(frozen=True)
class Scope:
    """What a statement may see: one workspace's rows, a person's own, or everything for a named purpose."""

    workspace_id: uuid.UUID | None = None
    user_id: uuid.UUID | None = None
    system: str = ""

    @cached_property
    def prefix(self) -> str:
        """The statement that goes before another one in the same message, ending in a semicolon."""
        return f"SELECT set_config('app.scope', '{self.value}', true); "

    @cached_property
    def value(self) -> str:
        """As the database reads it: `workspace|user|system`, each maybe empty. Raises ValueError for odd characters."""
        workspace, user = self.workspace_id or "", self.user_id or ""
        value = f"{workspace}|{user}|{self.system}"
        if not _PLAIN.fullmatch(value):
            raise ValueError(f"{value!r} is no scope")
        return value


_PLAIN = re.compile(r"[0-9a-f-]*\|[0-9a-f-]*\|[a-z-]*")
NOTHING = Scope()
_scope: ContextVar[Scope] = ContextVar("scope", default=NOTHING)
_noted: set[str] = {System.KEYS}  # each process looks at the keys before it does anything


def current_scope() -> Scope:
    """The scope that the next statement runs in."""
    return _scope.get()


@contextmanager
def entered(scope: Scope) -> Iterator[None]:
    """Run the block in `scope`, and what follows in the one before, whatever happens."""
    mark = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(mark)


@contextmanager
def workspace_scope(workspace_id: uuid.UUID) -> Iterator[None]:
    """See and write one workspace's rows, and of the rest nothing; the person of the request stays."""
    with entered(Scope(workspace_id=workspace_id, user_id=current_scope().user_id)):
        yield


@contextmanager
def person_scope(user_id: uuid.UUID) -> Iterator[None]:
    """Read what is a person's own in any workspace: memberships, notices, the workspaces themselves."""
    with entered(Scope(user_id=user_id)):
        yield


@contextmanager
def system_scope(purpose: System) -> Iterator[None]:
    """See and write every workspace's rows, for a purpose that is logged.

    A process tells of each purpose once, and at the level DEBUG each time. The database reads it in `app.scope`, so
    that its own log of statements names it too.
    """
    logger.log(logging.DEBUG if purpose in _noted else logging.INFO, "system scope %s", purpose)
    _noted.add(purpose)
    with entered(Scope(system=purpose)):
        yield


def stand_in(scope: Scope) -> None:
    """Be in `scope` from here on, to the end of the `entered` block around; a request has one (`ScopeMiddleware`).

    Without such a block, to the end of the process: for programs that look from outside, as measurements do.
    """
    _scope.set(scope)


def narrow_to(workspace_id: uuid.UUID) -> None:
    """Stand in one workspace for the rest of the request."""
    stand_in(Scope(workspace_id=workspace_id, user_id=current_scope().user_id))


def streamed(content: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a streamed answer's pieces in the present scope, though they are made after the request has ended."""
    scope, pieces = current_scope(), iter(content)

    def rest() -> Iterator[bytes]:
        while True:
            with entered(scope):
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    return rest()


# --- The way to the database ------------------------------------------------------------------------------------------
# All ways but `copy` and `stream` of psycopg's own cursor, which Django does not lead past here: use none of them.

_TOUCHES_NO_ROWS = re.compile(
    r"\s*(SAVEPOINT|RELEASE|ROLLBACK|BEGIN|COMMIT|SET|SHOW|RESET|ALTER|CREATE|DROP|COMMENT|GRANT|REVOKE|VACUUM)\b",
    re.IGNORECASE,
)


def send_scope(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Have every statement of this connection carry its scope. Receives Django's `connection_created`."""
    if connection.vendor == "postgresql" and _with_scope not in connection.execute_wrappers:
        connection.execute_wrappers.append(_with_scope)


def _with_scope(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    connection, scope = context["connection"], current_scope()
    # Outside of a transaction nothing is left of the statement before. Inside of one, no scope has to be sent too.
    if scope == NOTHING and not connection.in_atomic_block:
        return execute(sql, params, many, context)
    if _TOUCHES_NO_ROWS.match(sql):  # SAVEPOINT and its like must also work after an error
        return execute(sql, params, many, context)
    cursor = context["cursor"].cursor
    if many:
        with transaction.atomic(using=connection.alias, savepoint=False):
            cursor.execute(scope.prefix)
            return execute(sql, params, many, context)
    answer = execute(scope.prefix + sql, params, many, context)
    cursor.nextset()  # past the prefix's own result
    return answer
