"""The access table of the operators' admin, by its groups of pages."""

from __future__ import annotations

from collections.abc import Iterator

from tests.access import preparing as given
from tests.access.table import (
    AUDIT,
    AWAY,
    GATE,
    LOGIN,
    SHOWN,
    Answer,
    Answers,
    Deed,
    Entry,
    does,
    entry,
    typed,
)


def operators(answer: Answer) -> Answers:
    """Staff inside; all others at the admin's own gate, visitors at the common one."""
    return (LOGIN, GATE, GATE, GATE, GATE, GATE, answer)


def gate(answer: Answer) -> Answers:
    """The pages about the admin itself send visitors to its own gate too."""
    return (GATE, GATE, GATE, GATE, GATE, GATE, answer)


FRAME = [
    entry("admin/", get=gate(200), post=gate(SHOWN), other=gate(SHOWN)),
    entry(
        "admin/login/",
        get=(LOGIN, 403, 403, 403, 403, 403, AWAY),
        post=(LOGIN, 403, 403, 403, 403, 403, SHOWN),
        put=(LOGIN, 403, 403, 403, 403, 403, SHOWN),
        other=(LOGIN, 403, 403, 403, 403, 403, 405),
    ),
    entry(
        "admin/logout/",
        get=(GATE, AWAY, AWAY, AWAY, AWAY, AWAY, 405),
        post=does((GATE, AWAY, AWAY, AWAY, AWAY, AWAY, 200), AUDIT),
        other=(GATE, AWAY, AWAY, AWAY, AWAY, AWAY, 405),
    ),
    entry("admin/password_change/", get=gate(200), post=gate(SHOWN), put=gate(SHOWN), other=gate(405)),
    entry("admin/password_change/done/", get=gate(200), post=gate(405), other=gate(405)),
    entry("admin/autocomplete/", get=gate(403), post=gate(405), other=gate(405)),
    entry("admin/jsi18n/", get=gate(200), post=gate(405), other=gate(405)),
    entry(
        "admin/r/<path:content_type_id>/<path:object_id>/",
        given=given.page_of_nothing,
        get=gate(404),
        post=gate(404),
        other=gate(404),
    ),
    entry(
        "admin/accounts/user/<id>/password/",
        given=given.password_of_bystander,
        get=operators(200),
        post=does(
            operators(302), "accounts_user", body=given.password_by_operator, touches=("django_admin_log",)
        ),
        other=operators(SHOWN),
    ),
    entry(
        "admin/^(?P<app_label>auth|account|mfa|usersessions|accounts|socialaccount|connections|publishing)/$",
        given=given.app_of_admin,
        get=gate(200),
        post=gate(SHOWN),
        other=gate(SHOWN),
    ),
    entry(
        "admin/(?P<url>.*)$",
        given=given.page_that_is_not,
        get=gate(404),
        post=gate(404),
        other=gate(404),
    ),
]

ADDS, CHANGES, DELETES = "adds", "changes", "deletes"
ALL = {ADDS, CHANGES, DELETES}
MODELS: dict[str, set[str]] = {
    "auth/group": ALL,
    "accounts/user": {ADDS, CHANGES},
    "accounts/workspace": {ADDS, CHANGES},
    "accounts/auditevent": set(),
    "accounts/invitation": set(),
    "connections/socialconnection": {CHANGES},
    "connections/webhookevent": set(),
    "publishing/delivery": {CHANGES},
    "publishing/post": {CHANGES},
    "publishing/video": {CHANGES},
    "publishing/photo": {CHANGES},
    "publishing/workspacequota": ALL,
    "account/emailaddress": ALL,
    "socialaccount/socialaccount": {DELETES},
    "mfa/authenticator": {DELETES},
    "usersessions/usersession": {DELETES},
}
"""What operators may do with each kind of row, besides looking."""


NOTHING_TO_FILL_IN = {"publishing/video", "publishing/photo"}
"""Whose forms are complete when empty: nothing in them can be changed."""


def _pages(model: str, may: set[str]) -> Iterator[Entry]:
    row = f"admin/{model}/<path:object_id>/"
    some = given.row_of(model)
    yield entry(f"admin/{model}/", get=operators(200), post=operators(SHOWN), other=operators(SHOWN))
    added = operators(SHOWN if ADDS in may else 403)
    yield entry(f"admin/{model}/add/", get=added, post=added, other=added)
    yield entry(
        f"{row}history/", given=some, get=operators(200), post=operators(SHOWN), other=operators(SHOWN)
    )
    deleted = operators(SHOWN if DELETES in may else 403)
    yield entry(f"{row}delete/", given=some, get=deleted, post=deleted, other=deleted)
    yield entry(
        f"{row}change/",
        given=some,
        get=operators(200),
        post=_change(model, may),
        other=operators(SHOWN),
    )
    yield entry(row, given=some, get=operators(AWAY), post=operators(AWAY), other=operators(AWAY))


def _change(model: str, may: set[str]) -> Deed:
    """What follows a POST: the one field of a connection is saved, other forms come back incomplete."""
    if model == "connections/socialconnection":
        touched = ("django_admin_log",)
        return does(
            operators(302), "social_connections", body=typed(account_label="Another"), touches=touched
        )
    shown = AWAY if model in NOTHING_TO_FILL_IN else SHOWN
    return Deed(operators(shown if CHANGES in may else 403), touches=frozenset({"django_admin_log", AUDIT}))


ADMIN: list[Entry] = [*FRAME, *(one for model, may in MODELS.items() for one in _pages(model, may))]
