"""Ending one session out of the list; the list itself, and ending all others, is allauth's."""

from __future__ import annotations

from allauth.usersessions.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from accounts.templatetags.signin import browser_name


@require_POST
def end_session(request: HttpRequest, session_id: int) -> HttpResponse:
    """Log one of the person's other browsers out, at once."""
    session = get_object_or_404(UserSession, pk=session_id, user_id=request.user.pk)
    if session.is_current():
        messages.info(request, "That is this browser. Log out here with the button in the menu.")
    else:
        get_adapter().end_sessions([session])
        messages.success(request, f"{browser_name(session.user_agent)} is logged out.")
    return redirect("usersessions_list")
