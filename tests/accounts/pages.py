"""What a page's HTML holds that a test wants to know."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser


def without_tokens(html: str) -> str:
    """The page less what differs each time it is shown."""
    return re.sub(r"[0-9A-Za-z]{64}", "", html)


class Page(HTMLParser):
    """A parsed page: its elements in order, and the code that stands inline in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.inline_code: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if tag == "style" or (tag == "script" and "src" not in attributes):
            self.inline_code.append(f"<{tag}>")
        self.inline_code += [
            f"{tag} {name}"
            for name, value in attributes.items()
            if name == "style" or name.startswith(("on", "hx-on")) or value.startswith(("javascript:", "js:"))
        ]

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every element `tag`."""
        return [attributes for name, attributes in self.elements if name == tag]

    def links(self) -> list[str]:
        """Where the page leads."""
        return [anchor.get("href", "") for anchor in self.all("a")]

    def repeated_ids(self) -> list[str]:
        """Ids that stand on more than one element."""
        counts = Counter(attributes["id"] for _, attributes in self.elements if "id" in attributes)
        return [name for name, count in counts.items() if count > 1]

    def unlabelled(self) -> list[dict[str, str]]:
        """Inputs that no label names."""
        labelled = {label.get("for") for label in self.all("label")}
        return [
            attributes
            for name, attributes in self.elements
            if name in {"input", "select", "textarea"}
            and attributes.get("type") != "hidden"
            and attributes.get("id") not in labelled
            and "aria-label" not in attributes
        ]
