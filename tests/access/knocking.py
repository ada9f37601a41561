"""How a request of the table is made, and how its answer is told."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.http import HttpResponseBase

from tests.access.makers import value_for
from tests.access.routes import Route
from tests.access.table import GATE, LOGIN, STATUS_OF, THEN_LOGIN, Answer, Entry
from tests.access.world import Visit


def prepare(visit: Visit, entry: Entry, method: str) -> None:
    """Make true what the entry needs, and fill in the body."""
    if entry.given:
        entry.given(visit)
    body = entry.deeds[method].body
    if body and method == "post":
        visit.body |= body(visit)


def address(visit: Visit, route: Route) -> str:
    """The address of `route` for what the visit is about."""
    return route.fill({one.name: value_for(one, visit, route) for one in route.parameters} | visit.values)


def knock(visit: Visit, path: str, method: str) -> Any:
    """Send the request; its answer gets `everything`: all that was sent back, and where it leads.

    A method of which nothing is known is sent without a body.
    """
    raw = visit.body.get("raw")
    send = getattr(visit.client, method)
    body = visit.body if method in {"get", "post"} else {}
    if raw is not None and method == "post":
        answer = send(path, raw, content_type="application/json", headers=visit.headers)
    elif body:
        answer = send(path, body, headers=visit.headers)
    else:
        answer = send(path, headers=visit.headers)
    answer.everything = _content_of(answer)
    return answer


def told(answer: Any) -> Answer:
    """The status, or LOGIN or GATE for a redirect to one of the log-in pages."""
    gates = {"/accounts/login/": LOGIN, "/admin/login/": GATE}
    place = urlsplit(answer["Location"]).path if answer.status_code == 302 else ""
    return gates.get(place, int(answer.status_code))


def agrees(answer: Answer, expected: Answer) -> bool:
    """Whether that is what the table says."""
    return answer == STATUS_OF.get(expected, expected)


def is_granted(expected: Answer) -> bool:
    """Whether the table says that the deed is done."""
    return expected == THEN_LOGIN or (isinstance(expected, int) and expected < 400)


def _content_of(answer: HttpResponseBase) -> bytes:
    streamed = getattr(answer, "streaming_content", None)
    body = b"".join(streamed) if streamed is not None else answer.content  # type: ignore[attr-defined]
    return bytes(body) + answer.headers.get("Location", "").encode()
