"""Carrying out a fault: wrong answers, slow answers, and connections that really break."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Message, Send

from sandbox.faults import Fault
from sandbox.wire import Answer, Request, dump
from sandbox.world import World, digest

HTML = b"<!doctype html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1><p>The upstream did not answer.</p>"
SLOW_STEP_SECONDS = 0.1


async def serve(
    fault: Fault, request: Request, process: Callable[[], Awaitable[Answer]], send: Send
) -> Answer | None:
    """Answer `request` as the rule says; None where no answer got out.

    The request is processed first if the rule keeps the true answer (delay, hold, slow, drop after) or says `process`.
    """
    action = fault.action
    if delay := action.get("delay"):
        await asyncio.sleep(delay)
    drop = action.get("drop")
    if drop == "before":
        await reset(request)
        return None
    if drop == "mid_body":
        request.receive = _breaking(request, int(action.get("after_bytes", 1)))
    answer = await process() if drop or action.get("process") or not _replaces(action) else None
    if hold := action.get("hold"):
        await asyncio.sleep(hold)
    if drop == "after":
        await reset(request)
        return None
    if answer is None or _replaces(action):
        answer = _replacement(action, request, answer)
    if drop == "mid_answer":
        await send(answer.start(len(answer.body)))
        await send(
            {"type": "http.response.body", "body": answer.body[: len(answer.body) // 2], "more_body": True}
        )
        await asyncio.sleep(SLOW_STEP_SECONDS)
        await reset(request)
    elif rate := action.get("slow_bytes_per_second"):
        await _drip(answer, send, rate)
    else:
        await answer.send(send)
    return answer


async def reset(request: Request) -> None:
    """Break the connection at once: the client sees a reset, not an orderly end."""
    transport = request.scope["sandbox.transport"]
    if (sock := transport.get_extra_info("socket")) is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await asyncio.sleep(0)  # connection_lost runs: from here on the server knows that nobody listens


async def form_facts(world: World, request: Request) -> dict[str, Any]:
    """What a token or revoke call is about; the body stays readable for its handler."""
    body = await request.body()

    async def again() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    request.receive = again
    form = dict(parse_qsl(body.decode("utf-8", "replace")))
    facts: dict[str, Any] = {"grant_type": form.get("grant_type"), "client_key": form.get("client_key")}
    token = world.tokens.get(digest(form.get("refresh_token") or form.get("token") or ""))
    code = world.codes.get(form.get("code", ""))
    if token is not None and token.grant in world.grants:
        facts["creator"] = world.grants[token.grant].handle
    elif code is not None:
        facts["creator"] = code.handle
    return facts


def _replaces(action: dict[str, Any]) -> bool:
    return bool({"status", "body", "html", "malformed", "empty", "truncated", "code"} & set(action))


def _replacement(action: dict[str, Any], request: Request, true: Answer | None) -> Answer:
    """The wrong answer. Its status: as given, else 200 for wrong bodies and 500 for nothing else said."""
    answer = Answer(headers={"x-tt-logid": request.log_id})
    shaped = {"body", "malformed", "empty", "truncated", "code"} & set(action)
    answer.status = action.get("status") or (200 if shaped else 502)
    code = action.get("code") or "internal_error"
    error = {"code": code, "message": action.get("message", ""), "log_id": request.log_id}
    answer.code = code
    if "body" in action:
        answer.body = action["body"].encode() if isinstance(action["body"], str) else dump(action["body"])
    elif action.get("html"):
        answer.body, answer.content_type = HTML, "text/html; charset=utf-8"
    elif action.get("malformed"):
        answer.body = b'{"data": {"publish_id": oops}'
    elif action.get("empty"):
        answer.body = b""
    elif action.get("truncated"):
        whole = true.body if true is not None else dump({"data": {}, "error": error})
        answer.body = whole[: max(1, len(whole) // 2)]
    elif request.endpoint == "upload":
        answer.body = b"null"
    elif request.endpoint in {"token", "revoke"}:
        answer.body = dump({"error": code, "error_description": error["message"], "log_id": request.log_id})
    else:
        answer.body = dump({"data": {}, "error": error})
    if "retry_after" in action:
        answer.headers["Retry-After"] = str(action["retry_after"])
    return answer


def _breaking(request: Request, after_bytes: int) -> Callable[[], Awaitable[Message]]:
    """A receive that breaks the connection once so many body bytes came in."""
    real = request.receive
    seen = 0

    async def receive() -> Message:
        nonlocal seen
        message = await real()
        seen += len(message.get("body", b""))
        if seen >= after_bytes and message["type"] == "http.request":
            request.receive = real
            await reset(request)
            return {"type": "http.disconnect"}
        return message

    return receive


async def _drip(answer: Answer, send: Send, bytes_per_second: float) -> None:
    await send(answer.start(len(answer.body)))
    step = max(1, round(bytes_per_second * SLOW_STEP_SECONDS))
    for at in range(0, len(answer.body), step):
        await asyncio.sleep(SLOW_STEP_SECONDS)
        part = answer.body[at : at + step]
        await send({"type": "http.response.body", "body": part, "more_body": at + step < len(answer.body)})
    if not answer.body:
        await send({"type": "http.response.body", "body": b""})
