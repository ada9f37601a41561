"""The project's Markdown pages, taken apart: links, headings, code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parents[2]
FOLDERS = ("docs", "sandbox", "benchmarks", "stack", "tests")

_FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"""\[[^\]]*\]\(([^)\s]+)\)|\b(?:src|srcset|href)="([^"]+)\"""")
_HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(BASE_DIR))

    @cached_property
    def text(self) -> str:
        """The whole file."""
        return self.path.read_text()

    @property
    def prose(self) -> str:
        """The file without its code blocks."""
        return _FENCE.sub("", self.text)

    @property
    def blocks(self) -> list[str]:
        """The code blocks, each with its fences."""
        return _FENCE.findall(self.text)

    @property
    def spans(self) -> list[str]:
        """What stands in backticks in the prose."""
        return _SPAN.findall(self.prose)

    @property
    def code(self) -> list[str]:
        """Every line of code, in a block or in backticks."""
        return self.spans + [line.strip() for block in self.blocks for line in block.splitlines()[1:-1]]

    @property
    def links(self) -> list[str]:
        """Where the links lead, without those to other sites."""
        found = [match[1] or match[2] for match in _LINK.finditer(_SPAN.sub("", self.prose))]
        return [link for link in found if not re.match(r"[a-z]+:", link)]

    @property
    def anchors(self) -> set[str]:
        """The names that its headings can be linked by."""
        return {slug(heading) for heading in _HEADING.findall(self.prose)}

    def section(self, heading: str) -> str:
        """The text from `heading` (a whole line) to the next heading of its level or above."""
        level = heading.split(" ")[0]
        after = self.text.split(f"\n{heading}\n")[1]
        return re.split(rf"^#{{1,{len(level)}}} ", after, flags=re.MULTILINE)[0]


def slug(heading: str) -> str:
    """The anchor that GitHub and GitLab give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def all_pages() -> list[Page]:
    """Every page of the project."""
    inside = [path for folder in FOLDERS for path in (BASE_DIR / folder).rglob("*.md")]
    return [Page(path) for path in sorted([*BASE_DIR.glob("*.md"), *inside])]


def page(name: str) -> Page:
    """The page at `name`, seen from the project's root."""
    return Page(BASE_DIR / name)


def target(page: Page, link: str) -> tuple[Path, str]:
    """The file and the anchor that a relative link leads to."""
    name, _, anchor = link.partition("#")
    return ((page.path.parent / name).resolve() if name else page.path), anchor
