"""Exports of a person's and a workspace's data: what is in them, who gets them, and what happens when it goes wrong."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import zipfile
from collections import namedtuple
from datetime import timedelta
from pathlib import Path

import pytest
from django.core import mail
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.urls import reverse
from django.utils import timezone

from accounts import exports
from accounts.export_archive import Archive
from accounts.export_parts import Media, Table
from accounts.models import (
    AuditEvent,
    ExportState,
    Membership,
    Notice,
    PersonExport,
    Role,
    WorkspaceExport,
)
from accounts.notice_emails import send_due
from connections.crypto import seal
from publishing.models import Photo
from tests.publishing.processes import eventually, worker

pytestmark = pytest.mark.django_db

SECRETS = (
    "act.",
    "rft.",
    "access_token",
    "refresh_token",
    "upload_url",
    "password",
    "session_key",
    "token_hash",
)
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def member_of(acme, alice):
    """Alice's membership of acme."""
    return Membership.objects.get(workspace=acme, user=alice)


@pytest.fixture
def made(member_of):
    """Return a maker of ready exports of acme."""

    def make() -> WorkspaceExport:
        export = exports.request_workspace_export(actor=member_of)
        exports.build_due()
        export.refresh_from_db()
        return export

    return make


@pytest.fixture
def browser(client, alice):
    """Alice's browser."""
    client.force_login(alice)
    return client


def archive_of(export) -> zipfile.ZipFile:
    """The finished file."""
    with default_storage.open(export.file_name, "rb") as file:
        return zipfile.ZipFile(io.BytesIO(file.read()))


def read(archive: zipfile.ZipFile, name: str):
    """One JSON file of an archive."""
    return json.loads(archive.read(name))


def stored() -> list[str]:
    """The files of exports."""
    try:
        return default_storage.listdir("exports")[1]
    except FileNotFoundError:
        return []


def give_photo(workspace) -> Photo:
    """A stored photo that no post has yet."""
    photo = Photo(
        workspace=workspace,
        original_name="p.jpg",
        content_type="image/jpeg",
        total_bytes=5,
        width=1,
        height=1,
    )
    photo.file.save("p.jpg", ContentFile(b"photo"), save=True)
    return photo


# --- What is in it ----------------------------------------------------------------------------------------------------


def test_a_workspace_export_holds_its_rows_and_its_files(acme, erin, make_delivery, made):
    delivery = make_delivery(acme, caption="Grüße 👋")
    video = delivery.post.video
    video.poster.save("poster.jpg", ContentFile(b"poster"), save=True)
    photo = give_photo(acme)
    delivery.connection.avatar.save("face.jpg", ContentFile(b"face"), save=True)

    archive = archive_of(made())

    assert archive.testzip() is None
    assert read(archive, "workspace.json")["name"] == "Acme"
    assert {row["user__email"] for row in read(archive, "members.json")} == {
        "alice@example.com",
        "erin@example.com",
    }
    assert read(archive, "posts.json")[0]["caption"] == "Grüße 👋"
    assert read(archive, "deliveries.json")[0]["id"] == str(delivery.pk)
    with default_storage.open(video.file.name) as file:
        assert archive.read(f"media/videos/{video.pk}.mp4") == file.read()
    assert archive.read(f"media/posters/{video.pk}.jpg") == b"poster"
    assert archive.read(f"media/photos/{photo.pk}.jpg") == b"photo"
    assert archive.read(f"media/avatars/{delivery.connection_id}.jpg") == b"face"
    manifest = read(archive, "manifest.json")
    assert (manifest["schema"], manifest["kind"], manifest["missing_files"]) == (1, "workspace", [])
    assert manifest["rows"]["posts.json"] == 1


def test_an_export_holds_no_secret(acme, make_delivery, made, alice):
    delivery = make_delivery(acme)
    delivery.upload_url = seal(delivery, "upload_url", "https://upload.example/secret")
    delivery.save()

    for archive in (archive_of(made()), archive_of(_person_export(alice))):
        for name in archive.namelist():
            text = archive.read(name).decode(errors="replace") if name.endswith(".json") else ""
            assert [word for word in SECRETS if word in text] == [], name


def _person_export(user) -> PersonExport:
    export = exports.request_person_export(user=user)
    exports.build_due()
    export.refresh_from_db()
    return export


