"""The ASGI application: the API by exact path, everything else to the pages."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox import consent, display, lifecycle, oauth, posting, pulls, trouble, uploads
from sandbox.api import refusal
from sandbox.models import Task
from sandbox.pages import build_pages
from sandbox.wire import Answer, ApiError, FlatError, Request, bearer, new_log_id
from sandbox.world import World

Handler = Callable[[World, Request], Awaitable[Answer]]

ROUTES: dict[tuple[str, str], tuple[str, Handler]] = {
    ("GET", "/v2/auth/authorize/"): ("authorize", consent.show),
    ("POST", "/v2/auth/authorize/"): ("authorize", consent.decide),
    ("POST", "/v2/oauth/token/"): ("token", oauth.token),
    ("POST", "/v2/oauth/revoke/"): ("revoke", oauth.revoke),
    ("GET", "/v2/user/info/"): ("user_info", display.user_info),
    ("POST", "/v2/video/list/"): ("video_list", display.video_list),
    ("POST", "/v2/video/query/"): ("video_query", display.video_query),
    ("POST", "/v2/post/publish/creator_info/query/"): ("creator_info", posting.creator_info),
    ("POST", "/v2/post/publish/video/init/"): ("video_init", posting.video_init),
    ("POST", "/v2/post/publish/inbox/video/init/"): ("inbox_init", posting.inbox_init),
    ("POST", "/v2/post/publish/content/init/"): ("content_init", posting.content_init),
    ("POST", "/v2/post/publish/status/fetch/"): ("status", posting.status),
    ("POST", "/v2/post/publish/cancel/"): ("cancel", posting.cancel),
    ("PUT", "/upload/"): ("upload", uploads.put),
}
FLAT_ENDPOINTS = {"token", "revoke"}

log = logging.getLogger("sandbox")


class Sandbox:
    """Dispatches, injects trouble, keeps the request log, and runs what happens by itself."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._pages: ASGIApp = build_pages(world)
        self._jobs: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        route = ROUTES.get((scope["method"], scope["path"]))
        if route is None:
            await self._pages(scope, receive, send)
        else:
            await self._serve(*route, scope, receive, send)

    async def _serve(
        self, endpoint: str, handler: Handler, scope: Scope, receive: Receive, send: Send
    ) -> None:
        request = Request(scope, receive, endpoint, new_log_id())
        started = time.perf_counter()
        answer: Answer | None = None
        fault = None
        if self.world.faults.rules:
            facts = await self._facts(request)
            fault = self.world.faults.take(facts)
            request.notes |= {name: facts[name] for name in ("creator", "publish_id") if facts.get(name)}
        try:
            if fault is None:
                answer = await self._answer(request, handler)
                await answer.send(send)
            else:
                answer = await trouble.serve(fault, request, lambda: self._answer(request, handler), send)
        except ClientDisconnect:
            request.notes["gone"] = True
        finally:
            self._note(request, answer, fault.rule_id if fault else "", time.perf_counter() - started)

    async def _answer(self, request: Request, handler: Handler) -> Answer:
        try:
            answer = await handler(self.world, request)
        except ApiError as error:
            answer = refusal(self.world, request, error)
        except FlatError as error:
            answer = oauth.flat_refusal(self.world, request, error)
        except ClientDisconnect:
            raise
        except Exception:
            log.exception("%s failed", request.endpoint)
            answer = self._internal_error(request)
        answer.headers["x-tt-logid"] = request.log_id
        return answer

    def _internal_error(self, request: Request) -> Answer:
        if request.endpoint in FLAT_ENDPOINTS:
            return oauth.flat_refusal(self.world, request, FlatError("server_error", "Internal error.", 500))
        return refusal(self.world, request, ApiError(500, "internal_error", "Internal error."))

    async def _facts(self, request: Request) -> dict[str, Any]:
        """What fault rules can match on, found out without any effect."""
        facts: dict[str, Any] = {"endpoint": request.endpoint}
        if request.endpoint == "upload":
            task: Task | None = uploads.find_task(self.world, request)
            if task is not None:
                facts |= {
                    "creator": task.handle,
                    "publish_id": task.publish_id,
                    "client_key": task.client_key,
                    "chunk_index": uploads.requested_index(task, request),
                }
        elif request.endpoint in FLAT_ENDPOINTS:
            facts |= await trouble.form_facts(self.world, request)
        else:
            token = self.world.find_token(bearer(request), "access")
            if token is not None:
                grant = self.world.grants[token.grant]
                facts |= {"creator": grant.handle, "client_key": grant.client_key}
        return facts

    def _note(self, request: Request, answer: Answer | None, fault: str, seconds: float) -> None:
        entry = {
            "at": self.world.now(),
            "endpoint": request.endpoint,
            "status": answer.status if answer else 0,
            "code": answer.code if answer else "",
            "log_id": request.log_id,
            "ms": round(seconds * 1000, 1),
            "fault": fault,
            **request.notes,
        }
        self.world.log.add(entry)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _start(self) -> None:
        lifecycle.resume(self.world)
        pulls.resume(self.world)
        self._jobs = [
            asyncio.create_task(self.world.store.run()),
            asyncio.create_task(lifecycle.run(self.world)),
        ]

    async def _stop(self) -> None:
        for job in self._jobs:
            job.cancel()
            with suppress(asyncio.CancelledError):
                await job
        self.world.store.close()
