"""What belongs to acme, asked for through rival's doors: by path, body, query, form choice, script and upload.

The tests run twice: as the product runs, and with every statement in a scope that sees all workspaces, so that the
queries of our own code have to keep the workspaces apart without the database's row-level security.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core import signing
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts import exports, invitations, notices, removal, workspaces
from accounts.models import Invitation, Membership, Role, Workspace
from accounts.scopes import Scope, workspace_scope
from publishing import composing, services
from publishing.models import Delivery, Photo, Post
from publishing.photos import find_kept_photos, sign_kept_photo
from publishing.states import DeliveryState, HoldReason
from publishing.videos import find_kept_video, sign_kept_video
from tests.access.growing import grow
from tests.access.knocking import address, agrees, knock, prepare, told
from tests.access.preparing import STATE, photo_post, video_post
from tests.access.routes import all_routes
from tests.access.table import OURS
from tests.access.table_log_in import LOG_IN
from tests.access.world import (
    OWNER,
    PEOPLE,
    STRANGER,
    Side,
    World,
    begin_connect,
    fingerprint,
    make_notice,
    media_root,
    tenant_models,
)
from tests.publishing.films import film
from tests.publishing.pictures import picture

pytestmark = pytest.mark.django_db

ROUTES = {route.path: route for route in all_routes() if not route.is_of_admin}
SCRIPT = {"HX-Request": "true"}


@pytest.fixture(autouse=True, params=["as it runs", "without row-level security"])
def net(request, monkeypatch):
    """Take the database's own rule out of the way for the second run: every statement sees all workspaces."""
    if request.param == "without row-level security":
        everywhere = Scope(system="tests").prefix
        monkeypatch.setattr(Scope, "prefix", property(lambda scope: everywhere))


@pytest.fixture
def acme(world: World) -> Side:
    """The side whose things are asked for."""
    return world.acme


@pytest.fixture
def rival(world: World) -> Side:
    """The side that asks."""
    return world.rival


@pytest.fixture
def both(world: World) -> Iterator[Membership]:
    """Mallory, owner of rival, as a guest of acme's: what is hers there must not come through rival's doors either."""
    guest = Membership.objects.create(workspace=world.acme.workspace, user=world.rival.owner, role=Role.ADMIN)
    world.acme.members["guest"] = guest
    world.acme.notices["guest"] = make_notice(world.acme, guest)
    Invitation.objects.filter(workspace=world.acme.workspace).update(invited_by=guest.user)
    begin_connect(world.acme, guest.user, "another session", state="another state")
    yield guest
    del world.acme.members["guest"], world.acme.notices["guest"]