def test_times_are_utc_and_media_are_stored_as_they_are(acme, make_delivery, made):
    make_delivery(acme)

    archive = archive_of(made())

    assert read(archive, "posts.json")[0]["created_at"].endswith("Z")
    methods = {info.filename.split("/")[0]: info.compress_type for info in archive.infolist()}
    assert (methods["media"], methods["posts.json"]) == (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def test_a_workspace_export_holds_nothing_of_another_workspace(acme, rival, make_delivery, made):
    make_delivery(rival, caption="theirs")

    archive = archive_of(made())

    assert (
        read(archive, "posts.json") == read(archive, "videos.json") == read(archive, "connections.json") == []
    )
    assert not [name for name in archive.namelist() if name.startswith("media/")]


def test_a_persons_export_holds_only_what_they_brought_in(acme, alice, erin, make_delivery, make_video):
    theirs = make_delivery(acme, caption="of alice")
    mine = make_delivery(acme, caption="of erin", video=make_video(acme, uploaded_by=erin))
    type(mine.post).objects.filter(pk=mine.post_id).update(created_by=erin)

    archive = archive_of(_person_export(erin))

    assert read(archive, "person.json")["email"] == "erin@example.com"
    assert [row["caption"] for row in read(archive, "workspaces/acme/posts.json")] == ["of erin"]
    names = archive.namelist()
    assert f"workspaces/acme/media/videos/{mine.post.video_id}.mp4" in names
    assert f"workspaces/acme/media/videos/{theirs.post.video_id}.mp4" not in names
    assert "members.json" not in names


def test_a_persons_export_tells_their_own_addresses_and_not_those_of_others(acme, alice, erin):
    for actor in (alice, erin):
        AuditEvent.objects.create(
            workspace_id=acme.pk,
            actor_id=actor.pk,
            action="member.role_changed",
            ip=f"198.51.100.{1 + (actor == erin)}",
            details={"user": str(erin.pk)},
        )

    rows = read(archive_of(_person_export(erin)), "audit.json")

    places = {row["actor_id"]: row["ip"] for row in rows if row["action"] == "member.role_changed"}
    assert places == {str(alice.pk): None, str(erin.pk): "198.51.100.2"}


def test_the_shape_is_the_documented_one(acme, alice, member_of, monkeypatch):
    text = (Path(__file__).resolve().parents[2] / "docs/personal-data.md").read_text()
    rows = re.findall(r"^\| `(\w+)`[^|]*\| (workspace|person|both) \| ([^|]+) \|$", text, re.MULTILINE)
    documented = {
        (one, name): set(re.findall(r"`(\w+)`", fields))
        for name, kind, fields in rows
        for one in (("workspace", "person") if kind == "both" else (kind,))
    }
    found: dict[tuple[str, str], set[str]] = {}
    for kind, export in (
        ("workspace", exports.request_workspace_export(actor=member_of)),
        ("person", exports.request_person_export(user=alice)),
    ):
        for name, fields in _fields_of(export, monkeypatch).items():
            found[kind, name] = fields

    assert found == documented


def _fields_of(export, monkeypatch) -> dict[str, set[str]]:
    """The fields of each JSON file of an export but the id that all have, whether or not there are rows."""
    fields: dict[str, set[str]] = {}

    def table(name, rows, *columns):
        fields[name] = set(columns)
        return Table(name, [])

    with monkeypatch.context() as patch:
        for module in ("accounts.export_contents", "connections.exporting", "publishing.exporting"):
            patch.setattr(f"{module}.table", table)
        written = io.BytesIO()
        with Archive(written, at=timezone.now(), beat=lambda _: None) as archive:
            exports.write_contents(export, archive)
    with zipfile.ZipFile(written) as whole:
        for name in ("workspace", "person"):
            if f"{name}.json" in whole.namelist():
                fields[name] = set(read(whole, f"{name}.json")) - {"id"}
    return fields


def test_a_file_that_is_gone_or_short_is_named_and_the_rest_goes_on(acme, make_video, made):
    gone, short, whole = (make_video(acme) for _ in range(3))
    default_storage.delete(gone.file.name)
    Path(short.file.path).write_bytes(b"not all of it")

    archive = archive_of(made())

    assert set(read(archive, "manifest.json")["missing_files"]) == {
        f"media/videos/{gone.pk}.mp4",
        f"media/videos/{short.pk}.mp4",
    }
    assert f"media/videos/{whole.pk}.mp4" in archive.namelist()


def test_an_archive_beyond_four_gigabytes_can_be_read(tmp_path):
    size = 4 * 1024**3 + 10
    block = memoryview(bytes(16 * 1024**2))

    def blocks():
        left = size
        while left:
            yield block[: min(left, len(block))]
            left -= min(left, len(block))

    class Holes(io.FileIO):
        """A file that makes holes of zeros, so that nobody has to write them."""

        def write(self, data):
            if len(data) == len(block):
                self.seek(len(data), os.SEEK_CUR)
                return len(data)
            return super().write(data)

    with Holes(tmp_path / "large.zip", "w+") as file:
        with Archive(file, at=timezone.now(), beat=lambda _: None) as archive:
            archive.add([Media("media/large.mp4", size, blocks), Table("after", iter([{"id": 1}]))])
        with zipfile.ZipFile(file) as whole:
            assert whole.getinfo("media/large.mp4").file_size == size
            assert read(whole, "after.json") == [{"id": 1}]


def test_an_archive_needs_no_way_back_in_its_file():
    written = bytearray()

    class Onward:
        def write(self, data):
            written.extend(data)
            return len(data)

        def flush(self):
            pass

    with Archive(Onward(), at=timezone.now(), beat=lambda _: None) as archive:
        archive.add([Media("media/a.jpg", 3, lambda: iter([b"abc"])), Table("rows", [{"id": 1}])])

    with zipfile.ZipFile(io.BytesIO(bytes(written))) as whole:
        assert (whole.read("media/a.jpg"), read(whole, "rows.json")) == (b"abc", [{"id": 1}])


# --- How it is made ---------------------------------------------------------------------------------------------------


def test_whoever_asked_is_told_on_the_site_and_by_email(acme, alice, made, settings):
    made()
    send_due()

    notice = Notice.objects.get(user=alice)
    assert (notice.kind, notice.title) == ("export", "The export of Acme is ready")
    assert notice.path == "/w/acme/settings/data/"
    assert [message.subject for message in mail.outbox] == ["The export of Acme is ready"]


def test_somebody_without_a_workspace_gets_the_email_alone(
    django_user_model, django_capture_on_commit_callbacks
):
    loner = django_user_model.objects.create_user("loner@example.com", "x", name="Loner")
    exports.request_person_export(user=loner)

    with django_capture_on_commit_callbacks(execute=True):
        exports.build_due()

    assert not Notice.objects.exists()
    assert mail.outbox[0].to == ["loner@example.com"]
    assert "/profile/data/" in mail.outbox[0].body


def test_the_log_tells_who_asked_and_that_it_was_made(acme, alice, made):
    export = made()

    events = AuditEvent.objects.filter(workspace_id=acme.pk, action__startswith="workspace.export")
    assert [(event.action, event.actor_id) for event in events.order_by("pk")] == [
        ("workspace.export_requested", alice.pk),
        ("workspace.exported", alice.pk),
    ]
    assert events[0].details == {"export": str(export.pk)}


def test_only_one_export_is_made_at_a_time(member_of):
    exports.request_workspace_export(actor=member_of)

    with pytest.raises(exports.ExportError, match="already"):
        exports.request_workspace_export(actor=member_of)

    assert WorkspaceExport.objects.count() == 1


def test_a_new_export_takes_the_place_of_the_old_one(made):
    first, second = made(), made()

    first.refresh_from_db()
    assert (first.state, second.state) == (ExportState.EXPIRED, ExportState.READY)
    assert stored() == [second.file_name.split("/")[1]]


def test_so_many_exports_are_made_at_once_and_no_more(member_of, django_user_model):
    for number in range(exports.SLOTS):
        user = django_user_model.objects.create_user(f"u{number}@example.com")
        PersonExport.objects.create(
            user=user, state=ExportState.BUILDING, lease_until=timezone.now() + timedelta(minutes=1)
        )
    waiting = exports.request_workspace_export(actor=member_of)

    assert exports.build_due() == "none"

    waiting.refresh_from_db()
    assert waiting.state == ExportState.WAITING


def test_an_export_whose_worker_died_is_begun_again_with_a_file_of_its_own(acme, member_of, make_video):
    make_video(acme)
    export = exports.request_workspace_export(actor=member_of)
    dead = exports._claim()
    default_storage.save(dead.file_name, ContentFile(b"half"))
    assert exports.build_due() == "none"  # its lease holds still
    WorkspaceExport.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

    assert exports.build_due() == "ready"

    export.refresh_from_db()
    assert (export.state, export.tries) == (ExportState.READY, 2)
    assert stored() == [export.file_name.split("/")[1]]
    assert export.file_name != dead.file_name


def test_a_worker_that_froze_cannot_disturb_its_successor(acme, member_of, make_video, monkeypatch):
    make_video(acme)
    export = exports.request_workspace_export(actor=member_of)
    frozen = exports._claim()
    WorkspaceExport.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    exports.build_due()

    assert exports._build(frozen) == "lost"

    export.refresh_from_db()
    assert export.state == ExportState.READY
    assert stored() == [export.file_name.split("/")[1]]


def test_a_worker_notices_in_the_middle_that_its_export_is_gone(acme, member_of, make_video, monkeypatch):
    make_video(acme)
    monkeypatch.setattr(exports, "BEAT_S", 0.0)
    exports.request_workspace_export(actor=member_of)
    claimed = exports._claim()
    real = exports.write_contents

    def vanish(export, archive):
        WorkspaceExport.objects.all().delete()
        real(export, archive)

    monkeypatch.setattr(exports, "write_contents", vanish)

    assert exports._build(claimed) == "lost"
    assert stored() == []


def test_an_export_that_waits_can_be_canceled_on_its_page(acme, alice, browser):
    page = reverse("workspace_data", args=["acme"])
    browser.post(page)
    assert "Cancel the export" in browser.get(page).content.decode()

    answer = browser.post(reverse("workspace_export_cancel", args=["acme"]), follow=True)

    assert "The export is canceled" in answer.content.decode()
    assert "Make an export" in answer.content.decode()
    assert exports.build_due() == "none"
    assert stored() == []


def test_canceling_in_the_middle_ends_the_worker_and_leaves_no_file(
    alice, acme, make_video, monkeypatch, django_capture_on_commit_callbacks
):
    make_video(acme)
    monkeypatch.setattr(exports, "BEAT_S", 0.0)
    exports.request_person_export(user=alice)
    claimed = exports._claim()
    real = exports.write_contents

    def cancel(export, archive):
        assert len(stored()) == 1
        with django_capture_on_commit_callbacks(execute=True):
            assert exports.cancel_person_export(user=alice)
        assert stored() == []
        with pytest.raises(exports.LostLeaseError):  # at the first look, not at the end
            real(export, archive)
        raise exports.LostLeaseError

    monkeypatch.setattr(exports, "write_contents", cancel)

    assert exports._build(claimed) == "lost"
    assert stored() == []
    assert not PersonExport.objects.exists()


def test_canceling_what_has_ended_keeps_it_and_says_so(acme, browser, made):
    export = made()

    answer = browser.post(reverse("workspace_export_cancel", args=["acme"]), follow=True)

    assert "no export to cancel" in answer.content.decode()
    export.refresh_from_db()
    assert export.state == ExportState.READY
    assert len(stored()) == 1


def test_progress_is_told_while_it_is_made(acme, member_of, make_video, monkeypatch):
    video = make_video(acme)
    monkeypatch.setattr(exports, "BEAT_S", 0.0)
    seen = []
    real = exports._held

    def held(export):
        seen.append(tuple(WorkspaceExport.objects.values_list("done_bytes", "total_bytes").get()))
        return real(export)

    monkeypatch.setattr(exports, "_held", held)
    exports.request_workspace_export(actor=member_of)
    exports.build_due()

    assert (video.total_bytes, video.total_bytes) in seen


def test_an_export_that_fails_waits_and_is_tried_again(acme, member_of, make_video, monkeypatch):
    make_video(acme)
    export = exports.request_workspace_export(actor=member_of)
    with monkeypatch.context() as patch:
        patch.setattr(exports, "write_contents", _raise(OSError(errno.EIO, "the disk stutters")))
        assert exports.build_due() == "again"
    export.refresh_from_db()
    assert (export.state, stored()) == (ExportState.WAITING, [])
    assert exports.build_due() == "none"  # it waits a while first
    WorkspaceExport.objects.update(wake_at=timezone.now())

    assert exports.build_due() == "ready"


def _raise(error):
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_an_export_that_fails_too_often_is_given_up_and_told(acme, alice, member_of, monkeypatch):
    export = exports.request_workspace_export(actor=member_of)
    monkeypatch.setattr(exports, "write_contents", _raise(ValueError("a bug")))

    outcomes = []
    for _ in range(exports.MAX_TRIES + 1):
        outcomes.append(exports.build_due())
        WorkspaceExport.objects.update(wake_at=timezone.now())

    export.refresh_from_db()
    assert outcomes == ["again"] * exports.MAX_TRIES + ["none"]
    assert (export.state, stored()) == (ExportState.FAILED, [])
    assert Notice.objects.get(user=alice).title == "The export of Acme could not be made"


def test_a_full_disk_ends_the_export_in_words_and_leaves_nothing(acme, alice, member_of, monkeypatch):
    export = exports.request_workspace_export(actor=member_of)
    monkeypatch.setattr(exports, "write_contents", _raise(OSError(errno.ENOSPC, "No space left on device")))

    assert exports.build_due() == "no room"

    export.refresh_from_db()
    assert (export.state, stored()) == (ExportState.FAILED, [])
    assert "no room" in export.problem


def test_an_export_that_would_fill_the_disk_is_not_begun(acme, member_of, make_video, monkeypatch):
    make_video(acme)
    exports.request_workspace_export(actor=member_of)
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(10**12, 10**12, exports.RESERVED_BYTES + 100))

    assert exports.build_due() == "no room"
    assert stored() == []


