"""The JSON control API under /control/api/: knobs, creators, faults, and what really happened."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox import lifecycle, oauth, pulls, uploads, webhooks
from sandbox.faults import FaultError
from sandbox.models import ALL_SCOPES, App, Creator, Grant, Post, Record, Task
from sandbox.settings import SettingError
from sandbox.world import World

R = TypeVar("R", App, Creator)
FAIL_REASONS = (
    "file_format_check_failed",
    "duration_check_failed",
    "frame_rate_check_failed",
    "picture_size_check_failed",
    "internal",
    "video_pull_failed",
    "photo_pull_failed",
    "publish_cancelled",
    "auth_removed",
    "spam_risk_too_many_posts",
    "spam_risk_user_banned_from_posting",
    "spam_risk_text",
    "spam_risk",
)


HANDLE = re.compile(r"[A-Za-z0-9_.]{1,24}")


class ControlError(Exception):
    """A control call that cannot be carried out."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def parse_value(item: str) -> tuple[str, Any]:
    """`name=value`, the value read as JSON where it is JSON, else as text."""
    name, _, text = item.partition("=")
    try:
        return name, json.loads(text)
    except ValueError:
        return name, text


def build_routes(world: World) -> list[Route]:
    """The routes of the control API over `world`."""
    api = ControlApi(world)
    table: list[tuple[str, str, Callable[[Request], Awaitable[Any]]]] = [
        ("GET", "/", api.overview),
        ("POST", "/reset", api.reset),
        ("GET", "/settings", api.get_settings),
        ("PATCH", "/settings", api.patch_settings),
        ("GET", "/apps", api.list_apps),
        ("POST", "/apps", api.put_app),
        ("DELETE", "/apps/{key}", api.delete_app),
        ("GET", "/creators", api.list_creators),
        ("POST", "/creators", api.create_creator),
        ("GET", "/creators/{handle}", api.get_creator),
        ("PATCH", "/creators/{handle}", api.patch_creator),
        ("DELETE", "/creators/{handle}", api.delete_creator),
        ("POST", "/creators/{handle}/disconnect", api.disconnect),
        ("POST", "/creators/{handle}/tokens/expire", api.expire_tokens),
        ("POST", "/creators/{handle}/tokens/kill", api.kill_tokens),
        ("POST", "/tokens", api.issue_tokens),
        ("GET", "/tokens", api.count_tokens),
        ("GET", "/posts", api.list_posts),
        ("PATCH", "/posts/{post_id}", api.patch_post),
        ("DELETE", "/posts/{post_id}", api.delete_post),
        ("GET", "/tasks", api.list_tasks),
        ("GET", "/tasks/{publish_id}", api.get_task),
        ("POST", "/tasks/{publish_id}/finish", api.finish_draft),
        ("POST", "/tasks/{publish_id}/fail", api.fail_task),
        ("POST", "/tasks/{publish_id}/expire-upload", api.expire_upload),
        ("GET", "/requests", api.list_requests),
        ("DELETE", "/requests", api.clear_requests),
        ("GET", "/faults", api.list_faults),
        ("POST", "/faults", api.add_fault),
        ("DELETE", "/faults", api.clear_faults),
        ("DELETE", "/faults/{rule_id}", api.delete_fault),
        ("GET", "/webhooks", api.list_hooks),
        ("POST", "/webhooks/retry", api.retry_hooks),
        ("POST", "/webhooks/send", api.send_hook),
    ]
    return [Route("/control/api" + path, _json(handler), methods=[method]) for method, path, handler in table]


