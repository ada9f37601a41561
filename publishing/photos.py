"""Keeping photos: looking into one that arrived, storing it, and finding those that a form sent before."""

from __future__ import annotations

import logging
import uuid
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import IO, cast

from django.core import signing
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import QuerySet
from PIL import Image, UnidentifiedImageError

from accounts.models import User, Workspace
from accounts.scopes import System, system_scope
from connections.providers.base import PhotoRules, Provider
from publishing.models import Photo
from publishing.preflight import format_gigabytes
from publishing.quota import reserve
from publishing.receiving import ReceivedFile
from publishing.refusals import VideoRefusedError, is_storage_error, storage_refusal
from publishing.scannable import ScanState
from publishing.scanning import scan_upload
from publishing.shrinking import MOST_PIXELS, fits, shrink
from publishing.videos import KEPT_UNUSED

logger = logging.getLogger(__name__)

ACCEPT = "image/jpeg,image/webp,.jpg,.jpeg,.webp"
_SALT = "publishing.photos.kept"
_KINDS = {"JPEG": ("jpeg", "jpg"), "MPO": ("jpeg", "jpg"), "WEBP": ("webp", "webp")}
"""By Pillow's word: the format's short name and its suffix. An MPO is a JPEG with further pictures behind it."""
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError)
"""What Pillow raises for a picture that does not decode to its end."""
_READ = ("JPEG", "WEBP", "PNG", "GIF", "BMP", "TIFF")


@dataclass(frozen=True)
class ProbedPhoto:
    """What was found in a photo: its format's short name, and its sides in pixels as stored."""

    format: str
    suffix: str
    width: int
    height: int


def probe_photo(file: IO[bytes], *, total_bytes: int, provider: Provider) -> ProbedPhoto:
    """Look into a photo, and decode it to its end if it may go as it is. Raises VideoRefusedError with the broken rule.

    One with too many pixels is no refusal yet: see `publishing.shrinking`.
    """
    rules, label = provider.photo_rules, provider.label
    if total_bytes > rules.max_bytes:
        raise photo_too_large(provider)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=_READ) as image:
                kind, suffix = _KINDS.get(image.format or "", ("", ""))
                if kind not in rules.formats:
                    raise _refused(
                        f"This is a {image.format} picture; {label} takes JPEG and WebP. Save it as JPEG, then add it.",
                        "format_unsupported",
                    )
                if kind == "webp" and getattr(image, "n_frames", 1) > 1:
                    raise _refused("This WebP moves; a photo has to stand still.", "animated")
                if image.width * image.height > MOST_PIXELS[kind]:
                    raise _too_many_pixels()
                if fits(image.width, image.height, rules):
                    image.load()
                return ProbedPhoto(format=kind, suffix=suffix, width=image.width, height=image.height)
    except UnidentifiedImageError:
        raise _refused(
            f"This is no picture that can be read; {label} takes JPEG and WebP.", "unreadable"
        ) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise _too_many_pixels() from None
    except _DAMAGED:
        raise _damaged() from None


def _too_many_pixels() -> VideoRefusedError:
    return _refused("This picture has far too many pixels. Make it smaller, then add it.", "too_big")


def _damaged() -> VideoRefusedError:
    return _refused("This picture is damaged or not whole. Export it once more, then add it.", "damaged")


def photo_too_large(provider: Provider) -> VideoRefusedError:
    """The refusal of a photo of too many bytes."""
    limit = format_gigabytes(provider.photo_rules.max_bytes)
    return _refused(
        f"This picture is larger than {limit}, the most that {provider.label} takes.", "too_large"
    )


def _refused(message: str, code: str) -> VideoRefusedError:
    return VideoRefusedError(message, code=code)


