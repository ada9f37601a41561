"""How well publishing works just now: figures from the database and Redis, so that any process gives the same.

One set of figures for a workspace's page, the operators' page and the metrics. Each query uses an index made for it,
since pages ask every few seconds. All read few rows but the count of states: it reads its index alone, some 0.2 seconds
for a million deliveries.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.db.models import Count, DurationField, ExpressionWrapper, F, Max, Min, Q, QuerySet, Sum, Window
from django.db.models.functions import Greatest, Now, RowNumber

from accounts.models import Notice, Workspace
from config import heartbeat
from config.heartbeat import Sign
from connections.models import ConnectionStatus, SocialConnection, SocialConnectionQuerySet
from publishing.models import Attempt, Delivery
from publishing.states import DeliveryState, HoldReason

QUEUES = ("default", "uploads", "polls")

STUCK_AFTER = timedelta(minutes=1)
"""Due, and in nobody's hands, for so long: longer than a lost ring costs."""

SLOW_AFTER = timedelta(hours=1)
"""So long the platform has been processing a video; it says "minutes" itself."""

ERRORS_SINCE = timedelta(hours=24)
ENDS_WITHIN = timedelta(days=30)
LOG_IDS_SHOWN = 3
LISTED = 20

_SINCE_FREE = Greatest("wake_at", "lease_until")  # a dead worker's row is due from its lease's end


@dataclass(frozen=True)
class Queue:
    """The deliveries that should be taken up now, and the oldest one's wait; zero if there are none."""

    due_count: int
    stuck_count: int
    oldest_wait: timedelta


@dataclass(frozen=True)
class Trouble:
    """A delivery that somebody should look at: what is wrong, how bad that is (a badge's tone), and since when."""

    delivery: Delivery
    words: str
    tone: str
    since: datetime


@dataclass(frozen=True)
class ErrorCount:
    """One kind of error within ERRORS_SINCE: the platform's code or our word, how often, when, log ids to quote."""

    code: str
    count: int
    last_at: datetime
    log_ids: tuple[str, ...]


@dataclass(frozen=True)
class Services:
    """What Redis knows: signs of life and the depth of Celery's queues, None where the broker is no Redis."""

    redis_is_up: bool = False
    workers: tuple[Sign, ...] = ()
    beat: Sign | None = None
    dispatcher: Sign | None = None
    queues: dict[str, int | None] = field(default_factory=dict)

    @property
    def fresh_workers(self) -> int:
        """How many worker processes live."""
        return sum(sign.is_fresh for sign in self.workers)

    @property
    def dispatcher_is_fresh(self) -> bool:
        """Whether somebody looks for what is due."""
        return self.dispatcher is not None and self.dispatcher.is_fresh


def deliveries_of(workspace: Workspace | None) -> QuerySet[Delivery]:
    """The deliveries of one workspace, or for operators of all."""
    return Delivery.objects.all() if workspace is None else Delivery.objects.filter(workspace=workspace)


def count_states(workspace: Workspace | None = None) -> dict[DeliveryState, int]:
    """How many deliveries are in each state, those with none included."""
    # All states are named so that the index on (state, workspace) serves one workspace too.
    rows = deliveries_of(workspace).filter(state__in=DeliveryState.values)
    counts = dict(rows.order_by().values_list("state").annotate(n=Count("*")))
    return {state: counts.get(state.value, 0) for state in DeliveryState}


def count_held(workspace: Workspace | None = None) -> dict[HoldReason, int]:
    """How many deliveries wait for a person, by reason."""
    rows = deliveries_of(workspace).filter(state=DeliveryState.HELD).order_by()
    counts = dict(rows.values_list("hold_reason").annotate(n=Count("*")))
    return {reason: counts.get(reason.value, 0) for reason in HoldReason}


def measure_queue(workspace: Workspace | None = None) -> Queue:
    """Look at what is due, by the database's clock."""
    rows = deliveries_of(workspace) & Delivery.objects.due()
    found = rows.annotate(since_free=_SINCE_FREE).aggregate(
        due=Count("*"),
        stuck=Count("pk", filter=Q(since_free__lt=Now() - STUCK_AFTER)),
        wait=ExpressionWrapper(Now() - Min("since_free"), output_field=DurationField()),
    )
    return Queue(found["due"], found["stuck"], max(found["wait"] or timedelta(), timedelta()))


def find_troubles(workspace: Workspace | None = None) -> list[Trouble]:
    """The deliveries to look at, up to LISTED of each kind: unconfirmed, stuck, held, slow; the oldest first."""
    rows = deliveries_of(workspace).select_related("post__video", "connection", "workspace")
    held = rows.filter(state=DeliveryState.HELD).order_by("state_changed_at")
    unconfirmed = held.filter(hold_reason=HoldReason.UNCONFIRMED)
    stuck = (rows & Delivery.objects.due()).annotate(since_free=_SINCE_FREE)
    stuck = stuck.filter(since_free__lt=Now() - STUCK_AFTER).order_by("wake_at")
    slow = rows.filter(state=DeliveryState.PROCESSING, state_changed_at__lt=Now() - SLOW_AFTER)
    found = [
        *(_trouble(row, HoldReason.UNCONFIRMED.label, "danger") for row in unconfirmed[:LISTED]),
        *(Trouble(row, "Nobody takes it up", "danger", row.since_free) for row in stuck[:LISTED]),
        *(
            _trouble(row, HoldReason(row.hold_reason).label, "warning")
            for row in held.exclude(hold_reason=HoldReason.UNCONFIRMED)[:LISTED]
        ),
        *(
            _trouble(row, "The platform is still processing", "neutral")
            for row in slow.order_by("state_changed_at")[:LISTED]
        ),
    ]
    return _each_once(found)