def test_a_handler_that_fails_fails_the_export_and_not_only_its_part(acme, member_of, monkeypatch):
    exports.request_workspace_export(actor=member_of)
    monkeypatch.setattr("publishing.exporting.table", _raise(RuntimeError("no rows today")))

    assert exports.build_due() == "again"


@pytest.mark.django_db(transaction=True)
@pytest.mark.stack
@pytest.mark.timeout(120)
def test_kill_9_in_the_middle_of_a_film_and_another_worker_makes_the_export(
    acme, alice, make_video, process_env, tmp_path
):
    video = make_video(acme)
    content = Path(video.file.path).read_bytes()
    Path(video.file.path).unlink()
    os.mkfifo(video.file.path)  # reading it stops the worker in the middle of the film
    member = Membership.objects.get(user=alice)
    export = WorkspaceExport.objects.create(workspace=acme, requested_by=member.user)
    from accounts.tasks import build_exports

    with worker(process_env, tmp_path) as first:
        build_exports.delay()
        eventually(lambda: bool(stored()), what="the file begun")
        first.kill()
    Path(video.file.path).unlink()
    Path(video.file.path).write_bytes(content)
    WorkspaceExport.objects.update(lease_until=timezone.now())  # a minute later
    with worker(process_env, tmp_path, name="w2"):
        build_exports.delay()
        eventually(lambda: _state(export) == ExportState.READY, what="the export ready")

    export.refresh_from_db()
    assert archive_of(export).read(f"media/videos/{video.pk}.mp4") == content
    assert (export.tries, len(stored())) == (2, 1)