def tells_of(side: Side, answer) -> list[str]:
    """What of `side` stands in an answer: its name, or the id of one of its rows.

    Each as a word of its own: the 64 letters of a form's token happen to hold `acme` now and then.
    """
    words = answer.everything.decode("utf-8", "replace").lower()
    told = [word for word in sorted({side.slug, *side.ids()}) if word in words]
    return [word for word in told if re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", words)]


def crossings() -> list[str]:
    """Rows that refer to a row of another workspace."""
    found = []
    for model in tenant_models():
        for column in model._meta.concrete_fields:
            if column.is_relation and column.related_model in tenant_models():
                other = {f"{column.name}__workspace": F("workspace")}
                found += list(model.objects.exclude(**{column.name: None}).exclude(**other))
    return [f"{type(row).__name__} {row.pk}" for row in found]


def owners_answer(deed):
    return deed.answers[PEOPLE.index(OWNER)]


GRANTED = [
    (entry, method)
    for entry in [*OURS, *LOG_IN]
    for method, deed in entry.deeds.items()
    if method != "other" and owners_answer(deed) not in {403, 404, 405}
]
KEYED = [(entry, method) for entry, method in GRANTED if ROUTES[entry.path].keys]
OF_WORKSPACE = [(entry, method) for entry, method in GRANTED if ROUTES[entry.path].is_of_workspace]
PAGES = [(entry, method) for entry, method in OF_WORKSPACE if method == "get"]


def cases(deeds):
    return [
        pytest.param(entry, method, id=f"{method} {entry.path} {entry.case}".strip())
        for entry, method in deeds
    ]


def test_every_route_with_a_key_is_tried_with_a_foreign_one():
    assert {entry.path for entry, _ in KEYED} == {path for path, route in ROUTES.items() if route.keys}


def test_every_key_has_a_maker(world):
    visit = world.visit(OWNER)

    for route in ROUTES.values():
        keys = [one for one in route.parameters if one.is_key]
        assert all(address(visit, route) for _ in keys)


@pytest.mark.parametrize(("entry", "method"), cases(OF_WORKSPACE))
def test_workspace_does_not_exist_for_strangers(world, acme, entry, method):
    visit = world.visit(STRANGER)
    prepare(visit, entry, method)
    path = address(visit, ROUTES[entry.path])
    before = fingerprint()

    answer = knock(visit, path, method)

    assert answer.status_code == 404
    assert tells_of(acme, answer) == []
    assert fingerprint() == before


@pytest.mark.parametrize("headers", [{}, SCRIPT], ids=["page", "script"])
@pytest.mark.parametrize(("entry", "method"), cases(KEYED))
def test_foreign_key_in_the_path_is_not_found(world, acme, entry, method, headers):
    visit = world.visit(STRANGER, headers=headers)
    prepare(visit, entry, method)
    path = address(visit, ROUTES[entry.path]).replace("/w/acme/", "/w/rival/")
    before = fingerprint()

    answer = knock(visit, path, method)

    assert answer.status_code == 404
    assert tells_of(acme, answer) == []
    assert fingerprint() == before


@pytest.mark.parametrize(("entry", "method"), cases(deed for deed in KEYED if deed in OF_WORKSPACE))
def test_key_from_another_workspace_of_ones_own_is_not_found(world, both, entry, method):
    visit = world.visit(STRANGER)
    prepare(visit, entry, method)
    path = address(visit, ROUTES[entry.path]).replace("/w/acme/", "/w/rival/")
    before = fingerprint()

    answer = knock(visit, path, method)

    assert answer.status_code == 404
    assert fingerprint() == before


@pytest.mark.parametrize("guest", ["stranger", "guest"])
@pytest.mark.parametrize(("entry", "method"), cases(OF_WORKSPACE))
def test_ones_own_things_are_served_without_a_trace_of_others(
    request, world, acme, rival, entry, method, guest
):
    if guest == "guest":
        request.getfixturevalue("both")
    visit = world.visit(STRANGER, side=rival)
    prepare(visit, entry, method)
    before = fingerprint(acme.workspace)

    answer = knock(visit, address(visit, ROUTES[entry.path]), method)
    after = knock(world.visit(STRANGER, side=rival), "/w/rival/posts/", "get")

    assert agrees(told(answer), owners_answer(entry.deeds[method]))
    assert fingerprint(acme.workspace) == before
    assert crossings() == []
    assert guest == "guest" or tells_of(acme, answer) + tells_of(acme, after) == []


@pytest.mark.parametrize("headers", [{}, SCRIPT], ids=["page", "script"])
@pytest.mark.parametrize(("entry", "method"), cases(PAGES))
def test_page_is_the_same_however_much_others_do(world, acme, rival, entry, method, headers):
    visit = world.visit(STRANGER, side=rival, headers=headers)
    prepare(visit, entry, method)
    path = address(visit, ROUTES[entry.path])
    plain(knock(visit, path, method))  # the first one of a session may differ

    before = plain(knock(visit, path, method))
    with transaction.atomic():
        grow(acme)
        grown = plain(knock(visit, path, method))
        transaction.set_rollback(True)
    after = plain(knock(visit, path, method))

    assert grown in {before, after}  # an age in words may turn between the two


def plain(answer) -> str:
    """The page less what differs each time: tokens, ids of forms, and the mark of a version."""
    text = answer.everything.decode("utf-8", "replace")
    text = re.sub(r'name="csrfmiddlewaretoken" value="[^"]*"|"X-CSRFToken": "[^"]*"|version=\w+', "", text)
    text = re.sub(r'name="submission_key" value="[^"]*"', "", text)
    return re.sub(r'(value|data-\w+)="[\w.:=-]{40,}"|[0-9A-Za-z]{64}', "", text)


# --- In bodies, queries, form choices and uploads ---------------------------------------------------------------------


def kept_for(side: Side, media) -> str:
    """A reference that names `side` and another's media, as no page of ours would sign it."""
    kind = "photos" if isinstance(media, Photo) else "videos"
    return signing.dumps([str(side.workspace.pk), str(media.pk)], salt=f"publishing.{kind}.kept")


def video(**changes):
    """The posting page of rival with something of acme's in it."""
    return lambda visit: video_post(visit) | {name: one(visit.world) for name, one in changes.items()}


def photos(**changes):
    """The same for photos."""
    return lambda visit: photo_post(visit) | {name: one(visit.world) for name, one in changes.items()}


def sends(**values):
    """A body or a query of acme's values."""
    return lambda visit: {name: one(visit.world) for name, one in values.items()}


def film_named(name):
    return lambda world: SimpleUploadedFile(name(world), film())


def photo_named(name):
    return lambda world: SimpleUploadedFile(name(world), picture())


def path_of(media):
    return lambda world: f"../../{media(world).file.name}"


def nothing(world):
    return ""


NEW, NEW_PHOTOS = "/w/rival/posts/new/", "/w/rival/posts/new/photos/"
SMUGGLED = [
    ("choice of an account in the query", "get", NEW, sends(connection=lambda w: w.acme.connection.pk), 200),
    (
        "choice of an account for photos in the query",
        "get",
        NEW_PHOTOS,
        sends(connection=lambda w: w.acme.connection.pk),
        200,
    ),
    ("post whose words to take", "get", NEW, sends(**{"from": lambda w: w.acme.post.pk}), 200),
    (
        "post whose words to take for photos",
        "get",
        NEW_PHOTOS,
        sends(**{"from": lambda w: w.acme.photo_post.pk}),
        200,
    ),
    ("account", "post", NEW, video(connection=lambda w: w.acme.connection.pk), 422),
    ("account for photos", "post", NEW_PHOTOS, photos(connection=lambda w: w.acme.connection.pk), 422),
    ("kept video", "post", NEW, video(kept_video=lambda w: sign_kept_video(w.acme.kept_video)), 422),
    ("kept video's id", "post", NEW, video(kept_video=lambda w: w.acme.kept_video.pk), 422),
    (
        "kept video under our own name",
        "post",
        NEW,
        video(kept_video=lambda w: kept_for(w.rival, w.acme.kept_video)),
        422,
    ),
    (
        "kept video to remove",
        "post",
        NEW,
        video(kept_video=lambda w: sign_kept_video(w.acme.kept_video), intent=lambda w: "remove"),
        200,
    ),
    (
        "kept video to remove under our own name",
        "post",
        NEW,
        video(kept_video=lambda w: kept_for(w.rival, w.acme.kept_video), intent=lambda w: "remove"),
        200,
    ),
    ("kept photo", "post", NEW_PHOTOS, photos(kept=lambda w: [sign_kept_photo(w.acme.kept_photo)]), 422),
    ("kept photo's id", "post", NEW_PHOTOS, photos(kept=lambda w: [w.acme.kept_photo.pk]), 422),
    (
        "kept photo under our own name",
        "post",
        NEW_PHOTOS,
        photos(kept=lambda w: [kept_for(w.rival, w.acme.kept_photo)]),
        422,
    ),
    (
        "photo to remove",
        "post",
        NEW_PHOTOS,
        photos(
            kept=lambda w: [kept_for(w.rival, w.acme.kept_photo)],
            intent=lambda w: f"remove:{w.acme.kept_photo.pk}",
        ),
        422,
    ),
    ("photo as the cover", "post", NEW_PHOTOS, photos(cover=lambda w: w.acme.kept_photo.pk), 302),
    ("form's key", "post", NEW, video(submission_key=lambda w: w.acme.post.submission_key), 302),
    (
        "form's key for photos",
        "post",
        NEW_PHOTOS,
        photos(submission_key=lambda w: w.acme.photo_post.submission_key),
        302,
    ),
    (
        "name of a video that is uploaded",
        "post",
        NEW,
        video(video=film_named(path_of(lambda w: w.acme.kept_video)), kept_video=nothing),
        302,
    ),
    (
        "name of a photo that is uploaded",
        "post",
        NEW_PHOTOS,
        photos(photos=photo_named(path_of(lambda w: w.acme.kept_photo))),
        302,
    ),
    (
        "heir",
        "post",
        "/w/rival/settings/transfer/",
        sends(member=lambda w: w.acme.bystander.pk),
        422,
    ),
    (
        "workspace's name to confirm a deletion",
        "post",
        "/w/rival/settings/delete/",
        sends(name=lambda w: w.acme.workspace.name),
        422,
    ),
    ("person in the audit log", "get", "/w/rival/audit/", sends(person=lambda w: w.acme.owner.pk), 200),
    (
        "person in the audit log's file",
        "post",
        "/w/rival/audit/export/",
        sends(person=lambda w: w.acme.owner.pk),
        200,
    ),
    (
        "connect under way",
        "get",
        "/connections/tiktok/callback/",
        sends(state=lambda w: STATE, code=lambda w: "a code"),
        400,
    ),
]


@pytest.mark.parametrize("headers", [{}, SCRIPT], ids=["page", "script"])
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [pytest.param(*row, id=name) for name, *row in SMUGGLED],
)
def test_something_of_acme_in_a_request_to_rival_does_nothing_to_acme(
    world, acme, rival, method, path, body, status, headers
):
    begin_connect(acme, acme.owner, "the owner's session", state=STATE)
    visit = world.visit(STRANGER, side=rival, headers=headers)
    visit.body = body(visit)
    before, files = fingerprint(acme.workspace), files_of(acme)

    answer = knock(visit, path, method)

    assert answer.status_code == status
    assert fingerprint(acme.workspace) == before
    assert files_of(acme) == files
    assert crossings() == []
    shown = set(tells_of(acme, answer)) - {str(one).lower() for one in visit.body.values()}
    assert shown == set()


