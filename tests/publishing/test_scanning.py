"""What becomes of an upload by the scanner's verdict, or without one: against a real clamd."""

from __future__ import annotations

import io
import struct
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.models import AuditEvent, Notice
from config.doctor.findings import Level
from config.doctor.parts import check_scanner
from connections.providers import provider_for
from connections.providers.base import PublishMode
from publishing import engine, photos, scan_counts, scanning, tasks, videos
from publishing.models import Delivery, Photo, Video
from publishing.presentation import describe
from publishing.receiving import receive_stream
from publishing.refusals import VideoRefusedError
from publishing.scannable import ScanProblem, ScanState
from publishing.services import cancel_delivery, create_photo_post
from publishing.states import DeliveryState
from tests.publishing.clamav import MARK, drain, pretender
from tests.publishing.films import film
from tests.publishing.pictures import picture
from tests.publishing.test_engine import drive

pytestmark = pytest.mark.django_db
PUBLIC = {"privacy_level": "PUBLIC_TO_EVERYONE"}


def bad_film():
    """A whole film, with the pattern in a box that players pass over."""
    return film() + struct.pack(">I", 8 + len(MARK)) + b"free" + MARK


def store_film(workspace, content, user=None):
    received = receive_stream(io.BytesIO(content), name="clip.mp4")
    return videos.store_video(
        workspace=workspace, user=user, received=received, provider=provider_for("tiktok")
    )


def store_picture(workspace, content, user=None):
    received = receive_stream(io.BytesIO(content), name="one.jpg")
    return photos.store_photo(
        workspace=workspace, user=user, received=received, provider=provider_for("tiktok")
    )


def stored_files():
    root = Path(configured.MEDIA_ROOT)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def make_due(model=Video):
    model.objects.update(scan_due_at=timezone.now() - timedelta(seconds=1))


# --- At the upload ----------------------------------------------------------------------------------------------------


def test_a_clean_video_is_stored_as_clean(acme, clamd):
    video = store_film(acme, film())

    assert (video.scan_state, video.scan_due_at, video.scan_problem) == (ScanState.CLEAN, None, "")
    assert video.scanned_at is not None
    with video.file.open() as stored:
        assert stored.read() == film()
    assert scan_counts.read() == {"clean": 1}


@pytest.mark.parametrize(
    ("store", "content", "model"),
    [(store_film, bad_film(), Video), (store_picture, picture() + MARK, Photo)],
    ids=["video", "photo"],
)
def test_an_infected_file_is_refused_in_words_and_leaves_nothing_but_an_audit_event(
    acme, erin, clamd, store, content, model
):
    with pytest.raises(VideoRefusedError) as refusal:
        store(acme, content, erin)

    assert refusal.value.code == "infected"
    assert "Broadside.Test.Pattern" in refusal.value.message
    assert not model.objects.exists()
    assert stored_files() == []
    event = AuditEvent.objects.get(action="post.file_infected")
    assert (event.workspace_id, event.actor_id) == (acme.pk, erin.pk)
    assert event.details["found"].startswith("Broadside.Test.Pattern")
    assert scan_counts.read() == {"infected": 1}


def test_the_posting_page_says_that_malware_was_found(client, acme, erin, clamd, make_connection, settings):
    connection = make_connection(acme, status="needs_reauth")
    client.force_login(erin)

    page = client.post(
        "/w/acme/posts/new/",
        {
            "connection": str(connection.pk),
            "intent": "add",
            "video": SimpleUploadedFile("clip.mp4", bad_film()),
        },
    )

    assert page.status_code == 422
    assert "The malware scanner found Broadside.Test.Pattern" in page.content.decode()
    assert not Video.objects.exists()


def test_without_a_scanner_configured_nothing_is_asked_and_nothing_waits(acme, settings):
    assert settings.CLAMAV_URL == ""

    video = store_film(acme, bad_film())

    assert (video.scan_state, video.scan_due_at) == (ScanState.NOT_SCANNED, None)
    assert scanning.scan_waiting() == "no scanner"


def test_with_the_scanner_down_the_video_is_kept_and_due_soon(acme, stopped_clamd):
    video = store_film(acme, film())

    assert (video.scan_state, video.scan_problem) == (ScanState.WAITING, ScanProblem.DOWN)
    assert timezone.now() < video.scan_due_at < timezone.now() + timedelta(seconds=30)
    assert "does not work just now" in scanning.explain_wait(video)


def test_a_video_above_the_scanners_limit_waits_and_says_so(acme, stopped_clamd):
    stopped_clamd.limit = 1000
    stopped_clamd.start()

    video = store_film(acme, film())

    assert (video.scan_state, video.scan_problem) == (ScanState.WAITING, ScanProblem.TOO_LARGE)
    assert "larger than this site's scanner takes" in scanning.explain_wait(video)


