"""What each role may do is asked by the name of what is done, in one table."""

from __future__ import annotations

import re

import pytest

from accounts.permissions import Permission, Role
from stack.options import BASE_DIR

VIEWS = sorted(
    path
    for app in ("accounts", "connections", "publishing")
    for path in (BASE_DIR / app).rglob("*views*.py")
    if "migrations" not in path.parts
)
ROLE = re.compile(r"\bRole\.(VIEWER|EDITOR|ADMIN|OWNER)\b|\bis_owner\b|role ?== ?")


def test_there_are_views_to_look_at():
    assert len(VIEWS) > 10


@pytest.mark.parametrize("path", VIEWS, ids=lambda path: str(path.relative_to(BASE_DIR)))
def test_view_asks_for_a_permission_and_names_no_role(path):
    assert not ROLE.findall(path.read_text())


@pytest.mark.parametrize("permission", Permission)
def test_more_of_a_role_takes_no_permission_away(permission):
    allowed = [permission.is_of(role) for role in sorted(Role, key=lambda role: role.rank)]

    assert allowed == sorted(allowed)
    assert allowed[-1]
    assert permission.who
    assert permission.words
