"""Source videos after publishing: when they go, what keeps them, and what is said once they are gone."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import AuditEvent, Workspace
from connections.providers.base import PublishMode
from publishing import retention, services, tasks
from publishing.models import Delivery, Post, Video
from publishing.quota import read_usage
from publishing.sources import SourceRemovedError
from publishing.states import OPEN, DeliveryState

pytestmark = pytest.mark.django_db

S = DeliveryState
DAY = timedelta(days=1)


@pytest.fixture
def monthly(acme):
    """Acme, which keeps source videos for 30 days."""
    Workspace.objects.filter(pk=acme.pk).update(source_retention_days=30)
    acme.refresh_from_db()
    return acme


@pytest.fixture
def ended(monthly, make_delivery):
    """Return a maker of deliveries that ended some days ago."""

    def make(state=S.PUBLISHED, *, days: float = 31, workspace=monthly, **fields) -> Delivery:
        if state == S.HELD:
            fields["hold_reason"] = "reconnect"
        delivery = make_delivery(workspace, state=state, wake_at=None, **fields)
        Delivery.objects.filter(pk=delivery.pk).update(state_changed_at=timezone.now() - days * DAY)
        return delivery

    return make


@pytest.fixture
def browser(client, alice):
    """Alice's browser."""
    client.force_login(alice)
    return client


def has_source(delivery: Delivery) -> bool:
    """Whether the row and the storage agree that the file is there. AssertionError if they do not."""
    video = Video.objects.get(posts=delivery.post_id)
    known = delivery.post.video
    assert known is not None
    is_stored = default_storage.exists(str(known.file.name))
    assert is_stored == bool(video.file) == (video.source_removed_at is None)
    return is_stored


def run(django_capture_on_commit_callbacks) -> str:
    """What the beat's task does."""
    with django_capture_on_commit_callbacks(execute=True):
        return tasks.remove_old_sources()


@pytest.fixture
def remove(django_capture_on_commit_callbacks):
    """Return the task, with what it does on commit."""
    return lambda: run(django_capture_on_commit_callbacks)


# --- When they go -----------------------------------------------------------------------------------------------------


def test_a_published_source_goes_after_its_days_and_the_poster_stays(ended, remove):
    delivery = ended()
    delivery.post.video.poster.save("poster.jpg", ContentFile(b"poster"), save=True)

    assert remove() == "removed=1 failed=0"

    assert not has_source(delivery)
    video = Video.objects.get()
    assert default_storage.exists(video.poster.name)
    event = AuditEvent.objects.get(action="post.source_removed")
    assert (event.actor_id, event.details) == (
        None,
        {"video": str(video.pk), "posts": [str(delivery.post_id)]},
    )


def test_a_source_stays_until_its_days_are_over(ended, remove):
    delivery = ended(days=29.9)

    assert remove() == "removed=0 failed=0"
    assert has_source(delivery)


def test_a_second_run_finds_nothing_more_to_do(ended, remove):
    ended()
    remove()

    assert remove() == "removed=0 failed=0"
    assert AuditEvent.objects.filter(action="post.source_removed").count() == 1


@pytest.mark.parametrize("state", sorted(OPEN))
def test_an_open_delivery_keeps_the_source_however_old_it_is(ended, remove, state):
    delivery = ended(state, days=4000)

    assert remove() == "removed=0 failed=0"
    assert has_source(delivery)


@pytest.mark.parametrize("state", [S.FAILED, S.CANCELED])
def test_what_a_person_may_send_again_keeps_the_source_for_a_week_at_least(monthly, ended, remove, state):
    Workspace.objects.update(source_retention_days=1)
    fresh, old = ended(state, days=6.9), ended(state, days=7.1)
    published = ended(S.PUBLISHED, days=1.1)

    assert remove() == "removed=2 failed=0"
    assert (has_source(fresh), has_source(old), has_source(published)) == (True, False, False)