def _trouble(delivery: Delivery, words: str, tone: str) -> Trouble:
    return Trouble(delivery, words, tone, delivery.state_changed_at)


def _each_once(found: Iterable[Trouble]) -> list[Trouble]:
    """The first word on each delivery: one in processing that nobody asks about is stuck, not slow."""
    first: dict[uuid.UUID, Trouble] = {}
    for one in found:
        first.setdefault(one.delivery.pk, one)
    return list(first.values())


def count_errors(workspace: Workspace | None = None) -> list[ErrorCount]:
    """What went wrong within ERRORS_SINCE, by code, the most frequent first.

    A failure that repeats unchanged is one attempt with a count; all of the count falls on the time of its last.
    """
    rows = Attempt.objects.went_wrong().filter(finished_at__gte=Now() - ERRORS_SINCE).order_by()
    if workspace is not None:
        rows = rows.filter(workspace=workspace)
    counts = rows.values("outcome").annotate(n=Sum("repeat_count"), last_at=Max("finished_at"))
    log_ids = _last_log_ids(rows)
    found = [
        ErrorCount(row["outcome"], row["n"], row["last_at"], tuple(log_ids.get(row["outcome"], ())))
        for row in counts
    ]
    return sorted(found, key=lambda one: (-one.count, one.code))


def _last_log_ids(rows: QuerySet[Attempt]) -> dict[str, list[str]]:
    newest = Window(RowNumber(), partition_by="outcome", order_by=F("finished_at").desc())
    last = rows.exclude(log_id="").annotate(place=newest).filter(place__lte=LOG_IDS_SHOWN)
    found: dict[str, list[str]] = {}
    for outcome, log_id in last.order_by("-finished_at").values_list("outcome", "log_id"):
        found.setdefault(outcome, []).append(log_id)
    return found


def _connections_of(workspace: Workspace | None) -> SocialConnectionQuerySet:
    rows = SocialConnection.objects.all()
    return rows if workspace is None else rows.filter(workspace=workspace)


def count_connections() -> dict[ConnectionStatus, int]:
    """How many connections there are in each status, over all workspaces."""
    counts = dict(SocialConnection.objects.order_by().values_list("status").annotate(n=Count("*")))
    return {status: counts.get(status.value, 0) for status in ConnectionStatus}


def lost_connections(workspace: Workspace | None = None) -> QuerySet[SocialConnection]:
    """Those that must be reconnected."""
    rows = _connections_of(workspace).filter(status=ConnectionStatus.NEEDS_REAUTH)
    return rows.select_related("workspace").order_by("created_at")


def ending_connections(workspace: Workspace | None = None) -> QuerySet[SocialConnection]:
    """Active ones whose refresh token ends within ENDS_WITHIN, the first to end first."""
    rows = _connections_of(workspace).active().filter(refresh_expires_at__lte=Now() + ENDS_WITHIN)
    return rows.select_related("workspace").order_by("refresh_expires_at")


@dataclass(frozen=True)
class Emails:
    """E-mails of notices that are to be sent, and those of them that failed at least once."""

    waiting: int
    failing: int


def count_emails() -> Emails:
    """Look at the e-mails of notices that have not gone out."""
    found = Notice.objects.filter(email_due_at__isnull=False).aggregate(
        waiting=Count("*"), failing=Count("pk", filter=Q(email_tries__gt=0))
    )
    return Emails(found["waiting"], found["failing"])


def read_services() -> Services:
    """Ask Redis for the signs of life and the queues. A Redis that does not answer is an answer too."""
    try:
        return Services(
            redis_is_up=True,
            workers=tuple(heartbeat.read_workers()),
            beat=heartbeat.read_beat(),
            dispatcher=heartbeat.read_dispatcher(),
            queues=_queue_depths(),
        )
    except redis.RedisError:
        return Services()


def _queue_depths() -> dict[str, int | None]:
    """The lengths of the lists that Celery keeps in Redis. Another kind of broker has a monitor of its own."""
    if not urlsplit(settings.CELERY_BROKER_URL).scheme.startswith("redis"):
        return dict.fromkeys(QUEUES)
    with (
        redis.Redis.from_url(
            settings.CELERY_BROKER_URL, socket_connect_timeout=3, socket_timeout=3
        ) as client,
        client.pipeline(transaction=False) as pipe,
    ):
        for name in QUEUES:
            pipe.llen(name)
        return dict(zip(QUEUES, pipe.execute(), strict=True))
