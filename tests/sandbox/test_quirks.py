"""That each known trait of TikTok's protocol has a test which holds the sandbox to it."""

from __future__ import annotations

import ast
from pathlib import Path

ALL_QUIRKS = set(range(1, 56))


def test_every_quirk_has_a_test():
    held = {number for path in Path(__file__).parent.glob("test_*.py") for number in _marked(path)}

    assert ALL_QUIRKS - held == set()
    assert held - ALL_QUIRKS == set()


def _marked(path: Path) -> set[int]:
    """The numbers in `@pytest.mark.quirk(…)` on the functions of a test module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.quirk":
                    found |= {ast.literal_eval(argument) for argument in mark.args}
    return found