def test_one_open_delivery_of_another_post_keeps_the_source_of_both(monthly, ended, make_delivery, remove):
    delivery = ended()
    make_delivery(monthly, video=delivery.post.video, wake_at=timezone.now() + DAY)

    assert remove() == "removed=0 failed=0"
    assert has_source(delivery)


def test_a_post_that_was_never_sent_keeps_the_source(monthly, ended, remove):
    delivery = ended()
    Post.objects.create(workspace=monthly, video=delivery.post.video)

    assert remove() == "removed=0 failed=0"


def test_a_worker_that_is_still_at_it_keeps_the_source(ended, remove):
    delivery = ended()
    Delivery.objects.update(lease_until=timezone.now() + timedelta(seconds=30))

    assert remove() == "removed=0 failed=0"
    assert has_source(delivery)


def test_an_upload_that_no_post_uses_is_not_this_tasks_business(monthly, make_video, remove):
    make_video(monthly)

    assert remove() == "removed=0 failed=0"


@pytest.mark.parametrize(
    ("site", "own", "goes"),
    [(0, None, False), (0, 0, False), (0, 10, True), (10, None, True), (10, 0, False), (10, 40, False)],
)
def test_a_workspaces_choice_goes_before_the_sites(acme, ended, remove, settings, site, own, goes):
    settings.SOURCE_RETENTION_DAYS = site
    Workspace.objects.update(source_retention_days=own)
    delivery = ended()

    remove()

    assert has_source(delivery) != goes


def test_another_workspaces_sources_stay(rival, ended, remove):
    delivery = ended(workspace=rival)

    assert remove() == "removed=0 failed=0"
    assert has_source(delivery)


def test_a_storage_that_fails_leaves_a_stray_that_is_found_later(ended, remove, monkeypatch):
    delivery = ended()
    with monkeypatch.context() as patch:
        patch.setattr(type(default_storage._wrapped), "delete", _refuse)
        assert remove() == "removed=1 failed=0"
    video = Video.objects.get()
    assert (video.file.name, default_storage.exists(delivery.post.video.file.name)) == ("", True)

    tasks.videos.clean_up_uploads(now=timezone.now() + 2 * DAY)

    assert not default_storage.exists(delivery.post.video.file.name)


def _refuse(*_: object, **__: object) -> None:
    raise OSError("the disk is away")


def test_one_video_that_cannot_be_removed_stops_no_other(ended, remove, monkeypatch):
    first, second = ended(), ended()
    real = retention.remove_source

    def fail_once(video, workspace):
        if video.pk == first.post.video_id:
            raise RuntimeError("a bug")
        return real(video, workspace)

    monkeypatch.setattr(retention, "remove_source", fail_once)

    assert remove() == "removed=1 failed=1"
    assert (has_source(first), has_source(second)) == (True, False)


@pytest.mark.django_db(transaction=True)
def test_a_retry_at_the_same_moment_keeps_the_source_or_is_refused(monthly, ended, alice):
    delivery = ended(S.FAILED)
    may_go, outcomes = threading.Event(), []

    def retry():
        try:
            with transaction.atomic():
                services.retry_delivery(delivery=Delivery.objects.get(pk=delivery.pk), user=alice)
                may_go.set()
                # Held open until the removal waits for our lock.
                with connection.cursor() as cursor:
                    for _ in range(1000):
                        cursor.execute(
                            "SELECT count(*), pg_sleep(0.01) FROM pg_locks WHERE NOT granted GROUP BY ()"
                        )
                        if cursor.fetchone()[0]:
                            break
            outcomes.append("retried")
        finally:
            connection.close()

    thread = threading.Thread(target=retry)
    thread.start()
    assert may_go.wait(10)
    removed = retention.remove_source(delivery.post.video, monthly)
    thread.join(20)

    assert (outcomes, removed) == (["retried"], False)
    assert has_source(delivery)


# --- Once it is gone --------------------------------------------------------------------------------------------------