class ControlApi:
    """One method per call; each returns something that is JSON."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def overview(self, request: Request) -> Any:
        w = self.world
        return {
            "profile": w.settings.profile,
            "now": w.now(),
            "creators": len(w.creators),
            "tasks": dict(Counter(task.status for task in w.tasks.values())),
            "posts": sum(not post.deleted for post in w.posts.values()),
            "requests": dict(w.log.counts),
            "rate_limited": w.log.rate_limited,
            "faults": len(w.faults.rules),
            "webhooks": dict(Counter(hook.state for hook in w.hooks.values())),
        }

    async def reset(self, request: Request) -> Any:
        pulls.start_over(self.world)
        return {}

    async def get_settings(self, request: Request) -> Any:
        return vars(self.world.settings)

    async def patch_settings(self, request: Request) -> Any:
        try:
            self.world.change_settings(await _body(request))
        except SettingError as error:
            raise ControlError(str(error)) from error
        return vars(self.world.settings)

    # Apps

    async def list_apps(self, request: Request) -> Any:
        return [_without_secret(app) for app in self.world.apps.values()]

    async def put_app(self, request: Request) -> Any:
        """Register an app, or change one by its client_key."""
        body = await _body(request)
        known = self.world.apps.get(str(body.get("client_key")))
        app = App(**{**(vars(known) if known else {}), **_checked(App, body, partial=known is not None)})
        if app.platform not in {"web", "desktop"}:
            raise ControlError("platform is web or desktop")
        if len(app.redirect_uris) > oauth.MAX_REDIRECT_URIS:
            raise ControlError("an app has at most 10 redirect URIs")
        for uri in app.redirect_uris:
            if problem := oauth.redirect_error(uri, app.platform):
                raise ControlError(f"{uri} {problem}")
        self.world.apps[app.client_key] = app
        self.world.save(app)
        return _without_secret(app)

    async def delete_app(self, request: Request) -> Any:
        app = _found(self.world.apps, request.path_params["key"])
        del self.world.apps[app.client_key]
        self.world.store.delete(app)
        return {}

    # Creators and their tokens

    async def list_creators(self, request: Request) -> Any:
        return [self._creator(creator) for creator in self.world.creators.values()]

    async def get_creator(self, request: Request) -> Any:
        return self._creator(self._named(request))

    async def create_creator(self, request: Request) -> Any:
        creator = Creator(**_checked(Creator, await _body(request)))
        if not HANDLE.fullmatch(creator.handle):
            raise ControlError("a handle has 1 to 24 letters, digits, underscores and dots")
        if creator.handle in self.world.creators:
            raise ControlError("there is a creator with this handle", 409)
        creator.nickname = creator.nickname or creator.handle
        self.world.creators[creator.handle] = creator
        self.world.save(creator)
        return self._creator(creator)

    async def patch_creator(self, request: Request) -> Any:
        creator = self._named(request)
        changes = _checked(Creator, await _body(request), partial=True)
        if changes.get("handle", creator.handle) != creator.handle:
            raise ControlError("a handle cannot be changed")
        if changes.get("next_failure", "") not in ("", *FAIL_REASONS):
            raise ControlError(f"next_failure is one of: {', '.join(FAIL_REASONS)}")
        vars(creator).update(changes)
        self.world.save(creator)
        return self._creator(creator)

    async def delete_creator(self, request: Request) -> Any:
        self.world.remove_creator(self._named(request))
        return {}

    async def disconnect(self, request: Request) -> Any:
        """The creator removes the app in TikTok's settings (reason 1, or another of TikTok's reasons)."""
        body = await _body(request)
        reason = body.get("reason", 1)
        if not isinstance(reason, int) or not 0 <= reason <= 5:
            raise ControlError("reason is a number from 0 to 5")
        grants = self._grants(self._named(request), body.get("client_key"))
        for grant in grants:
            lifecycle.remove_authorization(self.world, grant, reason=reason)
        return {"disconnected": len(grants)}

    async def expire_tokens(self, request: Request) -> Any:
        """End the life of tokens now: `{"purpose": "access" | "refresh"}`, access if absent."""
        body = await _body(request)
        return self._end_tokens(
            request, body.get("purpose", "access"), lambda t: setattr(t, "expires_at", 0.0)
        )

    async def kill_tokens(self, request: Request) -> Any:
        """Make tokens invalid without any event: `{"purpose": …}`, both kinds if absent."""
        body = await _body(request)
        return self._end_tokens(request, body.get("purpose"), lambda t: setattr(t, "dead", "killed"))

    async def issue_tokens(self, request: Request) -> Any:
        """A consent without a browser: `{"creator", "client_key"?, "scopes"?}` gives what the token call gives."""
        w, body = self.world, await _body(request)
        app = _found(w.apps, body.get("client_key") or next(iter(w.apps)))
        creator = _found(w.creators, body.get("creator"))
        scopes = body.get("scopes") or list(ALL_SCOPES)
        return oauth.issue_pair(w, w.grant_for(app, creator, scopes), scopes)

    async def count_tokens(self, request: Request) -> Any:
        """How many tokens were issued since the last reset or start, and each consent's refreshes."""
        w = self.world
        return {"issued": dict(w.issued), "grants": [vars(grant) for grant in w.grants.values()]}

    # What was posted

    async def list_posts(self, request: Request) -> Any:
        """Posts that stand, oldest first; `?creator=`, `?caption=`, `?publish_id=` narrow, `?deleted=1` widens."""
        q = request.query_params
        return [
            self._post(post)
            for post in self.world.posts.values()
            if (q.get("deleted") or not post.deleted)
            and q.get("creator", post.handle) == post.handle
            and q.get("caption", post.caption) == post.caption
            and q.get("publish_id", post.publish_id) == post.publish_id
        ]

    async def patch_post(self, request: Request) -> Any:
        """The creator changes who can see a post: `{"privacy": …}`."""
        post = _found(self.world.posts, request.path_params["post_id"])
        privacy = (await _body(request)).get("privacy")
        if privacy not in self.world.creators[post.handle].privacy_options():
            raise ControlError("not one of this creator's privacy options")
        lifecycle.change_privacy(self.world, post, privacy)
        return self._post(post)

    async def delete_post(self, request: Request) -> Any:
        lifecycle.delete_post(self.world, _found(self.world.posts, request.path_params["post_id"]))
        return {}

    async def list_tasks(self, request: Request) -> Any:
        """Publish tasks, oldest first; `?creator=`, `?status=` narrow, `?limit=` keeps the newest."""
        q = request.query_params
        tasks = [
            self._task(task)
            for task in self.world.tasks.values()
            if q.get("creator", task.handle) == task.handle and q.get("status", task.status) == task.status
        ]
        return tasks[-int(q["limit"]) :] if q.get("limit", "").isdigit() else tasks

    async def get_task(self, request: Request) -> Any:
        return self._task(self._task_of(request))

    async def finish_draft(self, request: Request) -> Any:
        """The creator posts a draft in TikTok's app: `{"caption"?, "privacy"?}`; can be repeated."""
        task, body = self._task_of(request), await _body(request)
        if task.mode != "inbox" or task.status not in {"SEND_TO_USER_INBOX", "PUBLISH_COMPLETE"}:
            raise ControlError("only a draft that reached the inbox can be posted", 409)
        options = self.world.creators[task.handle].privacy_options()
        privacy = body.get("privacy", options[0])
        if privacy not in options:
            raise ControlError("not one of this creator's privacy options")
        caption = str(body.get("caption", task.post_info.get("description", "")))
        return self._post(lifecycle.finish_draft(self.world, task, caption=caption, privacy=privacy))

    async def fail_task(self, request: Request) -> Any:
        """End a running task with one of TikTok's fail reasons: `{"reason": …}`."""
        task, reason = self._task_of(request), (await _body(request)).get("reason", "internal")
        if reason not in FAIL_REASONS:
            raise ControlError(f"reason is one of: {', '.join(FAIL_REASONS)}")
        if not task.is_open:
            raise ControlError("the task is over", 409)
        lifecycle.fail(self.world, task, reason)
        return self._task(task)

    async def expire_upload(self, request: Request) -> Any:
        """Make a task's upload URL answer 403 from now on; the task itself stays as it is."""
        task = self._task_of(request)
        task.upload_expires_at = 0.0
        self.world.save(task)
        return self._task(task)

    # What was asked

    async def list_requests(self, request: Request) -> Any:
        """Counts since the last reset, and the latest requests (`?limit=`, `?endpoint=`), oldest first."""
        log, q = self.world.log, request.query_params
        limit = int(q.get("limit", "100"))
        entries = [e for e in log.entries if q.get("endpoint", e["endpoint"]) == e["endpoint"]]
        return {
            "counts": dict(log.counts),
            "statuses": {endpoint: dict(counts) for endpoint, counts in log.statuses.items()},
            "rate_limited": log.rate_limited,
            "warnings": list(log.warnings),
            "entries": entries[-limit:] if limit else [],
        }

    async def clear_requests(self, request: Request) -> Any:
        self.world.log = type(self.world.log)()
        return {}

    # Faults and webhooks

    async def list_faults(self, request: Request) -> Any:
        return [vars(rule) for rule in self.world.faults.rules]

    async def add_fault(self, request: Request) -> Any:
        try:
            return vars(self.world.faults.add(await _body(request)))
        except FaultError as error:
            raise ControlError(str(error)) from error

    async def clear_faults(self, request: Request) -> Any:
        self.world.faults.rules.clear()
        return {}

    async def delete_fault(self, request: Request) -> Any:
        if not self.world.faults.remove(request.path_params["rule_id"]):
            raise ControlError("no such rule", 404)
        return {}

    async def list_hooks(self, request: Request) -> Any:
        """Webhook events with their attempts, oldest first; `?event=` and `?state=` narrow."""
        q = request.query_params
        return [
            vars(hook)
            for hook in self.world.hooks.values()
            if q.get("event", hook.event) == hook.event and q.get("state", hook.state) == hook.state
        ]

    async def retry_hooks(self, request: Request) -> Any:
        """Try all undelivered events again now."""
        waiting = [hook for hook in self.world.hooks.values() if hook.next_at is not None]
        for hook in waiting:
            hook.next_at = self.world.now()
            self.world.agenda.put(hook.next_at, "hook", hook.hook_id)
        return {"retried": len(waiting)}

    async def send_hook(self, request: Request) -> Any:
        """Send an event of any name: `{"event", "content"?, "creator"?, "client_key"?}`, signed as all are."""
        w, body = self.world, await _body(request)
        app = _found(w.apps, body.get("client_key") or next(iter(w.apps)))
        creator = w.creators.get(str(body.get("creator")))
        open_id = w.open_id(app, creator) if creator else str(body.get("user_openid", ""))
        webhooks.emit(w, app.client_key, str(body.get("event", "")), open_id, body.get("content") or {})
        return {}

    # Helpers

    def _named(self, request: Request) -> Creator:
        creator: Creator = _found(self.world.creators, request.path_params["handle"])
        return creator

    def _task_of(self, request: Request) -> Task:
        task: Task = _found(self.world.tasks, request.path_params["publish_id"])
        lifecycle.settle_task(self.world, task)
        return task

    def _grants(self, creator: Creator, client_key: str | None) -> list[Grant]:
        return [
            g
            for g in self.world.grants.values()
            if g.handle == creator.handle and g.active and client_key in (None, g.client_key)
        ]

    def _end_tokens(self, request: Request, purpose: str | None, end: Callable[[Any], None]) -> Any:
        if purpose not in {None, "access", "refresh"}:
            raise ControlError("purpose is access or refresh")
        count = 0
        for grant in self._grants(self._named(request), None):
            for token in self.world.tokens_of(grant):
                if purpose in (None, token.purpose) and not token.dead:
                    end(token)
                    self.world.save(token)
                    count += 1
        return {"tokens": count}

    def _creator(self, creator: Creator) -> dict[str, Any]:
        w = self.world
        return {
            **vars(creator),
            "privacy_options": creator.privacy_options(),
            "direct_posts_today": w.direct_posts_today(creator),
            "pending_drafts": w.pending_drafts(creator),
            "grants": [vars(g) for g in w.grants.values() if g.handle == creator.handle],
        }

    def _post(self, post: Post) -> dict[str, Any]:
        lifecycle.settle_post(self.world, post)
        return {
            **vars(post),
            "public": post.announced_at is not None,
            "url": f"/@{post.handle}/video/{post.post_id}",
        }

    def _task(self, task: Task) -> dict[str, Any]:
        lifecycle.settle_task(self.world, task)
        shown = {k: v for k, v in vars(task).items() if k not in {"upload_token", "upload_id"}}
        shown["incoming_bytes"] = uploads.incoming_bytes(self.world, task)
        return {**shown, "available_ids": [str(i) for i in lifecycle.available_ids(self.world, task)]}


