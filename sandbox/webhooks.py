"""Signed events to the app's webhook URL, repeated until it answers 200.

https://developers.tiktok.com/doc/webhooks-overview  https://developers.tiktok.com/doc/webhooks-verification
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import secrets
from typing import Any

from sandbox import outbound
from sandbox.models import Hook
from sandbox.world import World

RETRY_FIRST_SECONDS = 60.0
RETRY_CAP_SECONDS = 6 * 3600.0
GIVE_UP_SECONDS = 72 * 3600.0
SHUFFLE_SECONDS = 2.0

_running: set[asyncio.Task[None]] = set()


def emit(world: World, client_key: str, event: str, open_id: str, content: dict[str, Any]) -> None:
    """Tell the app, if it has a webhook URL. `content` travels as JSON text inside the JSON body."""
    app = world.apps.get(client_key)
    if app is None or not app.webhook_url:
        return
    body = {
        "client_key": client_key,
        "event": event,
        "create_time": int(world.now()),
        "user_openid": open_id,
        "content": json.dumps(content, separators=(",", ":")),
    }
    settings = world.settings
    for _ in range(2 if settings.webhook_duplicate else 1):
        delay = settings.webhook_delay_seconds
        if settings.webhook_shuffle:
            delay += random.uniform(0, SHUFFLE_SECONDS)  # noqa: S311 - not a secret
        due = world.now() + delay / settings.webhook_speed
        text = json.dumps(body, separators=(",", ":"))
        hook = Hook(secrets.token_hex(8), client_key, app.webhook_url, event, text, world.now(), due)
        world.add_hook(hook)
        world.agenda.put(due, "hook", hook.hook_id)


def attempt(world: World, hook: Hook) -> None:
    """Start one delivery attempt if one is due; it runs by itself."""
    if hook.state == "pending" and hook.next_at is not None and hook.next_at <= world.now():
        hook.next_at = None
        task = asyncio.get_running_loop().create_task(_deliver(world, hook))
        _running.add(task)
        task.add_done_callback(_running.discard)


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The value of the TikTok-Signature header."""
    message = f"{timestamp}.".encode() + body
    return f"t={timestamp},s={hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()}"


async def _deliver(world: World, hook: Hook) -> None:
    app = world.apps.get(hook.client_key)
    if app is None:
        hook.state = "dropped"
        world.save(hook)
        return
    body = hook.body.encode()
    at = world.now()
    headers = {
        "Content-Type": "application/json",
        "TikTok-Signature": signature(app.client_secret, int(at), body),
        "User-Agent": "sandbox-webhooks",
    }
    fault = world.faults.take({"endpoint": "webhook", "event": hook.event})
    try:
        if fault is not None:
            status, error = 0, f"fault: {fault.rule_id}"
        else:
            status = await outbound.post(
                hook.url, body, headers, timeout=world.settings.webhook_timeout_seconds
            )
            error = ""
    except outbound.OutboundError as problem:
        status, error = 0, str(problem)
    hook.attempts.append({"at": at, "status": status, "error": error})
    if status == 200:
        hook.state = "delivered"
    else:
        _retry(world, hook)
    world.save(hook)


def _retry(world: World, hook: Hook) -> None:
    wait = (
        min(RETRY_FIRST_SECONDS * 2 ** (len(hook.attempts) - 1), RETRY_CAP_SECONDS)
        / world.settings.webhook_speed
    )
    due = world.now() + wait
    if due - hook.created_at > GIVE_UP_SECONDS / world.settings.webhook_speed:
        hook.state = "dropped"
        return
    hook.next_at = due
    world.agenda.put(due, "hook", hook.hook_id)
