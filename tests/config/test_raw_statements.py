"""No SQL and no markup is put together from what people type: values are parameters, templates escape."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from config.settings import BASE_DIR

PROGRAMS = ("accounts", "config", "connections", "publishing")
BY_HAND = {
    ("connections/keys.py", "statement"),  # names of our own tables and columns, quoted
    # ids and words, checked letter by letter, before what Django sends
    ("accounts/scopes.py", "scope.prefix"),
    ("accounts/scopes.py", "scope.prefix + sql"),
    ("accounts/scopes.py", "sql"),
}
METHODS = {"execute", "executemany", "raw", "RawSQL", "extra"}


def _statements() -> Iterator[tuple[str, ast.expr]]:
    """The file and the first argument of each call that takes SQL."""
    for program in PROGRAMS:
        for path in (BASE_DIR / program).rglob("*.py"):
            if "migrations" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and node.args and _name(node.func) in METHODS:
                    yield path.relative_to(BASE_DIR).as_posix(), node.args[0]


def _name(called: ast.expr) -> str:
    return getattr(called, "attr", "") or getattr(called, "id", "")


def _is_constant(argument: ast.expr) -> bool:
    is_literal = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    return is_literal or (isinstance(argument, ast.Name) and argument.id.strip("_").isupper())


def test_every_statement_is_a_constant_of_ours():
    found = list(_statements())

    assert len(found) > 5
    assert {(path, ast.unparse(one)) for path, one in found if not _is_constant(one)} == BY_HAND


def test_no_markup_is_declared_safe():
    allowed = {"templates/mfa/totp/activate_form.html"}  # the drawing of a QR code, which allauth makes
    pages = [*(BASE_DIR / "templates").rglob("*.html")]
    sources = [path for program in PROGRAMS for path in (BASE_DIR / program).rglob("*.py")]
    risky = re.compile(r"mark_safe|SafeString\(|\|\s*safe\b|autoescape off")

    found = {
        path.relative_to(BASE_DIR).as_posix() for path in pages + sources if risky.search(path.read_text())
    }

    assert found == allowed
