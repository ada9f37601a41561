"""Keeping videos: storing one that arrived, removing one, and cleaning up what nobody used."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import IO, cast

from django.core import signing
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, QuerySet

from accounts.models import User, Workspace
from accounts.scopes import System, system_scope
from connections.providers.base import Provider
from publishing.models import Photo, Video, poster_path, video_path
from publishing.preflight import find_file_problems
from publishing.probing import ProbedVideo
from publishing.probing_apart import probe_apart
from publishing.quota import forget_dead_reservations, reserve
from publishing.receiving import ReceivedFile, incoming_folder
from publishing.refusals import VideoRefusedError, is_storage_error, storage_refusal
from publishing.scannable import ScanState
from publishing.scanning import scan_upload

logger = logging.getLogger(__name__)

KEPT_UNUSED = timedelta(hours=24)
"""How long a video that no post uses is kept for the form it was sent with."""

ABANDONED_AFTER = timedelta(hours=2)
"""How long a temporary file may go without a byte before nobody can be writing it any more."""

_SALT = "publishing.videos.kept"


def store_video(
    *, workspace: Workspace, user: User | None, received: ReceivedFile, provider: Provider
) -> Video:
    """Look into a file that arrived, and keep it if `provider` takes such files.

    Raises VideoRefusedError, with nothing kept, for a file that is no usable video, breaks a rule of the provider, or
    could not be stored. `received` is closed either way.
    """
    try:
        size = received.size or 0
        received.reservation = received.reservation or reserve(workspace, size)
        probed = probe_apart(cast("IO[bytes]", received), total_bytes=size)
        video = _described(workspace, probed, name=received.name or "", size=size)
        video.uploaded_by, video.sha256 = user, received.sha256
        problems = find_file_problems(video=video, provider=provider)
        if problems:
            raise VideoRefusedError(" ".join(one.message for one in problems), code=problems[0].code)
        scan_upload(video, cast("IO[bytes]", received), user=user)
        _keep(video, received, probed)
    finally:
        received.close()
    logger.info("workspace %s: stored video %s, %d bytes", workspace.pk, video.pk, video.total_bytes)
    return video


def inspect_file(file: IO[bytes], *, name: str, total_bytes: int, workspace: Workspace) -> Video:
    """Return an unsaved Video that describes an open file, which stays where it is. Raises VideoRefusedError."""
    return _described(workspace, probe_apart(file, total_bytes=total_bytes), name=name, size=total_bytes)


def _described(workspace: Workspace, probed: ProbedVideo, *, name: str, size: int) -> Video:
    return Video(
        workspace=workspace,
        original_name=name or f"video.{probed.container}",
        content_type=probed.content_type,
        total_bytes=size,
        duration_ms=probed.duration_ms,
        width=probed.width,
        height=probed.height,
        frame_rate=probed.frame_rate,
        container=probed.container,
        video_codec=probed.video_codec,
        audio_codec=probed.audio_codec,
    )


def _keep(video: Video, received: ReceivedFile, probed: ProbedVideo) -> None:
    try:
        received.seek(0)
        video.file.save(f"video.{probed.container}", received, save=False)
        if probed.poster:
            video.poster.save("poster.jpg", ContentFile(probed.poster), save=False)
        with transaction.atomic():  # the file counts from here on as kept, no longer as under way
            video.save(force_insert=True)
            if received.reservation is not None:
                received.reservation.release()
    except Exception as error:
        remove_files(_places(video))
        if is_storage_error(error):
            logger.exception("workspace %s: a video could not be stored", video.workspace_id)
            raise storage_refusal(error) from error
        raise


def _places(video: Video) -> list[str]:
    """Every name that this video's files can have, whether or not they were written: a full disk leaves half a file."""
    names = {
        video_path(video, f"video.{video.container}"),
        poster_path(video, ""),
        video.file.name,
        video.poster.name,
    }
    return sorted(name for name in names if name)


def remove_files(names: list[str]) -> None:
    """Remove stored files. One that cannot be removed is left to the next clean-up."""
    for name in names:
        try:
            default_storage.delete(name)
        except Exception as error:
            if not is_storage_error(error):
                raise
            logger.warning("the stored file %s could not be removed; the next clean-up will", name)


