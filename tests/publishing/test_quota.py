"""A workspace's room: taken before bytes are received, counted without races, freed when files go."""

from __future__ import annotations

import io
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import RequestFactory
from django.utils import timezone

from accounts import scopes
from connections.providers import provider_for
from publishing import photos, quota, videos
from publishing.models import Photo, StorageReservation, Video, WorkspaceQuota
from publishing.photo_uploads import PhotoUploadHandler
from publishing.receiving import ReceivedFile, RefusedFile, receive_stream
from publishing.refusals import VideoRefusedError
from publishing.scannable import ScanState
from publishing.uploads import FORM_OVERHEAD_BYTES, VideoUploadHandler
from tests.publishing.films import film
from tests.publishing.pictures import picture

pytestmark = pytest.mark.django_db
MB = 1_000_000
SETTINGS = "/w/acme/settings/"


@pytest.fixture
def ten_mb(settings):
    """Ten megabytes for each workspace."""
    settings.WORKSPACE_QUOTA_BYTES = 10 * MB


def keep(workspace, total_bytes, **fields):
    """A row of that size, without its file."""
    return Video.objects.create(workspace=workspace, total_bytes=total_bytes, file="videos/x.mp4", **fields)


def store(workspace, content=None):
    received = receive_stream(io.BytesIO(content or film()), name="clip.mp4")
    return videos.store_video(
        workspace=workspace, user=None, received=received, provider=provider_for("tiktok")
    )


def upload(workspace, announced, content=None, handler_class=VideoUploadHandler, field="video"):
    """Go through a form of `announced` bytes whose one file is `content`; give the handler's result."""
    extra = {"provider": provider_for("tiktok")} if handler_class is PhotoUploadHandler else {}
    handler = handler_class(RequestFactory().post("/"), workspace=workspace, **extra)
    handler.handle_raw_input(None, {}, announced, b"")
    handler.new_file(field, "clip.mp4", "video/mp4", None)
    for start in range(0, len(content or b""), 65536):
        handler.receive_data_chunk(content[start : start + 65536], start)
    file = handler.file_complete(len(content or b""))
    handler.upload_complete()
    return file


def incoming():
    folder = Path(configured.MEDIA_ROOT) / "incoming"
    return list(folder.iterdir()) if folder.is_dir() else []


# --- Counting ---------------------------------------------------------------------------------------------------------


def test_usage_is_what_the_workspace_keeps_and_its_uploads_under_way(acme, rival, ten_mb):
    keep(acme, 3 * MB)
    keep(rival, 9 * MB)
    Photo.objects.create(workspace=acme, total_bytes=1 * MB, width=1, height=1, file="photos/x.jpg")
    quota.reserve(acme, 2 * MB)

    usage = quota.read_usage(acme)

    assert (usage.used_bytes, usage.reserved_bytes, usage.allowed_bytes) == (4 * MB, 2 * MB, 10 * MB)
    assert (usage.left_bytes, usage.percent, usage.is_nearly_full) == (4 * MB, 60, False)


def test_an_infected_file_is_gone_and_counts_no_more(acme, ten_mb):
    keep(acme, 9 * MB, scan_state=ScanState.INFECTED)

    assert quota.read_usage(acme).used_bytes == 0


def test_a_source_removed_after_publishing_counts_no_more(acme, ten_mb):
    keep(acme, 9 * MB)
    assert quota.read_usage(acme).used_bytes == 9 * MB

    Video.objects.update(file="", source_removed_at=timezone.now())

    assert quota.read_usage(acme).used_bytes == 0


def test_without_a_quota_nothing_is_reserved(acme, settings):
    assert settings.WORKSPACE_QUOTA_BYTES == 0

    assert quota.reserve(acme, 10**15) is None
    assert not StorageReservation.objects.exists()
    assert (quota.read_usage(acme).is_limited, quota.read_usage(acme).percent) == (False, 0)


@pytest.mark.parametrize(
    ("general", "own", "allowed"),
    [(0, None, 0), (10, None, 10), (10, 50, 50), (10, 5, 5), (10, 0, 0), (0, 7, 7)],
)
def test_the_workspaces_own_quota_wins_over_the_general_one(acme, settings, general, own, allowed):
    settings.WORKSPACE_QUOTA_BYTES = general
    if own is not None:
        WorkspaceQuota.objects.create(workspace=acme, allowed_bytes=own)

    assert quota.allowed_bytes(acme) == allowed


