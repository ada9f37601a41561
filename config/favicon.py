"""The site's icon at the place where browsers look by themselves, from pages that name none: a file, an error, JSON."""

from __future__ import annotations

from functools import cache

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

DAY_S = 86_400


@login_not_required
@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """Send the icon, for a day. It asks neither database nor session."""
    headers = {"Cache-Control": f"public, max-age={DAY_S}"}
    return HttpResponse(_icon(), content_type="image/x-icon", headers=headers)


@cache
def _icon() -> bytes:
    return (settings.BASE_DIR / "static" / "img" / "favicon.ico").read_bytes()
