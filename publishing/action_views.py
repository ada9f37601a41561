"""What a person may do with a delivery: send it again, stop it, or say that it is there."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from accounts.models import User
from accounts.permissions import Permission
from accounts.tenancy import require_membership
from connections.providers import provider_for
from publishing import services
from publishing.models import Delivery, IllegalTransitionError, StaleTransitionError
from publishing.services import CancelOutcome
from publishing.sources import SourceRemovedError
from publishing.states import DeliveryState

CHANGED = "This post has moved on meanwhile, so nothing was done. This is how it stands now."
CANCEL_WORDS = {
    CancelOutcome.CANCELED: (messages.SUCCESS, "Canceled. Nothing was posted, and nothing will be."),
    CancelOutcome.STOPPING: (messages.INFO, "Stopping: it is canceled before the last part is sent."),
    CancelOutcome.ASKED: (
        messages.INFO,
        "{platform} is asked to stop fetching it. In a moment this page says whether that was in time.",
    ),
    CancelOutcome.TOO_LATE: (
        messages.WARNING,
        "Too late to cancel: the whole video is with {platform} already. Once it is posted, you can delete it in the "
        "{platform} app.",
    ),
}


@require_POST
def delivery_retry(request: HttpRequest, slug: str, delivery_id: str) -> HttpResponse:
    """Send a failed, canceled or held delivery again."""
    delivery = _delivery(request, slug, delivery_id)
    try:
        services.retry_delivery(delivery=delivery, user=_user(request))
    except SourceRemovedError as error:
        messages.warning(request, str(error))
    except (IllegalTransitionError, StaleTransitionError):
        messages.warning(request, CHANGED)
    else:
        is_anew = delivery.state == DeliveryState.SCHEDULED
        messages.success(request, "It is being sent again." if is_anew else "It goes on from where it was.")
    return redirect("publishing:post_detail", slug=slug, post_id=delivery.post_id)


@require_POST
def delivery_cancel(request: HttpRequest, slug: str, delivery_id: str) -> HttpResponse:
    """Stop a delivery, or say truly that it is too late."""
    delivery = _delivery(request, slug, delivery_id)
    try:
        outcome = services.cancel_delivery(delivery=delivery, user=_user(request))
    except (IllegalTransitionError, StaleTransitionError):
        messages.warning(request, CHANGED)
    else:
        level, words = CANCEL_WORDS[outcome]
        if outcome is CancelOutcome.CANCELED and delivery.committed_at:
            level, words = messages.WARNING, "Canceled here. Look at the {platform} profile: it may be there."
        messages.add_message(request, level, words.format(platform=_platform(delivery)))
    return redirect("publishing:post_detail", slug=slug, post_id=delivery.post_id)


@require_POST
def delivery_posted(request: HttpRequest, slug: str, delivery_id: str) -> HttpResponse:
    """A person looked and found the post on the profile."""
    delivery = _delivery(request, slug, delivery_id)
    try:
        services.mark_as_posted(delivery=delivery, user=_user(request))
    except (IllegalTransitionError, StaleTransitionError):
        messages.warning(request, CHANGED)
    else:
        messages.success(request, "Marked as posted.")
    return redirect("publishing:post_detail", slug=slug, post_id=delivery.post_id)


def _delivery(request: HttpRequest, slug: str, delivery_id: str) -> Delivery:
    workspace = require_membership(request, slug, at_least=Permission.PUBLISH.least).workspace
    return get_object_or_404(workspace.deliveries.select_related("connection", "post"), pk=delivery_id)


def _platform(delivery: Delivery) -> str:
    return provider_for(delivery.connection.provider).label


def _user(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None