@pytest.mark.parametrize(("wanted", "fits"), [(7 * MB, True), (7 * MB + 1, False)])
def test_the_last_byte_fits_and_one_more_does_not(acme, ten_mb, wanted, fits):
    keep(acme, 3 * MB)

    if fits:
        assert quota.reserve(acme, wanted) is not None
    else:
        with pytest.raises(VideoRefusedError, match="keeps 3 MB of the 10 MB"):
            quota.reserve(acme, wanted)
    assert StorageReservation.objects.count() == int(fits)


def test_a_reservation_that_nobody_renews_is_forgotten(acme, ten_mb):
    quota.reserve(acme, 10 * MB)
    StorageReservation.objects.update(renewed_at=timezone.now() - quota.LIFE - timedelta(seconds=1))

    assert quota.reserve(acme, 10 * MB) is not None
    assert quota.forget_dead_reservations() == 1


def test_a_reservation_is_renewed_while_bytes_arrive(acme, ten_mb, monkeypatch):
    monkeypatch.setattr(quota, "RENEW_SECONDS", 0.0)
    reservation = quota.reserve(acme, MB)
    StorageReservation.objects.update(renewed_at=timezone.now() - timedelta(minutes=20))

    reservation.renew()

    assert StorageReservation.objects.get().renewed_at > timezone.now() - timedelta(minutes=1)


