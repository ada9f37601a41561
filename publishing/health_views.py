"""How well publishing works, on a page: for the members of a workspace, and for operators over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import Workspace
from accounts.scopes import System, system_scope
from accounts.tenancy import require_membership
from connections.keys import key_health
from publishing import health
from publishing.scan_health import look_at_scanner
from publishing.scanning import count_held
from publishing.states import HoldReason
from publishing.views import is_htmx

POLL_SECONDS = 5


@dataclass(frozen=True)
class Finding:
    """One sentence on what is wrong, how bad it is (an alert's tone), and what to do."""

    tone: str
    title: str
    advice: str


@never_cache
@require_safe
def workspace_health(request: HttpRequest, slug: str) -> HttpResponse:
    """Show any member how the workspace's publishing stands; htmx gets the part that changes."""
    workspace = require_membership(request, slug).workspace
    return _answer(request, "publishing/health.html", "publishing/_health.html", _figures(workspace))


@never_cache
@require_safe
@system_scope(System.OPERATIONS)
def operations(request: HttpRequest) -> HttpResponse:
    """Show operators how everything stands; htmx gets the part that changes. Raises PermissionDenied to others."""
    if not request.user.is_staff:
        raise PermissionDenied("This page is for operators.")
    context = _figures(None) | {
        "emails": health.count_emails(),
        "scanner": look_at_scanner(),
        "for_operators": True,
    }
    if not is_htmx(request):
        context["keys"] = key_health()  # reads every sealed value's head: not every few seconds
    return _answer(request, "publishing/operations.html", "publishing/_health.html", context)


def _answer(request: HttpRequest, whole: str, part: str, context: dict[str, Any]) -> HttpResponse:
    return render(request, part if is_htmx(request) else whole, context)


def _figures(workspace: Workspace | None) -> dict[str, Any]:
    services, queue = health.read_services(), health.measure_queue(workspace)
    held = health.count_held(workspace)
    lost = health.lost_connections(workspace)
    listed = list(lost[: health.LISTED])
    return {
        "services": services,
        "queue": queue,
        "states": health.count_states(workspace).items(),
        "held": held.items(),
        "troubles": health.find_troubles(workspace),
        "errors": health.count_errors(workspace),
        "lost": listed,
        "ending": health.ending_connections(workspace)[: health.LISTED],
        "findings": find_faults(
            services,
            queue,
            held=held,
            lost=len(listed) if len(listed) < health.LISTED else lost.count(),
            unscanned=count_held(workspace),
        ),
        "poll_seconds": POLL_SECONDS,
    }


def find_faults(
    services: health.Services,
    queue: health.Queue,
    *,
    held: Mapping[HoldReason, int],
    lost: int,
    unscanned: int = 0,
) -> list[Finding]:
    """Say what is wrong, the worst first; an empty list means that all moves.

    `held` counts the deliveries that wait for a person by reason. `lost` are connections to reconnect, `unscanned`
    files that the malware scanner has failed to judge.
    """
    found = _service_faults(services)
    if queue.stuck_count:
        found.append(
            Finding(
                "warning",
                f"{_count(queue.stuck_count, 'post waits', 'posts wait')} longer than usual",
                "The workers are too few for what is due, or one of them hangs.",
            )
        )
    found += _faults_of_held(held, lost=lost)
    if unscanned:
        words = _count(unscanned, "file waits", "files wait")
        found.append(
            Finding(
                "warning",
                f"{words} for the malware scanner",
                "Posts with them go on by themselves after it. If it stays so, an operator has to look at the scanner.",
            )
        )
    if lost:
        words = _count(lost, "account needs", "accounts need")
        found.append(Finding("warning", f"{words} reconnecting", "Their posts wait until that is done."))
    return found


def _service_faults(services: health.Services) -> list[Finding]:
    safe = "No post is lost: all go on by themselves as soon as it runs again."
    if not services.redis_is_up:
        return [Finding("danger", "The queue does not answer", f"An operator has to look at Redis. {safe}")]
    if not services.fresh_workers:
        return [Finding("danger", "No worker is running", f"An operator has to start one. {safe}")]
    if not services.dispatcher_is_fresh:
        return [
            Finding(
                "danger",
                "The dispatcher is silent",
                f"Nothing looks for what is due: an operator has to look at the beat process. {safe}",
            )
        ]
    return []


def _faults_of_held(held: Mapping[HoldReason, int], *, lost: int) -> list[Finding]:
    """Posts that wait for a person. Those of accounts to reconnect are told of by their accounts, if there are such."""
    unconfirmed, misconfigured = held[HoldReason.UNCONFIRMED], held[HoldReason.CONFIGURATION]
    disconnected = 0 if lost else held[HoldReason.RECONNECT]
    found = []
    if unconfirmed:
        found.append(
            Finding(
                "warning",
                f"{_count(unconfirmed, 'post', 'posts')} may be published or not",
                "Look at the profile: if it is there, mark it as posted; if not, send it again.",
            )
        )
    if misconfigured:
        words = _count(misconfigured, "post waits", "posts wait")
        advice = "Open each: it says what has to be put right. Then retry it."
        found.append(Finding("warning", f"{words} for an operator", advice))
    if disconnected:
        words = _count(disconnected, "post waits", "posts wait")
        advice = "Connect it again, and they go on by themselves; or cancel them."
        found.append(Finding("warning", f"{words} for an account that was disconnected", advice))
    return found


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