def test_a_verdict_that_takes_long_is_left_to_a_worker(acme, settings, monkeypatch):
    monkeypatch.setattr(scanning, "UPLOAD_SECONDS", 0.3)
    with pretender(lambda link: drain(link) and link.recv(1)) as url:
        settings.CLAMAV_URL = url
        video = store_film(acme, film())

    assert (video.scan_state, video.scan_problem) == (ScanState.WAITING, "")
    assert video.scan_due_at <= timezone.now()
    assert scanning.explain_wait(video) == "It is being checked for malware."


def test_nonsense_from_the_scanner_counts_as_no_verdict(acme, settings):
    with pretender(lambda link: drain(link) and link.sendall(b"stream: maybe\0")) as url:
        settings.CLAMAV_URL = url
        video = store_film(acme, film())

    assert (video.scan_state, video.scan_problem) == (ScanState.WAITING, ScanProblem.GARBAGE)
    assert scan_counts.read() == {"garbage": 1}


# --- Later ------------------------------------------------------------------------------------------------------------


def test_the_scanner_coming_back_judges_what_waited(acme, stopped_clamd):
    video, photo = store_film(acme, film()), store_picture(acme, picture())
    stopped_clamd.start()
    make_due(Video)
    make_due(Photo)

    assert tasks.scan_waiting_files() == "judged=2"

    video.refresh_from_db()
    photo.refresh_from_db()
    assert [video.scan_state, photo.scan_state] == [ScanState.CLEAN] * 2
    assert [video.scan_due_at, video.scan_problem, photo.scan_due_at] == [None, "", None]
    assert tasks.scan_waiting_files() == "judged=0"


def test_with_the_scanner_still_down_a_run_asks_once_and_leaves_the_rest_due(acme, stopped_clamd):
    for _ in range(3):
        store_film(acme, film())
    make_due()

    assert tasks.scan_waiting_files() == "judged=0"

    assert Video.objects.filter(scan_due_at__gt=timezone.now()).count() == 1
    assert scan_counts.read() == {"down": 4}


def test_a_row_that_another_run_took_is_not_scanned_twice(acme, clamd, monkeypatch):
    Video.objects.filter(pk=store_film(acme, film()).pk).update(scan_state=ScanState.WAITING)
    make_due()
    inside = []
    real = scanning._scan_stored

    def scan_and_look(media):
        inside.append(scanning.scan_waiting())
        return real(media)

    monkeypatch.setattr(scanning, "_scan_stored", scan_and_look)

    assert scanning.scan_waiting() == "judged=1"
    assert inside == ["judged=0"]


def test_a_file_gone_from_the_storage_keeps_no_other_from_its_scan(acme, stopped_clamd):
    lost, there = store_film(acme, film()), store_film(acme, film())
    Path(lost.file.path).unlink()
    stopped_clamd.start()
    make_due()

    assert scanning.scan_waiting() == "judged=1"

    there.refresh_from_db()
    lost.refresh_from_db()
    assert there.scan_state == ScanState.CLEAN
    assert (lost.scan_state, lost.scan_problem) == (ScanState.WAITING, ScanProblem.UNREADABLE)


class Bucket:
    """An object store's client, as far as reading a range of an object goes."""

    def __init__(self, content):
        self.content, self.most = content, 0

    def Object(self, _key):
        return self

    def get(self, *, Range):
        first, last = Range.removeprefix("bytes=").split("-")
        return {"Body": self, "part": (int(first), int(last))}

    def iter_chunks(self, size):
        for start in range(0, len(self.content), size):
            block = self.content[start : start + size]
            self.most = max(self.most, len(block))
            yield block


def test_a_file_in_an_object_store_is_streamed_from_there(acme, stopped_clamd, monkeypatch):
    video = store_film(acme, film())
    content = bytes(1_000_000) + MARK
    Video.objects.update(total_bytes=len(content))
    bucket = Bucket(content)
    Path(video.file.path).unlink()
    monkeypatch.setattr(default_storage, "bucket", bucket, raising=False)
    monkeypatch.setattr(default_storage, "_normalize_name", str, raising=False)
    stopped_clamd.start()
    make_due()

    scanning.scan_waiting()

    assert Video.objects.get().scan_state == ScanState.INFECTED
    assert bucket.most == 256 * 1024


