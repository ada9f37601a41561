"""What all JSON endpoints share: who asks, may they, how often, and what is in the body."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sandbox.models import App, Creator, Grant, Token
from sandbox.wire import NO_SCOPE, UNKNOWN_CALLER, Answer, ApiError, Request, bearer, dump
from sandbox.world import World


@dataclass
class Caller:
    """The parties of one authorized call."""

    app: App
    creator: Creator
    grant: Grant
    token: Token


def identify(world: World, request: Request) -> Caller:
    """Who the bearer token speaks for. ApiError 401: nobody."""
    token = world.find_token(bearer(request), "access")
    if token is None:
        raise ApiError(401, "access_token_invalid", UNKNOWN_CALLER)
    grant = world.grants[token.grant]
    app, creator = world.apps.get(grant.client_key), world.creators.get(grant.handle)
    if app is None or creator is None:
        raise ApiError(401, "access_token_invalid", UNKNOWN_CALLER)
    request.notes |= {"creator": creator.handle, "token": f"…{token.digest[-6:]}"}
    return Caller(app, creator, grant, token)


def authorize(world: World, request: Request, *any_scope: str) -> Caller:
    """Identify the caller, then check scope (one of `any_scope`) and rate, in TikTok's suspected order."""
    caller = identify(world, request)
    require_scope(caller, *any_scope)
    require_rate(world, request, caller)
    return caller


def require_scope(caller: Caller, *any_scope: str) -> None:
    """ApiError 401 if the token holds none of `any_scope`."""
    if any_scope and not set(any_scope) & set(caller.token.scopes):
        raise ApiError(401, "scope_not_authorized", NO_SCOPE)


def require_rate(world: World, request: Request, caller: Caller) -> None:
    """Count the call. ApiError 429 if the token is over the endpoint's limit a minute."""
    settings = world.settings
    limit = settings.rate_limits.get(request.endpoint)
    if limit is None or not settings.rate_limits_on:
        return
    if not world.windows.admit((request.endpoint, caller.token.digest), limit, world.now()):
        retry = {} if settings.retry_after is None else {"Retry-After": str(settings.retry_after)}
        raise ApiError(
            429, "rate_limit_exceeded", "The API rate limit was exceeded. Please try again later.", retry
        )


async def json_body(world: World, request: Request) -> dict[str, Any]:
    """The JSON object of the body; an absent body is an empty one. ApiError 400: not an object, or not JSON."""
    raw = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if raw and kind != "application/json":
        raise bad_params(world, "The request content type must be application/json")
    try:
        body = json.loads(raw) if raw.strip() else {}
    except ValueError:
        raise bad_params(world, "The request body is not valid JSON") from None
    if not isinstance(body, dict):
        raise bad_params(world, "The request body must be a JSON object")
    return body


def bad_params(world: World, message: str) -> ApiError:
    """The 400 for bad parameters: docs and wire disagree about the code's spelling, hence a knob."""
    return ApiError(400, world.settings.params_code, message)


def success(world: World, request: Request, data: dict[str, Any] | None) -> Answer:
    """The envelope of a success; `data` None leaves it out."""
    return envelope(world, request, 200, "ok", "", data)


def refusal(world: World, request: Request, error: ApiError) -> Answer:
    """The envelope of a refusal."""
    data: dict[str, Any] | None = {} if world.settings.error_data == "empty" else None
    answer = envelope(world, request, error.status, error.code, error.message, data)
    answer.headers |= error.headers
    return answer


def envelope(
    world: World, request: Request, status: int, code: str, message: str, data: dict[str, Any] | None
) -> Answer:
    """`{"data": …, "error": {code, message, log_id}}`."""
    error = {"code": code, "message": message, world.settings.log_id_key: request.log_id}
    document = {"error": error} if data is None else {"data": data, "error": error}
    return Answer(status, dump(document), code=code)
