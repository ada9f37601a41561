"""The access table, run: every address, every method, every kind of person."""

from __future__ import annotations

import pytest

from tests.access.knocking import address, agrees, is_granted, knock, prepare, told
from tests.access.routes import all_routes
from tests.access.table import OTHERS, OURS
from tests.access.table_admin import ADMIN
from tests.access.table_log_in import LOG_IN
from tests.access.world import PEOPLE, changed_tables, fingerprint

pytestmark = pytest.mark.django_db

ROUTES = {route.path: route for route in all_routes()}
TABLE = [*OURS, *LOG_IN]

CELLS = [
    pytest.param(
        entry,
        method,
        person,
        id=" ".join(filter(None, [method, entry.path or "/", entry.case, "by", person])),
    )
    for entry in TABLE
    for method in entry.deeds
    for person in PEOPLE
]


@pytest.mark.parametrize(("entry", "method", "person"), CELLS)
def test_door_opens_to_whom_it_should_and_to_nobody_else(world, entry, method, person):
    deed = entry.deeds[method]
    expected = deed.answers[PEOPLE.index(person)]
    visit = world.visit(person)
    prepare(visit, entry, method)
    path = address(visit, ROUTES[entry.path])
    before = fingerprint()

    answers = [told(knock(visit, path, one)) for one in entry.methods(method)]

    changed = changed_tables(before, fingerprint())
    assert all(agrees(answer, expected) for answer in answers), (answers, expected)
    must, may = (deed.changes, deed.changes | deed.touches) if is_granted(expected) else (set(), deed.spends)
    assert must <= changed <= may, changed


GATES = [
    pytest.param(entry, method, id=" ".join(filter(None, [method, entry.path, entry.case])))
    for entry in ADMIN
    for method in entry.deeds
]


@pytest.mark.parametrize(("entry", "method"), GATES)
def test_page_of_the_admin_opens_to_operators_alone(world, entry, method):
    deed = entry.deeds[method]
    visits = {person: world.visit(person) for person in PEOPLE}
    prepare(visits["staff"], entry, method)
    path = address(visits["staff"], ROUTES[entry.path])
    before = fingerprint()

    refused = {
        person: [told(knock(visit, path, one)) for one in entry.methods(method)]
        for person, visit in visits.items()
        if person != "staff"
    }
    unchanged = fingerprint()
    granted = [told(knock(visits["staff"], path, one)) for one in entry.methods(method)]

    answers = [*refused.values(), granted]
    wrong = [
        (person, given, expected)
        for person, given, expected in zip(PEOPLE, answers, deed.answers, strict=True)
        if not all(agrees(answer, expected) for answer in given)
    ]
    assert not wrong
    assert unchanged == before
    changed = changed_tables(before, fingerprint())
    assert deed.changes <= changed <= deed.changes | deed.touches, changed


def test_every_route_and_method_has_a_row():
    rows = {
        (entry.path, method)
        for entry in [*TABLE, *ADMIN]
        for name in entry.deeds
        for method in entry.methods(name)
    }
    missing = {
        (path, method) for path in ROUTES for method in ("get", "post", *OTHERS) if (path, method) not in rows
    }

    assert not missing


def test_no_row_is_about_a_route_that_is_gone():
    assert {entry.path for entry in [*TABLE, *ADMIN]} <= ROUTES.keys()


def test_every_row_speaks_of_all_kinds_of_people():
    assert {len(deed.answers) for entry in [*TABLE, *ADMIN] for deed in entry.deeds.values()} == {len(PEOPLE)}