def files_of(side: Side) -> dict[str, bytes]:
    """The stored files of one workspace, by name."""
    pk = str(side.workspace.pk)
    return {
        str(one): one.read_bytes()
        for one in Path(media_root()).rglob("*")
        if pk in str(one) and one.is_file()
    }


@pytest.mark.parametrize("email", ["bystander@acme.example.com", "invited@acme.example.com"])
def test_invitation_of_somebody_from_acme_is_answered_as_that_of_anybody(world, acme, rival, email):
    visit = world.visit(STRANGER, side=rival)
    visit.body = {"email": email, "role": "editor"}
    before = fingerprint(acme.workspace)

    answer = knock(visit, "/w/rival/members/invite/", "post")

    assert answer.status_code == 302
    assert Invitation.objects.filter(workspace=rival.workspace, email=email).exists()
    assert fingerprint(acme.workspace) == before


def test_workspace_that_a_session_remembers_opens_to_members_only(world, acme):
    visit = world.visit(STRANGER)
    session = visit.client.session
    session[workspaces.SESSION_KEY] = str(acme.workspace.pk)
    session.save()

    home, profile = knock(visit, "/", "get"), knock(visit, "/profile/", "get")

    assert home["Location"] == "/w/rival/posts/"
    assert tells_of(acme, profile) == []