def _state(export) -> str:
    return type(export).objects.values_list("state", flat=True).get(pk=export.pk)


# --- Who gets it ------------------------------------------------------------------------------------------------------


def test_an_owner_downloads_it_as_a_file(browser, acme, alice, made):
    export = made()

    answer = browser.get(f"/w/acme/settings/data/{export.pk}/")

    body = b"".join(answer.streaming_content)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/zip"
    assert answer["Content-Disposition"].startswith('attachment; filename="acme-export-')
    assert answer["Cache-Control"] == "private, no-store"
    assert zipfile.ZipFile(io.BytesIO(body)).testzip() is None
    assert AuditEvent.objects.get(action="workspace.export_downloaded").actor_id == alice.pk


def test_a_broken_download_goes_on_where_it_stopped(browser, made):
    export = made()
    url = f"/w/acme/settings/data/{export.pk}/"
    whole = b"".join(browser.get(url).streaming_content)

    rest = browser.get(url, headers={"Range": "bytes=100-"})

    assert rest.status_code == 206
    assert b"".join(rest.streaming_content) == whole[100:]
    assert browser.get(url, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416
    assert AuditEvent.objects.filter(action="workspace.export_downloaded").count() == 1


@pytest.mark.parametrize(("person", "status"), [("erin", 403), ("vic", 403), ("mallory", 404)])
def test_nobody_but_an_owner_downloads_a_workspaces_export(client, request, made, person, status):
    export = made()
    client.force_login(request.getfixturevalue(person))

    assert client.get(f"/w/acme/settings/data/{export.pk}/").status_code == status
    assert client.get("/w/acme/settings/data/").status_code == status


def test_an_export_is_not_found_under_another_workspace(client, mallory, rival, made):
    export = made()
    client.force_login(mallory)

    assert client.get(f"/w/rival/settings/data/{export.pk}/").status_code == 404


def test_a_persons_export_is_for_that_person_alone(client, alice, erin):
    export = _person_export(erin)
    url = f"/profile/data/{export.pk}/"
    client.force_login(alice)
    assert client.get(url).status_code == 404
    client.force_login(erin)

    answer = client.get(url)

    assert answer.status_code == 200
    assert (
        read(zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))), "person.json")["name"] == "Erin"
    )


