"""Looking through what people upload for malware: at once if that is quick, else by a worker until there is a verdict.

A file without a verdict is kept. By CLAMAV_WHEN_DOWN it is held back from publishing until there is one, or not.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import IO, Any

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from accounts import audit
from accounts.models import NoticeKind, User, Workspace
from accounts.notices import Message, creator_or_managers, tell
from accounts.scopes import System, system_scope, workspace_scope
from config.clamd import Scanner, ScannerError, Verdict
from publishing import ending, scan_counts
from publishing.blocks import BLOCK_BYTES, FileChangedError, read_blocks
from publishing.dispatch import ring_on_commit
from publishing.models import (
    Delivery,
    DeliveryQuerySet,
    IllegalTransitionError,
    Photo,
    StaleTransitionError,
    Video,
)
from publishing.refusals import VideoRefusedError, is_storage_error
from publishing.scannable import ScanProblem, ScanState
from publishing.states import DeliveryState

logger = logging.getLogger(__name__)

Media = Video | Photo
_MODELS: tuple[type[Media], ...] = (Photo, Video)
"""Photos first: they are quickly done."""

UPLOAD_SECONDS = 45.0
"""How long a person waits for a verdict with the form; after that a worker goes on with it."""

WORKER_SECONDS = 1800.0
RUN_SECONDS = 25.0
"""After this a run begins no further file, so that no more than a few run at a time."""

_TAKEN_FOR = timedelta(seconds=WORKER_SECONDS + 300)
_AGAIN = {
    ScanProblem.TOO_LARGE: timedelta(minutes=15),
    ScanProblem.SLOW: timedelta(minutes=5),
    ScanProblem.UNREADABLE: timedelta(minutes=5),
}
_AGAIN_SOON = timedelta(seconds=25)
_LOOK_AGAIN = timedelta(minutes=5)
"""A delivery that waits is woken by the verdict; this is for the case that the waking is lost."""

WAITS = "unscanned"
INFECTED = "infected"


def is_configured() -> bool:
    """Whether there is a scanner."""
    return bool(settings.CLAMAV_URL)


def scanner() -> Scanner:
    """Return the scanner of CLAMAV_URL. Raises ValueError if that is malformed."""
    return Scanner.at(settings.CLAMAV_URL)


def is_held(media: Media) -> bool:
    """Whether `media` must not be published yet because no scanner has judged it."""
    return media.waits_for_scan and is_configured() and settings.CLAMAV_WHEN_DOWN == "hold"


def explain_wait(media: Media) -> str:
    """Say to its owner why `media` is held back, "" if it is not."""
    if not is_held(media):
        return ""
    if media.scan_problem == ScanProblem.TOO_LARGE:
        return (
            "It could not be checked for malware: it is larger than this site's scanner takes. Ask whoever runs this "
            "site to raise the scanner's limit; it is checked again by itself."
        )
    if media.scan_problem:
        return (
            "It is not checked for malware yet: this site's scanner does not work just now. That is tried again by "
            "itself until it does."
        )
    return "It is being checked for malware."


def scan_upload(media: Media, file: IO[bytes], *, user: User | None) -> None:
    """Have a file that has just arrived looked through, and note on `media` (not saved yet) what came of it.

    `file` is read from its start to its end. Raises VideoRefusedError for malware.
    """
    if not is_configured():
        return
    _ask(media, _blocks(file), seconds=UPLOAD_SECONDS)
    if media.is_infected:
        _record_malware(media, actor=user)
        raise infected_refusal(media.scan_signature)
    if media.scan_problem == ScanProblem.SLOW:  # too long for a person to wait for, not for a worker
        media.scan_problem, media.scan_due_at = "", timezone.now()


def infected_refusal(signature: str) -> VideoRefusedError:
    """The refusal of a file that holds malware."""
    return VideoRefusedError(
        f"The malware scanner found {signature} in this file, so it was not kept. If you made the file yourself, "
        "check your computer for malware and export it again.",
        code=INFECTED,
    )


def hold_back(delivery: Delivery, media: Sequence[Media]) -> str | None:
    """End `delivery` if one of its files holds malware, let it wait for a verdict, or return None: it may go on."""
    infected = next((one for one in media if one.is_infected), None)
    if infected is not None:
        return ending.fail(
            delivery,
            code=INFECTED,
            message=f"The malware scanner found {infected.scan_signature} in {infected.original_name}, so the file "
            "was deleted and nothing was posted.",
            next_step="Check the computer that the file comes from, export it again, and create the post anew.",
        )
    waiting = next((one for one in media if is_held(one)), None)
    if waiting is None:
        return None
    delivery.release(
        wake_in=_LOOK_AGAIN,
        claim_count=0,
        reason_code=WAITS,
        reason_log_id="",
        reason_message=f"{waiting.original_name}: {explain_wait(waiting)}"[:400],
        reason_next_step="The post goes on by itself after that.",
    )
    ending.log_outcome(delivery, "waits for the malware scanner")
    return "waits"


def scan_waiting() -> str:
    """Scan the files that are due, one after the other; return how many got a verdict, for the log.

    May run beside itself: each row is taken by one run. With the scanner down a run ends at its first file.
    """
    if not is_configured():
        return "no scanner"
    judged, ends_at = 0, time.monotonic() + RUN_SECONDS
    for model, pk, workspace_id in _find_due():
        with workspace_scope(workspace_id):
            media = _take(model, pk)
            judged += media is not None and _scan_stored(media)
        is_down = media is not None and media.scan_problem == ScanProblem.DOWN
        if is_down or time.monotonic() > ends_at:
            break
    return f"judged={judged}"


def count_waiting() -> int:
    """How many files wait for a verdict, over all workspaces."""
    return sum(_due_some_day(model).count() for model in _MODELS)


def count_held(workspace: Workspace | None = None) -> int:
    """How many files, of one workspace or of all, are held back because the scanner has failed to judge them."""
    if not is_configured() or settings.CLAMAV_WHEN_DOWN != "hold":
        return 0
    rows = [_due_some_day(model).exclude(scan_problem="") for model in _MODELS]
    return sum((one if workspace is None else one.filter(workspace=workspace)).count() for one in rows)


def _due_some_day(model: type[Media]) -> QuerySet[Any]:
    rows = model._default_manager.filter(scan_state=ScanState.WAITING, scan_due_at__isnull=False)
    return rows.exclude(file="")  # a source that was removed after publishing


@system_scope(System.UPKEEP)
def _find_due() -> list[tuple[type[Media], uuid.UUID, uuid.UUID]]:
    """The model, key and workspace of what is due, the longest waiting first."""
    found = []
    for model in _MODELS:
        due = _due_some_day(model).filter(scan_due_at__lte=Now()).order_by("scan_due_at")
        found += [(model, *ids) for ids in due.values_list("pk", "workspace_id")[:500]]
    return found


def _take(model: type[Media], pk: uuid.UUID) -> Media | None:
    """Take one row for this run, unless another run was faster."""
    due = _due_some_day(model).filter(pk=pk, scan_due_at__lte=Now())
    if not due.update(scan_due_at=Now() + _TAKEN_FOR):
        return None
    taken: Media | None = model._default_manager.select_related("workspace").filter(pk=pk).first()
    return taken


def _scan_stored(media: Media) -> bool:
    """Scan one stored file and write down what came of it; say whether there is a verdict."""
    blocks = read_blocks(media.file.storage, str(media.file.name), first=0, size=media.total_bytes)
    try:
        verdict = _ask(media, blocks, seconds=WORKER_SECONDS)
    except Exception as error:
        if not isinstance(error, FileChangedError) and not is_storage_error(error):
            raise
        logger.warning("%s %s is not scanned: its file cannot be read", type(media).__name__, media.pk)
        _note_no_verdict(media, ScanProblem.UNREADABLE)
        verdict = None
    with transaction.atomic():
        _save(media)
        if verdict is not None:
            _act_on(media, verdict)
    return verdict is not None


def _save(media: Media) -> None:
    fields = ["scan_state", "scan_due_at", "scan_problem", "scan_signature", "scanned_at"]
    # A row that was deleted meanwhile stays deleted.
    type(media)._default_manager.filter(pk=media.pk).update(**{name: getattr(media, name) for name in fields})


def _act_on(media: Media, verdict: Verdict) -> None:
    if verdict.is_clean:
        waiting = Q(reason_code=WAITS) | Q(lease_until__gt=Now())
        _wake(_deliveries_of(media).filter(waiting, state=DeliveryState.PREPARING))
        return
    _record_malware(media, actor=None)
    names = [str(file.name) for file in (media.file, getattr(media, "poster", None)) if file]
    transaction.on_commit(lambda: _delete_files(names))
    open_ones = _deliveries_of(media).open()
    failing = open_ones.filter(state__in=[DeliveryState.SCHEDULED, DeliveryState.PREPARING])
    if not failing.exists():  # these tell by themselves
        _tell(media)
    _wake(failing)
    for delivery in open_ones.filter(state=DeliveryState.UPLOADING):
        _cancel(delivery)


def _deliveries_of(media: Media) -> DeliveryQuerySet:
    rows = Delivery.objects.filter(workspace_id=media.workspace_id)
    return rows.filter(post__video=media) if isinstance(media, Video) else rows.filter(post__photos=media)


def _wake(rows: DeliveryQuerySet) -> None:
    for delivery in rows:
        Delivery.objects.filter(pk=delivery.pk, state=delivery.state).update(wake_at=Now())
        ring_on_commit(delivery)


def _cancel(delivery: Delivery) -> None:
    from publishing.services import cancel_delivery  # which needs the videos, and they the scanner

    with suppress(IllegalTransitionError, StaleTransitionError):  # it moved on just now
        cancel_delivery(delivery=delivery, user=None)


def _delete_files(names: list[str]) -> None:
    for name in names:
        try:
            default_storage.delete(name)
        except Exception as error:
            if not is_storage_error(error):
                raise
            logger.exception("an infected file could not be removed; the next clean-up will: %s", name)


def _tell(media: Media) -> None:
    message = Message(
        NoticeKind.FAILED,
        f"infected:{media.pk}",
        f"Deleted: {media.original_name}",
        f"The malware scanner found {media.scan_signature} in this file.",
        "Check the computer that the file comes from, export it again, and upload it anew.",
    )
    tell(creator_or_managers(media.workspace_id, media.uploaded_by_id), message)


def _record_malware(media: Media, *, actor: User | None) -> None:
    audit.record(
        "post.file_infected",
        workspace=media.workspace,
        actor=actor,
        file=media.original_name,
        sha256=media.sha256,
        found=media.scan_signature,
        uploaded_by=media.uploaded_by_id,
    )
    logger.warning("malware in an upload workspace=%s found=%s", media.workspace_id, media.scan_signature)


def _ask(media: Media, blocks: Iterable[bytes | memoryview], *, seconds: float) -> Verdict | None:
    """Ask the scanner and note its answer on `media`; None if it has no verdict."""
    try:
        verdict = scanner().scan(blocks, seconds=seconds)
    except ScannerError as error:
        logger.warning("no verdict on %s %s: %s", type(media).__name__, media.pk, error)
        _note_no_verdict(media, ScanProblem(error.kind))
        return None
    media.scan_state = ScanState.CLEAN if verdict.is_clean else ScanState.INFECTED
    media.scan_signature, media.scan_problem = verdict.signature, ""
    media.scanned_at, media.scan_due_at = timezone.now(), None
    scan_counts.count(media.scan_state)
    return verdict


def _note_no_verdict(media: Media, problem: ScanProblem) -> None:
    media.scan_state, media.scan_problem = ScanState.WAITING, problem
    media.scan_due_at = timezone.now() + _AGAIN.get(problem, _AGAIN_SOON)
    scan_counts.count(problem)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while block := file.read(BLOCK_BYTES):
        yield block