def test_address_for_the_platform_leads_to_the_media_of_its_own_delivery_only(world, acme, rival):
    pulled = acme.pulled
    stamp = round(pulled.pull_requested_at.timestamp() * 1_000_000)
    mixed = signing.dumps([str(pulled.pk), str(rival.photo.pk), stamp], salt="publishing.pull")

    assert knock(world.visit("anonymous"), f"/media/pull/{mixed}/file.jpg", "get").status_code == 404


# --- Behind the doors: the use cases themselves -----------------------------------------------------------------------


def mallory(world) -> Membership:
    return world.rival.members[OWNER]


USE_CASES = {
    "change_role": lambda w: workspaces.change_role(
        actor=mallory(w), membership_id=w.acme.bystander.pk, role=Role.EDITOR
    ),
    "remove_member": lambda w: workspaces.remove_member(actor=mallory(w), membership_id=w.acme.bystander.pk),
    "transfer_ownership": lambda w: workspaces.transfer_ownership(
        actor=mallory(w), membership_id=w.acme.bystander.pk
    ),
    "resend": lambda w: invitations.resend(actor=mallory(w), invitation_id=w.acme.invitation.pk),
    "revoke": lambda w: invitations.revoke(actor=mallory(w), invitation_id=w.acme.invitation.pk),
}


@pytest.mark.parametrize("name", USE_CASES)
def test_use_case_does_not_find_the_row_of_another_workspace(world, both, name):
    before = fingerprint()

    with pytest.raises((Membership.DoesNotExist, Invitation.DoesNotExist)), transaction.atomic():
        USE_CASES[name](world)

    assert fingerprint() == before


