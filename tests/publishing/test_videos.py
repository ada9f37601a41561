"""Storing videos whole or not at all, on real disks that are really full."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import resource
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from connections.providers import provider_for
from publishing import videos
from publishing.models import Post, Video
from publishing.receiving import receive_stream
from publishing.refusals import VideoRefusedError
from tests.publishing.films import film


def stored_files():
    root = Path(configured.MEDIA_ROOT)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def store(workspace, content, name="clip.mp4"):
    received = receive_stream(io.BytesIO(content), name=name)
    return videos.store_video(
        workspace=workspace, user=None, received=received, provider=provider_for("tiktok")
    )


@pytest.fixture
def tiny_disk(settings, tmp_path):
    """A real file system of 64 kB as the place of the media."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("mounting a small file system needs root")
    settings.MEDIA_ROOT = tmp_path
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


@contextlib.contextmanager
def short_files():
    """Let this process write no file beyond 4 KiB, pytest's own output included: so for the block alone."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_store_video_keeps_file_poster_and_checksum(acme, alice):
    video = store(acme, film(), "Été à la mer.mp4")

    assert Video.objects.get() == video
    assert video.original_name == "Été à la mer.mp4"
    assert (video.container, video.video_codec, video.width, video.height) == ("mp4", "h264", 360, 640)
    assert video.file.read() == film()
    video.file.close()
    assert video.sha256 == hashlib.sha256(film()).hexdigest()
    assert stored_files() == [f"posters/{acme.pk}/{video.pk}.jpg", f"videos/{acme.pk}/{video.pk}.mp4"]


def test_store_video_moves_the_file_and_does_not_copy_it(acme):
    received = receive_stream(io.BytesIO(film()), name="a.mp4")
    inode = os.stat(received.temporary_file_path()).st_ino

    video = videos.store_video(workspace=acme, user=None, received=received, provider=provider_for("tiktok"))

    assert os.stat(video.file.path).st_ino == inode


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(b"just words, named .mp4 " * 99, "not_a_video", id="text"),
        pytest.param(film()[:-500], "truncated", id="truncated"),
        pytest.param(film(width=200, height=200), "picture_size_out_of_range", id="too small a picture"),
        pytest.param(film(rate=10), "frame_rate_out_of_range", id="too few frames"),
        pytest.param(film("avi", "mpeg4"), "container_unsupported", id="a kind that TikTok does not take"),
    ],
)
def test_store_video_leaves_nothing_of_a_refused_file(acme, content, code):
    with pytest.raises(VideoRefusedError) as refusal:
        store(acme, content)

    assert refusal.value.code == code
    assert stored_files() == []
    assert not Video.objects.exists()


def test_receiving_on_a_full_disk_says_so_and_leaves_nothing(tiny_disk):
    with pytest.raises(VideoRefusedError) as refusal:
        receive_stream(io.BytesIO(bytes(200_000)), name="big.mp4")

    assert refusal.value.code == "disk_full"
    assert "no room left" in refusal.value.message
    assert stored_files() == []


def test_a_disk_that_fills_up_with_the_poster_leaves_nothing(acme, tiny_disk):
    content = film(width=720, height=1280, frames=1)
    received = receive_stream(io.BytesIO(content), name="a.mp4")
    filler = tiny_disk / "filler"
    fill_up(filler)

    with pytest.raises(VideoRefusedError) as refusal:
        videos.store_video(workspace=acme, user=None, received=received, provider=provider_for("tiktok"))

    filler.unlink()
    assert refusal.value.code == "disk_full"
    assert stored_files() == []
    assert not Video.objects.exists()


def fill_up(path):
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1024)):
                pass
        except OSError:
            return


def test_a_quota_reads_like_a_full_disk(acme):
    with short_files(), pytest.raises(VideoRefusedError) as refusal:
        receive_stream(io.BytesIO(bytes(9000)), name="big.mp4")

    assert refusal.value.code == "disk_full"
    assert stored_files() == []


def test_a_storage_that_cannot_be_written_is_the_servers_fault_in_words(acme, settings, tmp_path):
    (tmp_path / "media").write_text("a file where the folder should be")
    settings.MEDIA_ROOT = tmp_path / "media"

    with pytest.raises(VideoRefusedError) as refusal:
        receive_stream(io.BytesIO(film()), name="a.mp4")

    assert refusal.value.code == "storage_unavailable"


def test_receiving_stops_at_the_limit_and_leaves_nothing(acme):
    with pytest.raises(VideoRefusedError) as refusal:
        receive_stream(io.BytesIO(bytes(10_001)), name="big.mp4", limit=10_000)

    assert refusal.value.code == "too_large"
    assert stored_files() == []
    receive_stream(io.BytesIO(bytes(10_000)), name="fits.mp4", limit=10_000).close()


def test_a_row_that_cannot_be_written_takes_its_files_along(acme):
    received = receive_stream(io.BytesIO(film()), name="a.mp4")
    acme.delete()

    with pytest.raises(Exception, match="workspace"):
        videos.store_video(workspace=acme, user=None, received=received, provider=provider_for("tiktok"))

    assert stored_files() == []


# --- References ---


def test_a_kept_video_is_found_again_by_its_signed_reference(acme):
    video = store(acme, film())

    assert videos.find_kept_video(videos.sign_kept_video(video), workspace=acme) == video


@pytest.mark.parametrize("reference", ["", "x", "a:b:c"])
def test_a_forged_reference_finds_nothing(acme, reference):
    assert videos.find_kept_video(reference, workspace=acme) is None


def test_a_reference_is_worth_nothing_in_another_workspace(acme, rival):
    reference = videos.sign_kept_video(store(acme, film()))

    assert videos.find_kept_video(reference, workspace=rival) is None


# --- Cleaning up ---


def age(video):
    Video.objects.filter(pk=video.pk).update(created_at=timezone.now() - timedelta(hours=25))


def age_file(name, **span):
    then = (timezone.now() - timedelta(**span)).timestamp()
    os.utime(default_storage.path(name), (then, then))


@pytest.fixture
def committed(django_capture_on_commit_callbacks):
    return lambda: django_capture_on_commit_callbacks(execute=True)


def test_clean_up_removes_a_video_that_no_post_took(acme, committed):
    old, young = store(acme, film()), store(acme, film())
    age(old)

    with committed():
        done = videos.clean_up_uploads(now=timezone.now())

    assert done.unused_videos == 1
    assert list(Video.objects.all()) == [young]
    assert stored_files() == [f"posters/{acme.pk}/{young.pk}.jpg", f"videos/{acme.pk}/{young.pk}.mp4"]


def test_clean_up_leaves_a_video_in_use_however_old(acme, committed):
    video = store(acme, film())
    Post.objects.create(workspace=acme, video=video)
    age(video)

    with committed():
        videos.clean_up_uploads(now=timezone.now())

    assert Video.objects.filter(pk=video.pk).exists()
    assert len(stored_files()) == 2


def test_delete_unused_video_leaves_one_that_a_post_took_meanwhile(acme, committed):
    video = store(acme, film())
    Post.objects.create(workspace=acme, video=video)

    with committed():
        assert videos.delete_unused_video(video) is False

    assert len(stored_files()) == 2


def test_clean_up_removes_stored_files_without_a_row(acme):
    name = f"videos/{acme.pk}/stray.mp4"
    default_storage.save(name, ContentFile(b"left by a crash"))
    default_storage.save(f"videos/{acme.pk}/just-now.mp4", ContentFile(b"its row is about to come"))
    age_file(name, hours=25)

    done = videos.clean_up_uploads(now=timezone.now())

    assert done.stray_files == 1
    assert stored_files() == [f"videos/{acme.pk}/just-now.mp4"]


def test_clean_up_removes_half_received_files_that_nobody_writes_any_more(acme):
    for name in ("upload-old.part", "upload-new.part"):
        default_storage.save(f"incoming/{name}", ContentFile(b"half"))
    age_file("incoming/upload-old.part", hours=3)

    done = videos.clean_up_uploads(now=timezone.now())

    assert done.temporary_files == 1
    assert stored_files() == ["incoming/upload-new.part"]


def test_clean_up_of_nothing_is_fine(db):
    assert videos.clean_up_uploads(now=timezone.now()) == videos.CleanedUp(0, 0, 0)
