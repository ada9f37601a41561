"""Trouble on demand: rules that say which requests go wrong, how, and how often."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

ENDPOINTS = {
    "authorize",
    "token",
    "revoke",
    "user_info",
    "video_list",
    "video_query",
    "creator_info",
    "video_init",
    "inbox_init",
    "content_init",
    "upload",
    "status",
    "cancel",
    "webhook",
}
MATCHES = {"endpoint", "creator", "chunk_index", "nth", "grant_type", "publish_id", "client_key", "event"}
ACTIONS = {
    "status",
    "body",
    "html",
    "malformed",
    "empty",
    "truncated",
    "code",
    "message",
    "delay",
    "hold",
    "slow_bytes_per_second",
    "drop",
    "after_bytes",
    "retry_after",
    "process",
}
DROPS = {"before", "after", "mid_body", "mid_answer"}


class FaultError(ValueError):
    """A rule that cannot be understood."""


@dataclass
class Fault:
    """One rule.

    `match`: values that a request must have; `nth` counts the matching requests from 1, `endpoint` may be a list.
    `action`: what goes wrong, see README. `times`: how often it does, None for always.
    """

    rule_id: str
    match: dict[str, Any]
    action: dict[str, Any]
    times: int | None = 1
    seen: int = 0
    used: int = 0

    def applies(self, facts: dict[str, Any]) -> bool:
        """Whether a request with these facts is hit; counts it if it matches."""
        if self.times is not None and self.used >= self.times:
            return False
        for name, wanted in self.match.items():
            if name == "nth":
                continue
            if facts.get(name) not in (wanted if isinstance(wanted, list) else [wanted]):
                return False
        self.seen += 1
        nth = self.match.get("nth")
        if nth is not None and self.seen not in (nth if isinstance(nth, list) else [nth]):
            return False
        self.used += 1
        return True


@dataclass
class Faults:
    """The rules in force, in order; the first that applies is used."""

    rules: list[Fault] = field(default_factory=list)
    _serial: Any = field(default_factory=itertools.count)

    def add(self, document: dict[str, Any]) -> Fault:
        """Take a rule from its JSON form. FaultError: unknown names or values."""
        match, action = document.get("match", {}), document.get("action", {})
        times = document.get("times", 1)
        if not isinstance(match, dict) or not isinstance(action, dict) or not action:
            raise FaultError("match and action are objects, and action says what goes wrong")
        _known(set(match), MATCHES, "match")
        _known(set(action), ACTIONS, "action")
        endpoints = match.get("endpoint", [])
        _known(set(endpoints if isinstance(endpoints, list) else [endpoints]), ENDPOINTS, "endpoint")
        if "drop" in action:
            _known({action["drop"]}, DROPS, "drop")
        if times is not None and (not isinstance(times, int) or times < 1):
            raise FaultError("times is a whole number from 1, or null for always")
        rule = Fault(f"fault-{next(self._serial) + 1}", match, action, times)
        self.rules.append(rule)
        return rule

    def take(self, facts: dict[str, Any]) -> Fault | None:
        """The rule that hits this request, counted as used, or None."""
        return next((rule for rule in self.rules if rule.applies(facts)), None)

    def remove(self, rule_id: str) -> bool:
        """Drop one rule; False if there is none with that id."""
        before = len(self.rules)
        self.rules = [rule for rule in self.rules if rule.rule_id != rule_id]
        return len(self.rules) < before


def _known(names: set[Any], known: set[str], what: str) -> None:
    if strange := names - known:
        raise FaultError(
            f"unknown {what}: {', '.join(sorted(map(str, strange)))}; known: {', '.join(sorted(known))}"
        )