def remove_files_of(video: Video) -> None:
    """Remove the files of a video whose row is about to go. One that cannot be removed is left to the next clean-up."""
    remove_files(_places(video))


def delete_unused_video(video: Video) -> bool:
    """Remove a video that no post uses, with its files, and say whether it went. One in use stays."""
    names = _places(video)
    try:
        with transaction.atomic():
            Video.objects.filter(pk=video.pk).delete()
            transaction.on_commit(lambda: remove_files(names))
    except (ProtectedError, IntegrityError):  # a post took it between our look and now
        return False
    return True


def sign_kept_video(video: Video) -> str:
    """Return a reference to a stored video for a hidden form field: good for its workspace, as long as it is kept."""
    return signing.dumps([str(video.workspace_id), str(video.pk)], salt=_SALT)


def find_kept_video(reference: str, *, workspace: Workspace) -> Video | None:
    """Return the video of a signed reference, None if it is forged, of another workspace, too old or gone."""
    try:
        workspace_id, video_id = signing.loads(reference, salt=_SALT, max_age=KEPT_UNUSED)
    except (signing.BadSignature, ValueError):
        return None
    if workspace_id != str(workspace.pk):
        return None
    return workspace.videos.filter(pk=video_id).exclude(scan_state=ScanState.INFECTED).first()


@dataclass(frozen=True)
class CleanedUp:
    """How many of each were removed."""

    unused_videos: int
    stray_files: int
    temporary_files: int


@system_scope(System.UPKEEP)
def clean_up_uploads(*, now: datetime) -> CleanedUp:
    """Remove videos that no post took within a day, stored files without a row, and half-received temporary files.

    May run beside itself and beside uploads: a row and its files go only if no post uses it at that moment.
    """
    unused = Video.objects.filter(posts=None, created_at__lt=now - KEPT_UNUSED)
    done = CleanedUp(
        unused_videos=sum(delete_unused_video(video) for video in unused.iterator()),
        stray_files=_remove_strays(older_than=now - KEPT_UNUSED),
        temporary_files=_remove_abandoned(older_than=now - ABANDONED_AFTER),
    )
    forget_dead_reservations()
    logger.info(
        "cleaned up %d unused videos, %d stray files, %d temporary files",
        done.unused_videos,
        done.stray_files,
        done.temporary_files,
    )
    return done


def _remove_strays(*, older_than: datetime) -> int:
    strays = [
        name
        for name, model, column in _stored_names()
        if not _living(model).filter(**{column: name}).exists()
    ]
    old = [name for name in strays if _is_older(name, older_than)]
    remove_files(old)
    return len(old)


def _living(model: type[Video | Photo]) -> QuerySet[Video] | QuerySet[Photo]:
    """The rows that keep their files: those in which malware was found do not."""
    return model._default_manager.exclude(scan_state=ScanState.INFECTED)


def _stored_names() -> Iterator[tuple[str, type[Video | Photo], str]]:
    """Yield the name of each stored file, and the model and the column that would name it."""
    kinds: tuple[tuple[str, type[Video | Photo], str], ...] = (
        ("videos", Video, "file"),
        ("posters", Video, "poster"),
        ("photos", Photo, "file"),
    )
    for folder, model, column in kinds:
        with suppress(FileNotFoundError):
            for workspace_id in default_storage.listdir(folder)[0]:
                inside = PurePosixPath(folder, workspace_id)
                for name in default_storage.listdir(str(inside))[1]:
                    yield str(inside / name), model, column


def _is_older(name: str, moment: datetime) -> bool:
    try:
        return default_storage.get_modified_time(name) < moment
    except FileNotFoundError:  # somebody else removed it
        return False


def _remove_abandoned(*, older_than: datetime) -> int:
    folder = incoming_folder()
    if folder is None or not folder.is_dir():
        return 0
    count = 0
    for path in folder.glob("*.part"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < older_than.timestamp():
                path.unlink()
                count += 1
    return count