def send_video(world, **changes):
    rival = world.rival
    values = {"video": rival.video, "connection": rival.connection} | changes
    return services.create_post(
        workspace=rival.workspace, user=rival.owner, caption="", mode="direct", options={}, **values
    )


def send_photos(world, **changes):
    rival = world.rival
    values = {"photos": [rival.kept_photo], "connection": rival.connection} | changes
    return services.create_photo_post(
        workspace=rival.workspace, user=rival.owner, title="", caption="", mode="direct", options={}, **values
    )


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(lambda w: send_video(w, video=w.acme.kept_video), id="video"),
        pytest.param(lambda w: send_video(w, connection=w.acme.connection), id="connection"),
        pytest.param(lambda w: send_photos(w, photos=[w.acme.kept_photo]), id="photo"),
        pytest.param(lambda w: send_photos(w, connection=w.acme.connection), id="connection for photos"),
    ],
)
def test_post_is_not_made_of_what_belongs_to_two_workspaces(world, send):
    before = fingerprint()

    with pytest.raises(ValueError, match="must share a workspace"):
        send(world)

    assert fingerprint() == before


def test_lookups_of_the_posting_pages_find_nothing_of_others(world, acme, rival):
    own, foreign = rival.workspace, kept_for(rival, acme.kept_photo)

    assert find_kept_video(kept_for(rival, acme.kept_video), workspace=own) is None
    assert find_kept_photos([foreign], workspace=own) == []
    assert composing.choose_connection(own, str(acme.connection.pk)) == rival.connection


def test_mark_read_leaves_the_notices_of_the_persons_other_workspaces_unread(world, acme, both):
    before = fingerprint(acme.workspace)

    marked = notices.mark_read(mallory(world))
    one_more = notices.mark_read(mallory(world), acme.notices["guest"].pk)

    assert (marked, one_more) == (1, 0)
    assert fingerprint(acme.workspace) == before


def test_last_owner_cannot_leave_though_other_workspaces_have_one(world, rival):
    with pytest.raises(workspaces.LastOwnerError), transaction.atomic():
        workspaces.remove_member(actor=mallory(world), membership_id=mallory(world).pk)


def test_who_leaves_one_workspace_keeps_the_invitations_sent_from_another(world, acme, rival, both):
    Membership.objects.filter(pk=rival.bystander.pk).update(role=Role.OWNER)
    before = fingerprint(acme.workspace)

    workspaces.remove_member(actor=mallory(world), membership_id=mallory(world).pk)

    assert fingerprint(acme.workspace) == before


def test_removal_of_one_workspace_takes_nothing_from_another(world, acme, rival):
    past = timezone.now() - removal.GRACE
    Delivery.objects.filter(pk=rival.pulled.pk).update(state=DeliveryState.PUBLISHED)  # none is on its way
    Workspace.objects.filter(pk=rival.workspace.pk).update(delete_after=past)
    before, files = fingerprint(acme.workspace), files_of(acme)

    removal.remove_due()

    assert fingerprint(acme.workspace) == before
    assert files_of(acme) == files
    assert not Post.objects.filter(workspace=rival.workspace).exists()


def test_reconnecting_one_workspaces_account_wakes_no_post_of_another(world, acme, rival):
    held = {"state": DeliveryState.HELD, "hold_reason": HoldReason.RECONNECT, "held_from": "scheduled"}
    Delivery.objects.filter(workspace__in=[acme.workspace, rival.workspace]).update(**held)
    before = fingerprint(acme.workspace)

    services.resume_held(rival.connection)
    services.hold_open(rival.connection)

    assert fingerprint(acme.workspace) == before


def test_export_of_one_workspace_holds_nothing_of_another(world, acme, rival):
    export = exports.request_workspace_export(actor=mallory(world))

    exports.build_due()

    export.refresh_from_db()
    with zipfile.ZipFile(Path(media_root()) / export.file_name) as archive:
        words = (
            b"\n".join(archive.read(name) for name in archive.namelist()).decode("utf-8", "replace").lower()
        )
        names = " ".join(archive.namelist())
    assert "rival goes out" in words
    assert [one for one in {acme.slug, *acme.ids()} if one in words + names] == []


def test_net_is_out_of_the_way_in_the_second_run_only(request, world, acme, rival):
    with workspace_scope(rival.workspace.pk):
        found = Post.objects.filter(workspace=acme.workspace).exists()

    assert found == ("without" in request.node.callspec.id)
