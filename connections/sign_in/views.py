"""The doors of signing in with TikTok. With TIKTOK_SIGN_IN off there is none of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from allauth.account.utils import get_next_redirect_url
from allauth.decorators import rate_limit
from allauth.socialaccount import views as allauth
from allauth.socialaccount.helpers import complete_social_login
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from connections.failures import ConnectError
from connections.sign_in import flow
from connections.sign_in.failures import page_of

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def when_on(view: View[P]) -> View[P]:
    """Answer 404 while TIKTOK_SIGN_IN is off."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not settings.TIKTOK_SIGN_IN:
            raise Http404("TIKTOK_SIGN_IN is off")
        return view(request, *args, **kwargs)

    return guarded


@login_not_required
@when_on
@require_http_methods(["GET", "POST"])
@rate_limit(action="login")
def login(request: HttpRequest) -> HttpResponse:
    """Send the browser to TikTok, to log in or to sign up."""
    if request.user.is_authenticated:
        return redirect("home")
    if request.method == "GET":  # somebody went back, or reloaded
        return redirect("account_login")
    return redirect(flow.start(request, process=flow.LOG_IN, next_url=get_next_redirect_url(request) or ""))


@when_on
@require_POST
@rate_limit(action="login")
def link(request: HttpRequest) -> HttpResponse:
    """Send the browser to TikTok, to log in that way too from now on."""
    return redirect(flow.start(request, process=flow.LINK))


@login_not_required
@when_on
@require_GET
@never_cache
@rate_limit(action="login", limit_get=True)
def callback(request: HttpRequest) -> HttpResponse:
    """Where TikTok sends the browser back to, with a code or a reason why not."""
    try:
        who = flow.finish(request, request.GET.dict())
    except ConnectError as error:
        return _show_failure(request, error)
    if who.state["process"] == flow.LOG_IN and request.user.is_authenticated:
        return redirect("home")  # logged in meanwhile, in another tab
    answer: HttpResponse = complete_social_login(request, who)
    return answer


signup = login_not_required(when_on(never_cache(allauth.signup)))
methods = when_on(never_cache(allauth.connections))


def _show_failure(request: HttpRequest, error: ConnectError) -> HttpResponse:
    page = page_of(error.failure)
    context = {"page": page, "code": error.code, "log_id": error.log_id}
    return render(request, "sign_in/failed.html", context, status=page.status)
