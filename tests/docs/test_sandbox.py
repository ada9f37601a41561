"""The page of the local TikTok names every option, setting, creator and call that it has."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from sandbox.__main__ import parser
from sandbox.control import build_routes
from sandbox.seed import seed_creators
from sandbox.settings import Settings
from tests.docs.pages import page

README = page("sandbox/README.md")
DEFAULTS = dataclasses.asdict(Settings())
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \|[^|]*\|$", README.section("## Settings"), re.MULTILINE)[1:]


def _words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_options_of_the_page_are_those_of_the_program():
    table = README.section("## Run it")
    told = {name for cell in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE) for name in _words(cell)}

    known = set(parser()._option_string_actions) - {"-h", "--help"}

    assert {name.split()[0] for name in told} == known


def test_variables_of_the_page_are_those_that_the_program_reads():
    told = set(re.findall(r"`(SANDBOX_[A-Z_]+)`", README.text))

    source = (README.path.parent / "__main__.py").read_text()

    assert told == set(re.findall(r'"(SANDBOX_[A-Z_]+)"', source))


def test_settings_of_the_page_are_those_of_the_program():
    told = [name for names, _ in ROWS for name in _words(names)]

    assert sorted(told) == sorted(DEFAULTS)


@pytest.mark.parametrize(
    ("names", "values"), [row for row in ROWS if len(_words(row[0])) == len(_words(row[1]))]
)
def test_strict_values_of_the_page_are_those_of_the_program(names, values):
    told = dict(zip(_words(names), _words(values), strict=True))

    assert told == {name: _as_shown(DEFAULTS[name]) for name in told}


def _as_shown(value: object) -> str:
    return (
        value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)
    )


def test_creators_of_the_page_are_those_that_it_starts_with():
    told = re.findall(r"^\| `([a-z.]+)` \|", README.section("## Creators"), re.MULTILINE)

    assert told == [creator.handle for creator in seed_creators()]


def test_calls_of_the_page_are_those_of_the_control_api():
    section = README.section("## Control API").split("### Faults")[0]
    told = {
        call
        for cell in re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
        for call in _calls(_words(cell))
    }
    routes = build_routes(None)
    known = {
        (method, route.path.removeprefix("/control/api")) for route in routes for method in route.methods
    }

    assert told == {(method, re.sub(r"\{\w+\}", "<>", path)) for method, path in known - _heads(known)}


def _heads(calls: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those that Starlette adds to each GET."""
    return {("HEAD", path) for _, path in calls}


def _calls(words: list[str]) -> list[tuple[str, str]]:
    """`GET`, `POST /a/<b>` are two calls of one path; `…/d` after `POST /a/c` is `POST /a/d`; `?x=` is none."""
    calls: list[tuple[str, str]] = []
    methods: list[str] = []
    for word in words:
        if word.startswith("…"):
            method, path = calls[-1]
            calls.append((method, path.rpartition("/")[0] + word[1:]))
        elif not word.startswith("?"):
            method, _, path = word.partition(" ")
            methods.append(method)
            if path:
                calls += [(one, re.sub(r"<\w+>", "<>", path)) for one in methods]
                methods = []
    return calls