def store_photo(
    *, workspace: Workspace, user: User | None, received: ReceivedFile, provider: Provider
) -> Photo:
    """Look into a photo that arrived, and keep it if `provider` takes such. It belongs to no post yet.

    One with too many pixels is made smaller first: those of every phone have. Raises VideoRefusedError, with nothing
    kept. `received` is closed either way.
    """
    try:
        size = received.size or 0
        received.reservation = received.reservation or reserve(workspace, size)
        probed = probe_photo(cast("IO[bytes]", received), total_bytes=size, provider=provider)
        if not fits(probed.width, probed.height, provider.photo_rules):
            received = _made_smaller(received, probed, provider.photo_rules)
            size = received.size or 0
            probed = probe_photo(cast("IO[bytes]", received), total_bytes=size, provider=provider)
        photo = Photo(
            workspace=workspace,
            original_name=(received.name or "photo")[:255],
            content_type=f"image/{probed.format}",
            total_bytes=size,
            sha256=received.sha256,
            width=probed.width,
            height=probed.height,
            uploaded_by=user,
        )
        scan_upload(photo, cast("IO[bytes]", received), user=user)
        _keep(photo, received, probed)
    finally:
        received.close()
    logger.info("workspace %s: stored photo %s, %d bytes", workspace.pk, photo.pk, photo.total_bytes)
    return photo


def _made_smaller(received: ReceivedFile, probed: ProbedPhoto, rules: PhotoRules) -> ReceivedFile:
    """Put a smaller copy in the place of `received`, whose room in the quota goes over to it."""
    name = received.name or "photo"
    try:
        smaller = shrink(cast("IO[bytes]", received), kind=probed.format, name=name, rules=rules)
    except _DAMAGED:
        raise _damaged() from None
    smaller.reservation, received.reservation = received.reservation, None
    received.close()
    return smaller


def _keep(photo: Photo, received: ReceivedFile, probed: ProbedPhoto) -> None:
    try:
        received.seek(0)
        photo.file.save(f"photo.{probed.suffix}", received, save=False)
        with transaction.atomic():  # the file counts from here on as kept, no longer as under way
            photo.save(force_insert=True)
            if received.reservation is not None:
                received.reservation.release()
    except Exception as error:
        _remove_file(str(photo.file.name or ""))
        if is_storage_error(error):
            logger.exception("workspace %s: a photo could not be stored", photo.workspace_id)
            raise storage_refusal(error) from error
        raise


def delete_unused_photo(photo: Photo) -> bool:
    """Remove a photo and its file unless a post has it; return whether it went. May run beside itself."""
    with transaction.atomic():
        count, _ = Photo.objects.filter(pk=photo.pk, post=None).delete()
        if count:
            transaction.on_commit(lambda: _remove_file(str(photo.file.name)))
    return bool(count)


def _remove_file(name: str) -> None:
    if not name:
        return
    try:
        default_storage.delete(name)
    except Exception as error:
        if not is_storage_error(error):
            raise
        logger.exception("%s could not be removed from the storage", name)


@system_scope(System.UPKEEP)
def clean_up_photos(*, now: datetime) -> int:
    """Remove photos that no post took within a day, and return how many. May run beside itself and beside uploads."""
    unused = Photo.objects.filter(post=None, created_at__lt=now - KEPT_UNUSED)
    return sum(delete_unused_photo(photo) for photo in unused.iterator())


def sign_kept_photo(photo: Photo) -> str:
    """Return a reference to a stored photo for a hidden form field: good for its workspace, as long as it is kept."""
    return signing.dumps([str(photo.workspace_id), str(photo.pk)], salt=_SALT)


def find_kept_photos(references: Iterable[str], *, workspace: Workspace) -> list[Photo]:
    """Return the photos of signed references in their order, without those forged, of others, too old, used or gone."""
    wanted = [pk for pk in (_read_reference(one, workspace) for one in references) if pk is not None]
    found = {photo.pk: photo for photo in _usable(workspace).filter(pk__in=wanted)}
    return [found[pk] for pk in dict.fromkeys(wanted) if pk in found]


def _usable(workspace: Workspace) -> QuerySet[Photo]:
    return workspace.photos.filter(post=None).exclude(scan_state=ScanState.INFECTED)


def _read_reference(reference: str, workspace: Workspace) -> uuid.UUID | None:
    try:
        workspace_id, photo_id = signing.loads(reference, salt=_SALT, max_age=KEPT_UNUSED)
    except (signing.BadSignature, ValueError):
        return None
    return uuid.UUID(photo_id) if workspace_id == str(workspace.pk) else None
