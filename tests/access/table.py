"""Who may do what at every address of the product: the access table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accounts.models import Role
from tests.access import preparing as given
from tests.access.world import PEOPLE, MakeBody, Prepare, Visit

Answer = int | str
"""A status, or one of the words below. A status under 400 means that the deed is done."""
Answers = tuple[Answer, ...]

LOGIN = "log in"  # a redirect to the log-in page
GATE = "admin's gate"  # a redirect to the admin's log-in page, which refuses who is no operator
AWAY = "away"  # a redirect, and nothing is done
SHOWN = "shown"  # 200, and nothing is done
THEN_LOGIN = "done, then log in"
STATUS_OF: dict[Answer, Answer] = {LOGIN: LOGIN, GATE: GATE, AWAY: 302, SHOWN: 200, THEN_LOGIN: LOGIN}
OTHERS = ("put", "patch", "delete")


def anyone(answer: Answer) -> Answers:
    """The same for everybody."""
    return (answer,) * len(PEOPLE)


def visitor(answer: Answer, *, others: Answer) -> Answers:
    """One answer for who is not logged in, another for all the rest."""
    return (answer, *(others,) * (len(PEOPLE) - 1))


def logged_in(answer: Answer) -> Answers:
    """Everybody with an account."""
    return visitor(LOGIN, others=answer)


def members(answer: Answer, least: Role = Role.VIEWER, *, refused: Answer = 403) -> Answers:
    """The workspace's members from the role `least` on. To others, operators included, it does not exist."""
    return (LOGIN, 404, *(answer if role.covers(least) else refused for role in Role), 404)


def operators(answer: Answer) -> Answers:
    """Staff; everybody else who is logged in is refused."""
    return (LOGIN, 403, 403, 403, 403, 403, answer)


NO_METHOD = logged_in(405)
NO_METHOD_OPEN = anyone(405)


@dataclass(frozen=True)
class Deed:
    """A method at an address: what each person is answered, and which tables one who may do it changes thereby.

    `changes` must change, `touches` may; where the answer is a refusal only `spends` may.
    """

    answers: Answers
    body: MakeBody | None = None
    changes: frozenset[str] = frozenset()
    touches: frozenset[str] = frozenset()
    spends: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Entry:
    """An address, as the URL conf writes it, and its methods. `case` tells entries of one address apart."""

    path: str
    deeds: dict[str, Deed]
    given: Prepare | None = None
    case: str = ""

    def methods(self, name: str) -> list[str]:
        """The HTTP methods that the deed `name` stands for."""
        return [one for one in OTHERS if one not in self.deeds] if name == "other" else [name]


def does(
    answers: Answers,
    *changes: str,
    body: MakeBody | None = None,
    touches: tuple[str, ...] = (),
    spends: tuple[str, ...] = (),
) -> Deed:
    """A deed that changes something."""
    return Deed(answers, body, frozenset(changes), frozenset(touches) | {AUDIT}, frozenset(spends))


def entry(
    path: str,
    *,
    given: Prepare | None = None,
    case: str = "",
    **methods: Answers | Deed,
) -> Entry:
    """Name the methods `get` and `post`; `other` stands for those of put, patch and delete that are not named."""
    deeds = {name: deed if isinstance(deed, Deed) else Deed(deed) for name, deed in methods.items()}
    return Entry(path, deeds, given, case)


def page(path: str, get: Answers | Deed, *, given: Prepare | None = None, case: str = "") -> Entry:
    """An address that can only be read."""
    closed = _closed(get)
    return entry(path, given=given, case=case, get=get, post=closed, other=closed)


def button(path: str, post: Deed, *, given: Prepare | None = None, case: str = "") -> Entry:
    """An address that only does something, by POST."""
    return entry(path, given=given, case=case, get=NO_METHOD, post=post, other=NO_METHOD)


def form(
    path: str, get: Answers | Deed, post: Deed, *, given: Prepare | None = None, case: str = ""
) -> Entry:
    """A page with a form that is sent to itself."""
    return entry(path, given=given, case=case, get=get, post=post, other=_closed(get))


def _closed(get: Answers | Deed) -> Answers:
    first = get.answers[0] if isinstance(get, Deed) else get[0]
    return NO_METHOD if first == LOGIN else NO_METHOD_OPEN


def typed(**values: str) -> MakeBody:
    """A body of fixed values."""
    return lambda visit: dict(values)


def name_of_workspace(visit: Visit) -> dict[str, Any]:
    """The workspace's name, to confirm."""
    return {"name": visit.side.workspace.name}


def bystander(visit: Visit) -> dict[str, Any]:
    """The member whom it is about."""
    return {"member": str(visit.side.bystander.pk)}


AUDIT = "accounts_auditevent"
MEMBERSHIP = "accounts_membership"
WORKSPACE = "accounts_workspace"
INVITATION = "accounts_invitation"
NOTICE = "accounts_notice"
USER = "accounts_user"
CONNECTION = "social_connections"
OAUTH = "oauth_requests"
WEBHOOK = "webhook_events"
POST = "publishing_post"
DELIVERY = "publishing_delivery"
ATTEMPT = "publishing_attempt"
PHOTO = "publishing_photo"
ADDRESS = "account_emailaddress"
KEY = "mfa_authenticator"