def test_an_unused_file_found_infected_later_is_deleted_and_its_owner_told(
    acme, erin, stopped_clamd, django_capture_on_commit_callbacks
):
    video = store_film(acme, bad_film(), erin)
    reference = videos.sign_kept_video(video)
    stopped_clamd.start()
    make_due()

    with django_capture_on_commit_callbacks(execute=True):
        scanning.scan_waiting()

    assert stored_files() == []
    assert videos.find_kept_video(reference, workspace=acme) is None
    notice = Notice.objects.get(user=erin)
    assert notice.title == "Deleted: clip.mp4"
    assert "Broadside.Test.Pattern" in notice.body
    assert AuditEvent.objects.filter(action="post.file_infected", actor_id=None).count() == 1


def test_a_file_that_could_not_be_deleted_goes_with_the_next_clean_up(acme, make_delivery, stopped_clamd):
    make_delivery(acme, video=store_film(acme, bad_film()))
    stopped_clamd.start()
    make_due()
    scanning.scan_waiting()  # nothing commits here, so nothing is deleted
    assert len(stored_files()) == 2

    videos.clean_up_uploads(now=timezone.now() + timedelta(hours=30))

    assert stored_files() == []
    assert Video.objects.exists()  # the post's history stays


# --- Posts ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def unscanned(acme, connect, make_delivery, stopped_clamd):
    """A due delivery whose video no scanner has judged; the scanner is down."""
    video = store_film(acme, film())
    return make_delivery(acme, connection=connect(acme), video=video, options=PUBLIC)


def test_a_post_waits_for_the_verdict_with_the_reason_shown_then_goes_on_by_itself(
    unscanned, tiktok, stopped_clamd, django_capture_on_commit_callbacks
):
    assert engine.advance_delivery(unscanned.pk) == "waits"
    waiting = Delivery.objects.get(pk=unscanned.pk)
    panel = describe(waiting, now=timezone.now())
    assert waiting.state == DeliveryState.PREPARING
    assert panel.headline == "Waiting for the malware check"
    assert "clip.mp4" in panel.sentences[0]
    assert "goes on by itself" in panel.sentences[1]
    assert tiktok.posts() == []

    stopped_clamd.start()
    make_due()
    with django_capture_on_commit_callbacks(execute=False):
        scanning.scan_waiting()

    assert Delivery.objects.due().filter(pk=unscanned.pk).exists()
    done = drive(unscanned)
    assert done.state == DeliveryState.PUBLISHED
    assert len(tiktok.posts()) == 1


def test_a_post_whose_video_turns_out_infected_fails_and_nothing_is_sent(
    acme, erin, connect, make_delivery, tiktok, stopped_clamd, django_capture_on_commit_callbacks
):
    later = timezone.now() + timedelta(days=3)
    video = store_film(acme, bad_film(), erin)
    delivery = make_delivery(acme, connection=connect(acme), video=video, options=PUBLIC, wake_at=later)
    stopped_clamd.start()
    make_due()

    with django_capture_on_commit_callbacks(execute=True):
        scanning.scan_waiting()
    done = drive(delivery)

    assert (done.state, done.reason_code) == (DeliveryState.FAILED, "infected")
    assert "Broadside.Test.Pattern" in done.reason_message
    assert tiktok.posts() == []
    assert stored_files() == []


def test_sending_an_infected_post_again_fails_again(acme, connect, make_delivery, tiktok, clamd):
    video = store_film(acme, film())
    Video.objects.filter(pk=video.pk).update(scan_state=ScanState.INFECTED, scan_signature="Bad.One")
    delivery = make_delivery(acme, connection=connect(acme), video=video, options=PUBLIC)

    assert drive(delivery).reason_code == "infected"
    assert tiktok.posts() == []


def test_with_allow_an_unscanned_post_goes_out(unscanned, tiktok, settings):
    settings.CLAMAV_WHEN_DOWN = "allow"

    assert drive(unscanned).state == DeliveryState.PUBLISHED


@pytest.mark.parametrize(
    ("state", "becomes"),
    [
        (DeliveryState.UPLOADING, DeliveryState.CANCELED),
        (DeliveryState.PUBLISHED, DeliveryState.PUBLISHED),
    ],
)
def test_with_allow_malware_found_later_stops_what_can_be_stopped_and_is_told(
    acme, erin, make_delivery, settings, stopped_clamd, state, becomes
):
    settings.CLAMAV_WHEN_DOWN = "allow"
    video = store_film(acme, bad_film(), erin)
    delivery = make_delivery(acme, video=video, state=state)
    stopped_clamd.start()
    make_due()

    scanning.scan_waiting()

    assert Delivery.objects.get(pk=delivery.pk).state == becomes
    assert Video.objects.get().is_infected
    assert Notice.objects.get(user=erin).title == "Deleted: clip.mp4"