def test_a_visitor_is_sent_to_the_log_in(client, made):
    answer = client.get(f"/w/acme/settings/data/{made().pk}/")

    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("account_login"))


def test_somebody_who_stepped_down_does_not_get_it_any_more(browser, member_of, made):
    export = made()
    Membership.objects.filter(pk=member_of.pk).update(role=Role.ADMIN)

    assert browser.get(f"/w/acme/settings/data/{export.pk}/").status_code == 403


def test_after_a_week_it_is_neither_there_nor_on_the_disk(browser, made):
    export = made()
    WorkspaceExport.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    url = f"/w/acme/settings/data/{export.pk}/"
    assert browser.get(url).status_code == 404
    assert len(stored()) == 1

    outcome = exports.sweep()

    assert (outcome, stored()) == ("expired=1 strays=0", [])
    assert "has been deleted since" in browser.get("/w/acme/settings/data/").content.decode()


def test_an_export_whose_file_was_lost_is_not_found(browser, made):
    export = made()
    default_storage.delete(export.file_name)

    assert browser.get(f"/w/acme/settings/data/{export.pk}/").status_code == 404


def test_the_sweep_removes_files_that_no_row_names_and_leaves_the_others(made):
    export = made()
    default_storage.save("exports/stray.zip", ContentFile(b"x"))

    assert exports.sweep() == "expired=0 strays=1"
    assert stored() == [export.file_name.split("/")[1]]