@pytest.mark.django_db(transaction=True)
def test_of_many_uploads_at_once_no_more_are_admitted_than_fit(acme, settings):
    settings.WORKSPACE_QUOTA_BYTES = 5 * MB
    start, admitted = threading.Barrier(12), []

    def race():
        start.wait(20)
        try:
            admitted.append(quota.reserve(acme, MB))
        except VideoRefusedError:
            return
        finally:
            connection.close()

    threads = [threading.Thread(target=race) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(admitted) == 5
    assert quota.read_usage(acme).left_bytes == 0


# --- The form ---------------------------------------------------------------------------------------------------------


def test_a_form_that_announces_too_much_is_refused_before_a_byte_is_stored(acme, ten_mb):
    refused = upload(acme, 11 * MB + FORM_OVERHEAD_BYTES, bytes(3 * MB))

    assert isinstance(refused, RefusedFile)
    assert refused.refusal.code == "quota"
    assert "keeps 0 MB of the 10 MB" in refused.refusal.message
    assert incoming() == []
    assert not StorageReservation.objects.exists()


def test_room_is_held_while_the_bytes_arrive_and_given_back_when_the_browser_goes(acme, ten_mb):
    handler = VideoUploadHandler(RequestFactory().post("/"), workspace=acme)
    handler.handle_raw_input(None, {}, 8 * MB + FORM_OVERHEAD_BYTES, b"")
    handler.new_file("video", "clip.mp4", "video/mp4", None)
    handler.receive_data_chunk(bytes(1000), 0)

    assert quota.read_usage(acme).reserved_bytes == 8 * MB
    with pytest.raises(VideoRefusedError):
        quota.reserve(acme, 3 * MB)
    handler.upload_interrupted()

    assert quota.read_usage(acme).reserved_bytes == 0


def test_the_exact_size_counts_once_the_file_is_here(acme, ten_mb):
    received = upload(acme, 2 * MB, bytes(1_500_000))

    assert isinstance(received, ReceivedFile)
    assert quota.read_usage(acme).reserved_bytes == 1_500_000
    received.close()
    assert quota.read_usage(acme).reserved_bytes == 0


def test_a_small_file_that_does_not_fit_exactly_is_refused_and_leaves_nothing(acme, ten_mb):
    keep(acme, 10 * MB - 100)

    refused = upload(acme, 5000, bytes(101))

    assert isinstance(refused, RefusedFile)
    assert refused.refusal.code == "quota"
    assert incoming() == []
    assert not StorageReservation.objects.exists()


def test_a_file_that_takes_all_the_room_is_not_counted_twice_on_its_way(acme, settings):
    settings.WORKSPACE_QUOTA_BYTES = 3 * MB

    received = upload(acme, 3 * MB + 400, bytes(3 * MB))

    assert isinstance(received, ReceivedFile)
    received.close()


def test_each_photo_of_a_form_takes_its_own_room(acme, settings):
    size = len(picture())
    settings.WORKSPACE_QUOTA_BYTES = size * 2 - 1
    handler = PhotoUploadHandler(RequestFactory().post("/"), workspace=acme, provider=provider_for("tiktok"))
    handler.handle_raw_input(None, {}, 2 * size, b"")
    files = []
    for _ in range(2):
        handler.new_file("photos", "one.jpg", "image/jpeg", None)
        handler.receive_data_chunk(picture(), 0)
        files.append(handler.file_complete(size))
    handler.upload_complete()

    assert [type(one) for one in files] == [ReceivedFile, RefusedFile]
    files[0].close()


# --- Storing ----------------------------------------------------------------------------------------------------------


def test_storing_turns_the_reservation_into_the_video(acme, ten_mb):
    video = store(acme)

    usage = quota.read_usage(acme)
    assert (usage.used_bytes, usage.reserved_bytes) == (video.total_bytes, 0)


def test_a_stored_video_is_never_counted_twice(acme, ten_mb, monkeypatch):
    seen = []
    close = ReceivedFile.close

    def look_and_close(received):
        seen.append(quota.read_usage(acme))
        close(received)

    monkeypatch.setattr(ReceivedFile, "close", look_and_close)
    store(acme)

    assert {usage.reserved_bytes for usage in seen} == {0}


def test_a_reservation_is_given_back_whatever_scope_its_file_is_closed_in(acme, ten_mb):
    reservation = quota.reserve(acme, MB)

    with scopes.entered(scopes.NOTHING):
        reservation.release()

    assert not StorageReservation.objects.exists()


@pytest.mark.parametrize("content", [film(), b"no film at all " * 99], ids=["a film", "no film"])
def test_a_video_that_does_not_fit_or_is_refused_leaves_no_reservation(acme, settings, content):
    settings.WORKSPACE_QUOTA_BYTES = len(film()) - 1

    with pytest.raises(VideoRefusedError):
        store(acme, content)

    assert not Video.objects.exists()
    assert not StorageReservation.objects.exists()
    assert incoming() == []


def test_a_photo_that_does_not_fit_is_refused(acme, settings):
    settings.WORKSPACE_QUOTA_BYTES = len(picture()) - 1
    received = receive_stream(io.BytesIO(picture()), name="one.jpg")

    with pytest.raises(VideoRefusedError) as refusal:
        photos.store_photo(workspace=acme, user=None, received=received, provider=provider_for("tiktok"))

    assert refusal.value.code == "quota"


def test_deleting_a_video_frees_its_room(acme, settings):
    settings.WORKSPACE_QUOTA_BYTES = len(film())
    videos.delete_unused_video(store(acme))

    assert store(acme).pk


# --- Pages ------------------------------------------------------------------------------------------------------------


def test_the_posting_page_says_how_much_is_used_and_allowed(client, acme, erin, make_connection, ten_mb):
    keep(acme, 10 * MB)
    connection_ = make_connection(acme, status="needs_reauth")
    client.force_login(erin)
    form = {"connection": str(connection_.pk), "intent": "add"}

    page = client.post("/w/acme/posts/new/", form | {"video": SimpleUploadedFile("clip.mp4", film())})

    assert page.status_code == 422
    assert "This workspace keeps 10 MB of the 10 MB that it may" in page.content.decode()
    assert 'data-room-bytes="0"' in page.content.decode()


def test_the_settings_page_shows_a_bar(client, acme, alice, ten_mb):
    keep(acme, 9_500_000)
    client.force_login(alice)

    page = client.get(SETTINGS).content.decode()

    assert "9.5 MB of 10.0 MB" in page
    assert 'value="95" max="100"' in page
    assert "Nearly full" in page


def test_the_settings_page_without_a_quota_shows_what_is_kept(client, acme, alice):
    keep(acme, 9_500_000)
    client.force_login(alice)

    page = client.get(SETTINGS).content.decode()

    assert "9.5 MB" in page
    assert "There is no limit." in page


def test_an_operator_sets_a_workspaces_own_quota_in_the_admin(admin_client, acme, ten_mb):
    answer = admin_client.post(
        "/admin/publishing/workspacequota/add/", {"workspace": str(acme.pk), "allowed_bytes": str(50 * MB)}
    )

    assert answer.status_code == 302
    assert quota.allowed_bytes(acme) == 50 * MB
    assert "50 MB" in admin_client.get("/admin/publishing/workspacequota/").content.decode()