def test_the_post_page_says_when_and_shows_the_poster(browser, ended, remove):
    delivery = ended()
    delivery.post.video.poster.save("poster.jpg", ContentFile(b"poster"), save=True)
    remove()

    page = browser.get(f"/w/acme/posts/{delivery.post_id}/").content.decode()

    assert "The source file was removed on" in page
    assert "<video" not in page
    assert f"/videos/{delivery.post.video_id}/poster/" in page


def test_the_file_is_not_found_any_more(browser, ended, remove):
    delivery = ended()
    remove()

    assert browser.get(f"/w/acme/videos/{delivery.post.video_id}/file/").status_code == 404


def test_a_failed_post_asks_for_a_new_upload_in_place_of_a_retry(browser, ended, remove):
    delivery = ended(S.FAILED)
    url = f"/w/acme/posts/{delivery.post_id}/"
    assert "Try again" in browser.get(url).content.decode()
    remove()

    page = browser.get(url).content.decode()
    answer = browser.post(f"/w/acme/deliveries/{delivery.pk}/retry/", follow=True)

    assert "Try again" not in page
    assert "upload the video once more" in page
    assert "Make a new post and upload it again" in answer.content.decode()
    assert Delivery.objects.get().state == S.FAILED


def test_a_new_post_of_a_removed_source_is_refused_whole(monthly, alice, ended, remove):
    delivery = ended()
    remove()

    with pytest.raises(SourceRemovedError):
        services.create_post(
            workspace=monthly,
            user=alice,
            video=delivery.post.video,
            connection=delivery.connection,
            caption="again",
            mode=PublishMode.DIRECT,
            options={},
        )

    assert Post.objects.count() == 1


def test_a_removed_source_takes_no_room_of_the_quota(monthly, ended, remove):
    ended()
    assert read_usage(monthly).used_bytes > 0
    remove()

    assert read_usage(monthly).used_bytes == 0


# --- The choice -------------------------------------------------------------------------------------------------------

URL = "/w/acme/settings/source-videos/"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"choice": "delete", "days": "14"}, 14),
        ({"choice": "keep", "days": ""}, 0),
        ({"choice": "keep", "days": "14"}, 0),
        ({"choice": "site"}, None),
    ],
)
def test_the_choice_is_kept_shown_and_logged(browser, acme, sent, kept):
    Workspace.objects.update(source_retention_days=3)

    assert browser.post(URL, sent).status_code == 302

    acme.refresh_from_db()
    assert acme.source_retention_days == kept
    page = browser.get(URL).content.decode()
    assert f'value="{sent["choice"]}" checked' in page
    assert AuditEvent.objects.get(action="workspace.retention_changed").details == {"was": 3, "now": kept}


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"choice": "delete", "days": ""}, "Say after how many days."),
        ({"choice": "delete", "days": "0"}, "greater than or equal to 1"),
        ({"choice": "delete", "days": "99999"}, "less than or equal to 3650"),
        ({"choice": "delete", "days": "soon"}, "Enter a whole number"),
        ({"choice": "whenever"}, "Select a valid choice"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused_in_words(browser, acme, sent, words):
    answer = browser.post(URL, sent)

    assert answer.status_code == 422
    assert words in answer.content.decode()
    acme.refresh_from_db()
    assert acme.source_retention_days is None


@pytest.mark.parametrize(("person", "status"), [("erin", 403), ("vic", 403), ("mallory", 404)])
def test_only_who_may_change_settings_chooses(client, request, acme, alice, person, status):
    client.force_login(request.getfixturevalue(person))

    assert client.get(URL).status_code == status
    assert client.post(URL, {"choice": "keep"}).status_code == status


def test_a_number_of_days_beyond_ten_years_is_refused_at_the_start(process_env):
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        env=process_env | {"SOURCE_RETENTION_DAYS": "5000"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode != 0
    assert "SOURCE_RETENTION_DAYS must be from 0 to 3650" in done.stderr
