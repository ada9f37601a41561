"""The page about security keeps its word: each threat names tests that exist and test something."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import BASE_DIR, page

SECURITY = page("docs/security.md")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for block in re.findall(
        r"\| threat \| what stops it \| shown by \|\n\|[-|]+\|\n((?:\|.*\n)+)", SECURITY.text
    )
    for line in block.splitlines()
]
each_row = pytest.mark.parametrize("row", ROWS, ids=[row[0][:60] for row in ROWS])


def test_every_table_of_threats_is_read():
    tables = SECURITY.text.count("shown by |")

    assert tables == len(re.findall(r"\| threat \| what stops it \| shown by \|\n\|-", SECURITY.text)) >= 8
    assert len(ROWS) > 45


@each_row
def test_each_threat_has_an_answer_and_a_test(row):
    assert len(row) == 3
    assert all(row)
    named = re.findall(r"`(tests/[\w/]+\.py)`", row[2])
    assert named
    assert all(re.search(r"^ *def test_", (BASE_DIR / name).read_text(), re.MULTILINE) for name in named)