OURS: list[Entry] = [
    # The door, and what is a person's own
    page("", (200, AWAY, AWAY, AWAY, AWAY, AWAY, AWAY)),
    form("profile/", logged_in(200), does(logged_in(302), USER, body=typed(name="Another"))),
    button(
        "profile/notifications/",
        does(logged_in(302), "accounts_noticepreference", body=given.all_switches_off),
    ),
    form(
        "workspaces/",
        logged_in(200),
        does(logged_in(302), WORKSPACE, MEMBERSHIP, body=typed(name="A new one")),
    ),
    form("profile/data/", logged_in(200), does(logged_in(302), "accounts_personexport")),
    button(
        "profile/data/cancel/",
        does(logged_in(302), "accounts_personexport"),
        given=given.exports_under_way,
    ),
    page(
        "profile/data/<uuid:export_id>/",
        Deed((LOGIN, 404, 200, 200, 200, 200, 404), touches=frozenset({AUDIT})),
    ),
    form(
        "profile/delete/",
        logged_in(200),
        does(
            # an owner with others in the workspace and the last operator have to find somebody first
            (LOGIN, AWAY, 302, 302, 302, AWAY, AWAY),
            USER,
            MEMBERSHIP,
            body=given.own_address,
            touches=(INVITATION, NOTICE, ADDRESS, "accounts_personexport", "accounts_workspaceexport"),
        ),
    ),
    button(
        "accounts/sessions/<int:session_id>/end/",
        does((LOGIN, 404, 302, 302, 302, 302, 404)),
    ),
    page("invitation/<str:token>/", anyone(AWAY), given=given.link_of_invitation),
    form(
        "invitation/",
        anyone(200),
        does((SHOWN, 302, 403, 403, 403, 403, 403), INVITATION, MEMBERSHIP),
        given=given.invitation_opened,
        case="sent to the stranger",
    ),
    form("invitation/", anyone(404), Deed(anyone(404)), case="without a link"),
    # A workspace, its members and settings
    page("w/<slug:slug>/", members(AWAY)),
    page("w/<slug:slug>/members/", members(200)),
    form(
        "w/<slug:slug>/settings/",
        members(200, Role.ADMIN),
        does(members(302, Role.ADMIN), WORKSPACE, body=typed(name="Renamed")),
    ),
    form(
        "w/<slug:slug>/settings/source-videos/",
        members(200, Role.ADMIN),
        does(members(302, Role.ADMIN), WORKSPACE, body=typed(choice="delete", days="9")),
    ),
    button(
        "w/<slug:slug>/members/invite/",
        does(members(302, Role.ADMIN), INVITATION, body=typed(email="n@example.com", role="editor")),
    ),
    button(
        "w/<slug:slug>/members/<uuid:membership_id>/role/",
        does(members(302, Role.ADMIN), MEMBERSHIP, body=typed(role="editor")),
    ),
    form(
        "w/<slug:slug>/members/<uuid:membership_id>/remove/",
        members(200, Role.ADMIN),
        does(members(302, Role.ADMIN), MEMBERSHIP),
    ),
    button(
        "w/<slug:slug>/invitations/<uuid:invitation_id>/resend/",
        does(members(302, Role.ADMIN), INVITATION),
    ),
    button(
        "w/<slug:slug>/invitations/<uuid:invitation_id>/revoke/",
        does(members(302, Role.ADMIN), INVITATION),
    ),
    form(
        "w/<slug:slug>/settings/transfer/",
        members(200, Role.OWNER),
        does(members(302, Role.OWNER), MEMBERSHIP, body=bystander),
    ),
    form(
        "w/<slug:slug>/settings/delete/",
        members(200, Role.OWNER),
        does(members(302, Role.OWNER), WORKSPACE, body=name_of_workspace),
    ),
    button(
        "w/<slug:slug>/settings/restore/",
        does(members(302, Role.OWNER), WORKSPACE),
        given=given.deletion_requested,
    ),
    form(
        "w/<slug:slug>/settings/data/",
        members(200, Role.OWNER),
        does(members(302, Role.OWNER), "accounts_workspaceexport"),
    ),
    button(
        "w/<slug:slug>/settings/data/cancel/",
        does(members(302, Role.OWNER), "accounts_workspaceexport"),
        given=given.exports_under_way,
    ),
    page(
        "w/<slug:slug>/settings/data/<uuid:export_id>/",
        Deed(members(200, Role.OWNER), touches=frozenset({AUDIT})),
    ),
    page("w/<slug:slug>/audit/", members(200, Role.ADMIN)),
    button("w/<slug:slug>/audit/export/", does(members(200, Role.ADMIN), AUDIT)),
    # What a member was told
    page("w/<slug:slug>/notices/", members(200)),
    button("w/<slug:slug>/notices/read/", does(members(302), NOTICE)),
    entry(
        "w/<slug:slug>/notices/<uuid:notice_id>/",
        get=Deed(members(302), touches=frozenset({NOTICE})),
        post=NO_METHOD,
        other=NO_METHOD,
    ),
    button("w/<slug:slug>/notices/<uuid:notice_id>/read/", does(members(302), NOTICE)),
    # Connections
    page("w/<slug:slug>/connections/", members(200)),
    button("w/<slug:slug>/connections/connect/<slug:provider>/", does(members(302, Role.ADMIN), OAUTH)),
    page("connections/<slug:provider>/help/", logged_in(200)),
    entry(
        "connections/<slug:provider>/callback/",
        given=given.connect_begun,
        get=does((LOGIN, 403, 403, 403, 302, 302, 403), CONNECTION, OAUTH, spends=(OAUTH,)),
        post=NO_METHOD,
        other=NO_METHOD,
    ),
    entry(
        "connections/<slug:provider>/callback/",
        case="without a connect under way",
        get=logged_in(400),
    ),
    page("w/<slug:slug>/connections/<uuid:pk>/connected/", members(200)),
    page("w/<slug:slug>/connections/<uuid:pk>/avatar/", members(200)),
    form(
        "w/<slug:slug>/connections/<uuid:pk>/label/",
        members(200, Role.ADMIN),
        does(members(302, Role.ADMIN), CONNECTION, body=typed(account_label="Another")),
    ),
    button(
        "w/<slug:slug>/connections/<uuid:pk>/primary/",
        does(members(302, Role.ADMIN), CONNECTION),
        given=given.spare_connection,
    ),
    button("w/<slug:slug>/connections/<uuid:pk>/test/", does(members(302, Role.ADMIN), CONNECTION)),
    button("w/<slug:slug>/connections/<uuid:pk>/refresh/", does(members(302, Role.ADMIN), CONNECTION)),
    form(
        "w/<slug:slug>/connections/<uuid:pk>/disconnect/",
        members(200, Role.ADMIN),
        does(
            members(302, Role.ADMIN),
            CONNECTION,
            touches=(DELIVERY, ATTEMPT, NOTICE),
        ),
    ),
    # Posts
    page("w/<slug:slug>/posts/", members(200)),
    page("w/<slug:slug>/posts/<uuid:post_id>/", members(200)),
    form(
        "w/<slug:slug>/posts/new/",
        Deed(members(200, Role.EDITOR), touches=frozenset({CONNECTION})),
        does(
            members(302, Role.EDITOR), POST, DELIVERY, ATTEMPT, body=given.video_post, touches=(CONNECTION,)
        ),
    ),
    form(
        "w/<slug:slug>/posts/new/photos/",
        Deed(members(200, Role.EDITOR), touches=frozenset({CONNECTION})),
        does(
            members(302, Role.EDITOR),
            POST,
            DELIVERY,
            ATTEMPT,
            PHOTO,
            body=given.photo_post,
            touches=(CONNECTION,),
        ),
    ),
    button(
        "w/<slug:slug>/deliveries/<uuid:delivery_id>/retry/",
        does(members(302, Role.EDITOR), DELIVERY, ATTEMPT),
        given=given.failed,
    ),
    button(
        "w/<slug:slug>/deliveries/<uuid:delivery_id>/cancel/",
        does(members(302, Role.EDITOR), DELIVERY, ATTEMPT),
    ),
    button(
        "w/<slug:slug>/deliveries/<uuid:delivery_id>/posted/",
        does(members(302, Role.EDITOR), DELIVERY, ATTEMPT, touches=(NOTICE,)),
        given=given.unconfirmed,
    ),
    page("w/<slug:slug>/videos/<uuid:video_id>/file/", members(200)),
    page("w/<slug:slug>/videos/<uuid:video_id>/poster/", members(200)),
    page("w/<slug:slug>/photos/<uuid:photo_id>/file/", members(200)),
    # Operation
    page("w/<slug:slug>/health/", members(200)),
    page("operations/health/", operators(200)),
    page("favicon.ico", anyone(200)),
    page("healthz", anyone(200)),
    page("readyz", anyone(200), given=given.worker_alive, case="all is well"),
    page("readyz", anyone(503), case="no worker"),
    page("metrics", anyone(200), given=given.metrics_token, case="with the token"),
    page("metrics", anyone(401), case="without the token"),
    # Doors for machines: the signature or the address counts, whoever is logged in
    entry(
        "webhooks/<slug:provider>/",
        given=given.webhook_signed,
        case="signed",
        get=NO_METHOD_OPEN,
        post=does(anyone(200), WEBHOOK),
        other=NO_METHOD_OPEN,
    ),
    entry(
        "webhooks/<slug:provider>/",
        given=given.webhook_unsigned,
        case="not signed",
        post=anyone(401),
    ),
    page("media/pull/<str:token>/<str:name>", anyone(200), given=given.address_to_fetch, case="ours"),
    page("media/pull/<str:token>/<str:name>", anyone(404), given=given.address_forged, case="made up"),
]
