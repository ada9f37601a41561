"""Every route of the product, read out of the URL conf."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.converters import IntConverter, UUIDConverter
from django.urls.resolvers import RoutePattern

_PARAMETER = re.compile(r"<(?:\w+:)?(?P<name>\w+)>|\(\?P<(?P<group>\w+)>(?:[^()]|\([^()]*\))*\)")


@dataclass(frozen=True)
class Parameter:
    """A changing part of a path. `place` is the path up to it, which says of what it is the key."""

    place: str
    name: str
    is_key: bool


@dataclass(frozen=True)
class Route:
    """One pattern of the URL conf as it is written there, from the root, and the name that `reverse` takes."""

    path: str
    name: str
    keys: frozenset[str]

    def __str__(self) -> str:
        return self.path or "(root)"

    @property
    def parameters(self) -> list[Parameter]:
        """Its parameters in order; those that are a UUID or a number are keys of rows."""
        return [
            Parameter(self.path[: found.end()], name, name in self.keys)
            for found in _PARAMETER.finditer(self.path)
            if (name := found["name"] or found["group"])
        ]

    @property
    def is_of_workspace(self) -> bool:
        """Whether it lies under a workspace's slug."""
        return self.path.startswith("w/<slug:slug>/")

    @property
    def is_of_admin(self) -> bool:
        """Whether it belongs to the operators' admin."""
        return self.path.startswith("admin/")

    def fill(self, values: dict[str, Any]) -> str:
        """Return the address with `values` in place of the parameters."""
        filled = _PARAMETER.sub(lambda found: str(values[found["name"] or found["group"]]), self.path)
        return "/" + filled.replace("^", "").replace("$", "").replace(r"\Z", "")


def all_routes() -> list[Route]:
    """Every route there is, in the order of the URL conf."""
    return list(_walk(get_resolver().url_patterns, "", ""))


def _walk(patterns: list[URLPattern | URLResolver], prefix: str, namespace: str) -> Iterator[Route]:
    for one in patterns:
        path = prefix + str(one.pattern)
        if isinstance(one, URLResolver):
            inner = f"{namespace}{one.namespace}:" if one.namespace else namespace
            yield from _walk(one.url_patterns, path, inner)
        else:
            converters = one.pattern.converters if isinstance(one.pattern, RoutePattern) else {}
            yield Route(path, f"{namespace}{one.name or ''}", _keys(converters) | _keys_before(prefix))


def _keys(converters: dict[str, Any]) -> frozenset[str]:
    kinds = (UUIDConverter, IntConverter)
    return frozenset(name for name, converter in converters.items() if isinstance(converter, kinds))


def _keys_before(prefix: str) -> frozenset[str]:
    return frozenset(re.findall(r"<(?:uuid|int):(\w+)>", prefix))