def _json(handler: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(await handler(request))
        except ControlError as error:
            return JSONResponse({"error": str(error)}, status_code=error.status)

    return endpoint


async def _body(request: Request) -> dict[str, Any]:
    raw = await request.body()
    try:
        body = json.loads(raw) if raw.strip() else {}
    except ValueError:
        raise ControlError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise ControlError("the body is not a JSON object")
    return body


def _found(records: dict[str, Any], key: Any) -> Any:
    if key not in records:
        raise ControlError(f"there is no {key}", 404)
    return records[key]


def _checked(cls: type[R], body: dict[str, Any], *, partial: bool = False) -> dict[str, Any]:
    """Fields of a record from JSON: known names, right types, the required ones present."""
    known = {f.name: f for f in fields(cls)}
    if strange := set(body) - set(known):
        raise ControlError(f"unknown: {', '.join(sorted(strange))}")
    for name, value in body.items():
        kind = str(known[name].type)
        wanted = {"str": str, "bool": bool, "list[str]": list}.get(kind, int)
        if not (value is None and kind.endswith("None")) and type(value) is not wanted:
            raise ControlError(f"{name} is a {kind}")
    needed = {name for name, f in known.items() if f.default is MISSING and f.default_factory is MISSING}
    if not partial and (missing := needed - set(body)):
        raise ControlError(f"missing: {', '.join(sorted(missing))}")
    return body


def _without_secret(app: Record) -> dict[str, Any]:
    return {name: value for name, value in vars(app).items() if name != "client_secret"}