# --- The pages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["/profile/data/", "/w/acme/settings/data/"])
def test_the_page_follows_an_export_from_the_wish_to_the_download(browser, url):
    assert "Make an export" in browser.get(url).content.decode()

    assert browser.post(url).status_code == 302
    queued = browser.get(url).content.decode()
    assert 'hx-trigger="every 2s"' in queued
    assert "Make a" not in queued
    part = browser.get(url, headers={"HX-Request": "true"}).content.decode()
    assert part.lstrip().startswith('<div class="stack" id="export"')
    exports.build_due()

    ready = browser.get(url, headers={"HX-Request": "true"}).content.decode()
    assert "The export is ready" in ready
    assert "hx-trigger" not in ready
    [link] = re.findall(r'class="button button-primary button-small" href="([^"]+)"', ready)
    assert browser.get(link).status_code == 200


def test_a_second_wish_is_answered_in_words(browser):
    browser.post("/profile/data/")

    answer = browser.post("/profile/data/", follow=True)

    assert "An export is being made already" in answer.content.decode()
    assert PersonExport.objects.count() == 1


def test_a_failed_export_says_why_and_offers_another(browser, member_of):
    WorkspaceExport.objects.create(
        workspace=member_of.workspace, state=ExportState.FAILED, problem="The server has no room for it."
    )

    page = browser.get("/w/acme/settings/data/").content.decode()

    assert "The server has no room for it." in page
    assert "Make a new export" in page
