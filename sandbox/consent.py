"""The consent page: where a creator is chosen, scopes are ticked, and the browser is sent back.

https://developers.tiktok.com/doc/login-kit-web
"""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlencode

from sandbox.display import avatar_path
from sandbox.oauth import Consent, ConsentError
from sandbox.templating import page
from sandbox.wire import Answer, Request
from sandbox.world import World

COOKIE = "sandbox_creator"
ASKED = (
    "client_key",
    "scope",
    "redirect_uri",
    "state",
    "response_type",
    "disable_auto_auth",
    "code_challenge",
    "code_challenge_method",
)


async def show(world: World, request: Request) -> Answer:
    """GET /v2/auth/authorize/: the page, or straight back for someone who already consented."""
    try:
        consent = Consent(world, request.query)
        handle = _signed_in(request)
        if handle in world.creators and consent.may_skip_page(world, handle):
            granted = world.grants[f"{consent.app.client_key}|{handle}"].scopes
            return _redirect(consent.allow(world, world.creators[handle], granted))
    except ConsentError as error:
        return _error_page(request, error)
    creators = list(world.creators.values())
    chosen = handle if handle in world.creators else (creators[0].handle if creators else "")
    return page(
        "consent.html",
        app=consent.app,
        scopes=[s for s in consent.scopes if s != "user.info.basic"],
        creators=creators,
        avatars={c.handle: avatar_path(world, c, 100) for c in creators},
        chosen=chosen,
        asked={name: request.query[name] for name in ASKED if name in request.query},
        warn_target=consent.app.is_sandbox and world.settings.target_users_only,
    )


async def decide(world: World, request: Request) -> Answer:
    """POST /v2/auth/authorize/: what was chosen on the page."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
    asked = {name: form[name][0] for name in ASKED if name in form}
    try:
        consent = Consent(world, asked)
        if form.get("decision") != ["allow"]:
            return _redirect(consent.cancel())
        handle = form.get("creator", [""])[0]
        creator = world.creators.get(handle)
        if creator is None:
            return _redirect(f"/v2/auth/authorize/?{urlencode(asked)}")
        request.notes["creator"] = handle
        answer = _redirect(consent.allow(world, creator, form.get("grant", [])))
    except ConsentError as error:
        return _error_page(request, error)
    answer.headers["Set-Cookie"] = f"{COOKIE}={handle}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"
    return answer


def _signed_in(request: Request) -> str:
    try:
        cookie = SimpleCookie(request.headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookie[COOKIE].value if COOKIE in cookie else ""


def _redirect(address: str) -> Answer:
    return Answer(302, b"", "text/html; charset=utf-8", {"Location": address, "Cache-Control": "no-store"})


def _error_page(request: Request, error: ConsentError) -> Answer:
    answer = page("error.html", 400, item=error.item, error=error.error, log_id=request.log_id)
    answer.code = error.item
    return answer
