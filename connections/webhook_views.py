"""Where platforms post their webhooks. Public by nature: the signature is what counts."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from connections import webhooks
from connections.providers import provider_for
from connections.providers.base import WebhookRefusedError

logger = logging.getLogger(__name__)

MAX_BYTES = 64 * 1024
"""Larger than any event by far; what is larger is not read at all."""


@csrf_exempt
@login_not_required
@require_POST
def receive(request: HttpRequest, provider: str) -> HttpResponse:
    """Store one event and answer at once; a worker acts on it.

    200: stored, or known already. 401: not signed with our secret. 403: signed, but stale, from the future or for
    another app. 413: too large. Nothing but a 200 has touched the database.
    """
    try:
        receiver = provider_for(provider).webhook_receiver()
    except LookupError:
        raise Http404 from None
    if _declared_bytes(request.META) > MAX_BYTES:
        return _refused(provider, "too large", 413)
    try:
        body = request.body
    except UnreadablePostError:
        return _refused(provider, "cut off", 400)
    try:
        notice = receiver.read(headers=request.headers, body=body, now=timezone.now())
    except WebhookRefusedError as error:
        return _refused(provider, str(error), 403 if error.is_signed else 401)
    webhooks.store(provider=provider, notice=notice, body=body)
    return HttpResponse(status=200)


def _declared_bytes(meta: Mapping[str, object]) -> int:
    """The server reads no further than this; without it, nothing."""
    text = str(meta.get("CONTENT_LENGTH") or "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _refused(provider: str, reason: str, status: int) -> HttpResponse:
    logger.warning("webhook refused provider=%s status=%s: %s", provider, status, reason)
    return HttpResponse(status=status)