def test_photos_of_which_one_turns_out_infected_are_not_posted(
    acme, erin, make_connection, pulls, stopped_clamd, django_capture_on_commit_callbacks
):
    good, bad = store_picture(acme, picture()), store_picture(acme, picture() + MARK)
    post = create_photo_post(
        workspace=acme,
        user=erin,
        photos=[good, bad],
        connection=make_connection(acme),
        title="two",
        caption="",
        mode=PublishMode.DIRECT,
        options=PUBLIC,
    )
    delivery = post.deliveries.get()
    assert engine.advance_delivery(delivery.pk) == "waits"
    stopped_clamd.start()
    make_due(Photo)

    with django_capture_on_commit_callbacks(execute=False):
        scanning.scan_waiting()
    done = drive(delivery)

    assert (done.state, done.reason_code) == (DeliveryState.FAILED, "infected")
    assert "one.jpg" in done.reason_message


def test_switching_the_scanner_off_lets_go_what_waited(unscanned, tiktok, settings):
    engine.advance_delivery(unscanned.pk)
    settings.CLAMAV_URL = ""

    assert drive(unscanned).state == DeliveryState.PUBLISHED


def test_a_post_that_waits_for_the_verdict_can_be_canceled(unscanned, tiktok):
    engine.advance_delivery(unscanned.pk)
    delivery = Delivery.objects.get(pk=unscanned.pk)

    cancel_delivery(delivery=delivery, user=None)

    assert Delivery.objects.get(pk=unscanned.pk).state == DeliveryState.CANCELED


def test_a_verdict_that_comes_while_a_worker_holds_the_row_wakes_it(unscanned, tiktok, stopped_clamd):
    held = Delivery.objects.claim(unscanned.pk, lease=timedelta(seconds=30))
    held.advance(DeliveryState.PREPARING)
    held.video  # noqa: B018 - read before the verdict
    stopped_clamd.start()
    make_due()
    scanning.scan_waiting()

    assert scanning.hold_back(held, [held.video]) == "waits"

    assert Delivery.objects.due().filter(pk=unscanned.pk).exists()


# --- Pages ------------------------------------------------------------------------------------------------------------


def test_the_file_of_an_infected_video_is_not_served(client, acme, erin, clamd):
    video = store_film(acme, film())
    Video.objects.update(scan_state=ScanState.INFECTED)
    client.force_login(erin)

    assert client.get(f"/w/acme/videos/{video.pk}/file/").status_code == 404


def test_the_workspaces_health_page_tells_of_files_that_wait(client, acme, rival, vic, stopped_clamd):
    store_film(acme, film())
    store_picture(acme, picture())
    store_film(rival, film())
    client.force_login(vic)

    page = client.get("/w/acme/health/").content.decode()

    assert "2 files wait for the malware scanner" in page


def test_operators_see_whether_the_scanner_answers(client, alice, acme, stopped_clamd):
    alice.is_staff = True
    alice.save()
    client.force_login(alice)
    store_film(acme, film())

    down = client.get("/operations/health/").content.decode()
    stopped_clamd.start()
    up = client.get("/operations/health/").content.decode()

    assert "No verdicts" in down
    assert "ClamAV " in up
    assert "Files to scan" in up


def test_metrics_count_scans_by_outcome(client, acme, settings, stopped_clamd):
    settings.METRICS_TOKEN = "token-of-the-monitor"
    store_film(acme, film())
    stopped_clamd.start()
    store_film(acme, film())

    text = client.get("/metrics", headers={"Authorization": "Bearer token-of-the-monitor"}).content.decode()

    assert 'broadside_scans_total{outcome="clean"} 1.0' in text
    assert 'broadside_scans_total{outcome="down"} 1.0' in text
    assert "broadside_scans_waiting 1.0" in text
    assert "broadside_scanner_up 1.0" in text


# --- The doctor -------------------------------------------------------------------------------------------------------


def test_the_doctor_names_the_running_scanner(clamd):
    (finding,) = check_scanner()

    assert finding.level is Level.FINE
    assert f"127.0.0.1:{clamd.port}" in finding.text
    assert "ClamAV " in finding.text


@pytest.mark.parametrize(
    ("when_down", "levels"),
    [("hold", [Level.BROKEN]), ("allow", [Level.NOTE, Level.NOTE])],
)
def test_the_doctor_tells_what_a_silent_scanner_means(stopped_clamd, settings, when_down, levels):
    settings.CLAMAV_WHEN_DOWN = when_down

    assert [finding.level for finding in check_scanner()] == levels


@pytest.mark.parametrize(("url", "level"), [("", Level.FINE), ("clamd://127.0.0.1:3310/x", Level.BROKEN)])
def test_the_doctor_reads_the_setting(settings, url, level):
    settings.CLAMAV_URL = url

    assert [finding.level for finding in check_scanner()] == [level]
