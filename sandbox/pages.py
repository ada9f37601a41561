"""What a person can look at: creators, what they posted, their inbox, and the control page."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from sandbox import control, display, images, lifecycle, pulls
from sandbox.faults import FaultError
from sandbox.models import Creator, Post, Task
from sandbox.settings import CHOICES, SettingError
from sandbox.templating import HERE, page
from sandbox.wire import Answer
from sandbox.world import World

AVATAR_SIDES = {100, 168, 720}
POSTS_SHOWN = 100
SHOWN_SETTINGS = (
    "profile",
    "audited",
    "processing_seconds",
    "moderation_seconds",
    "lifetimes",
    "rotation",
    "rotation_restarts_lifetime",
    "rate_limits_on",
    "posts_per_day",
    "pending_drafts",
    "media_checks",
    "target_users_only",
    "unfinished_upload",
    "oauth_errors_always_200",
    "params_code",
    "branded_private_accepted",
    "upload_bytes_per_second",
    "webhook_duplicate",
    "webhook_shuffle",
    "webhook_delay_seconds",
    "webhook_speed",
    "clock_offset",
)
PRESETS: dict[str, dict[str, Any]] = {
    "Next init answers 500": {"match": {"endpoint": ["video_init", "inbox_init"]}, "action": {"status": 500}},
    "Next init is done, but its answer is lost": {
        "match": {"endpoint": ["video_init", "inbox_init"]},
        "action": {"drop": "after"},
    },
    "Next chunk breaks off": {
        "match": {"endpoint": "upload"},
        "action": {"drop": "mid_body", "after_bytes": 65536},
    },
    "Next chunk is stored, but its answer is lost": {
        "match": {"endpoint": "upload"},
        "action": {"drop": "after"},
    },
    "Next three chunks answer 502": {"match": {"endpoint": "upload"}, "action": {"status": 502}, "times": 3},
    "Next status is an HTML error page": {"match": {"endpoint": "status"}, "action": {"html": True}},
    "Next refresh answers 503": {"match": {"endpoint": "token"}, "action": {"status": 503, "html": True}},
}


def build_pages(world: World) -> Starlette:
    """Every path that is no API call."""
    pages = Pages(world)
    app = Starlette(
        routes=[
            Route("/", pages.home),
            Route("/healthz", pages.health),
            Route("/@{handle}", pages.profile),
            Route("/@{handle}/video/{post_id:int}", pages.post),
            Route("/@{handle}/inbox/{publish_id}", pages.finish_draft, methods=["POST"]),
            Route("/media/{post_id:int}/{index:int}", pages.media),
            Route("/avatar/{handle}/{side:int}.png", pages.avatar),
            Route("/cover/{post_id:int}.png", pages.cover),
            Route("/control/", pages.control),
            Route("/control/settings", pages.change_settings, methods=["POST"]),
            Route("/control/creators/{handle}", pages.change_creator, methods=["POST"]),
            Route("/control/faults", pages.change_faults, methods=["POST"]),
            Route("/control/reset", pages.reset, methods=["POST"]),
            *control.build_routes(world),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        exception_handlers={HTTPException: _sorry},  # type: ignore[dict-item]
    )
    # A path without its last slash is not found, so that a client which forgets it is caught.
    app.router.redirect_slashes = False
    return app


async def _sorry(request: Request, error: HTTPException) -> Response:
    return _html(page("sorry.html", error.status_code, number=error.status_code, text=error.detail))


class Pages:
    """The handlers of all pages over one world."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "profile": self.world.settings.profile})

    async def home(self, request: Request) -> Response:
        w = self.world
        creators = [self._card(creator) for creator in w.creators.values()]
        newest = [self._shown(post) for post in list(w.posts.values())[-6:][::-1] if not post.deleted]
        return _html(page("home.html", creators=creators, newest=newest))

    async def profile(self, request: Request) -> Response:
        w, creator = self.world, self._creator(request)
        drafts = [t for t in w.creator_tasks[creator.handle] if t.mode == "inbox" and _in_inbox(t)]
        posts = [p for p in reversed(w.creator_posts[creator.handle]) if not p.deleted]
        return _html(
            page(
                "profile.html",
                creator=self._card(creator),
                posts=[self._shown(post) for post in posts[:POSTS_SHOWN]],
                drafts=[self._draft(task) for task in reversed(drafts)],
                options=creator.privacy_options(),
                total=len(posts),
            )
        )

    async def post(self, request: Request) -> Response:
        creator, post = self._creator(request), self._post(request)
        if post.handle != creator.handle or post.deleted:
            raise HTTPException(404)
        return _html(page("post.html", creator=self._card(creator), post=self._shown(post)))

    async def finish_draft(self, request: Request) -> Response:
        """The creator posts a draft from the inbox."""
        creator = self._creator(request)
        task = self.world.tasks.get(request.path_params["publish_id"])
        form = await _form(request)
        if task is None or task.handle != creator.handle or not _in_inbox(task):
            raise HTTPException(404)
        if form.get("privacy") not in creator.privacy_options():
            raise HTTPException(400)
        lifecycle.finish_draft(self.world, task, caption=form.get("caption", ""), privacy=form["privacy"])
        return RedirectResponse(f"/@{creator.handle}", 303)

    async def media(self, request: Request) -> Response:
        """A posted file, with Range support."""
        post, index = self._post(request), request.path_params["index"]
        if index >= len(post.files) or not post.files[index]["name"]:
            raise HTTPException(404)
        path = self.world.media_dir / post.files[index]["name"]
        if not os.path.exists(path):
            raise HTTPException(404)
        return FileResponse(path, media_type=post.files[index]["type"] or "application/octet-stream")

    async def avatar(self, request: Request) -> Response:
        creator, side = self._creator(request), request.path_params["side"]
        if side not in AVATAR_SIDES:
            raise HTTPException(404)
        return self._signed_image(request, images.avatar(creator.handle, side))

    async def cover(self, request: Request) -> Response:
        return self._signed_image(request, images.cover(self._post(request).post_id))

    async def control(self, request: Request) -> Response:
        return self._control_page()

    async def change_settings(self, request: Request) -> Response:
        form = await _form(request)
        try:
            self.world.change_settings(_typed_changes(self.world, form))
        except (SettingError, ValueError) as error:
            return self._control_page(f"Nothing was changed: {error}", 400)
        return RedirectResponse("/control/#settings", 303)

    async def change_creator(self, request: Request) -> Response:
        """One button of the creators' table."""
        w, creator, form = self.world, self._creator(request), await _form(request)
        grants = [g for g in w.grants.values() if g.handle == creator.handle and g.active]
        match form.get("do", ""):
            case (
                "private"
                | "comment_disabled"
                | "duet_disabled"
                | "stitch_disabled"
                | "banned"
                | "target" as name
            ):
                setattr(creator, name, not getattr(creator, name))
                w.save(creator)
            case "disconnect":
                for grant in grants:
                    lifecycle.remove_authorization(w, grant, reason=1)
            case "expire":
                for token in [t for grant in grants for t in w.tokens_of(grant) if t.purpose == "access"]:
                    token.expires_at = 0.0
                    w.save(token)
            case _:
                raise HTTPException(400)
        return RedirectResponse("/control/#creators", 303)

    async def change_faults(self, request: Request) -> Response:
        form = await _form(request)
        faults = self.world.faults
        try:
            if "remove" in form:
                faults.remove(form["remove"])
            elif form.get("preset"):
                faults.add(PRESETS[form["preset"]])
            else:
                faults.add(json.loads(form.get("rule", "")))
        except (FaultError, ValueError, KeyError, AttributeError) as error:
            return self._control_page(f"This is no rule: {error}", 400)
        return RedirectResponse("/control/#faults", 303)

    async def reset(self, request: Request) -> Response:
        pulls.start_over(self.world)
        return RedirectResponse("/control/", 303)

    def _control_page(self, problem: str = "", status: int = 200) -> Response:
        w = self.world
        answer = page(
            "control.html",
            status,
            problem=problem,
            settings={name: getattr(w.settings, name) for name in SHOWN_SETTINGS},
            choices={name: sorted(values) for name, values in CHOICES.items()},
            creators=[self._card(creator) for creator in w.creators.values()],
            tasks=[self._task(task) for task in list(w.tasks.values())[-30:][::-1]],
            task_count=len(w.tasks),
            faults=w.faults.rules,
            presets=list(PRESETS),
            hooks=list(w.hooks.values())[-15:][::-1],
            hook_url=next((app.webhook_url for app in w.apps.values() if app.webhook_url), ""),
            log=w.log,
            entries=list(w.log.entries)[-25:][::-1],
            data_size=sum(file["bytes"] for task in w.tasks.values() for file in task.files),
        )
        return _html(answer)

    def _signed_image(self, request: Request, image: bytes) -> Response:
        """An image whose address still holds; 403 as from a CDN otherwise."""
        q = request.query_params
        if not display.is_signed(
            self.world, request.url.path, q.get("x-expires", ""), q.get("x-signature", "")
        ):
            raise HTTPException(403)
        return Response(image, media_type="image/png", headers={"Cache-Control": "private, max-age=600"})

    def _creator(self, request: Request) -> Creator:
        creator = self.world.creators.get(request.path_params["handle"])
        if creator is None:
            raise HTTPException(404)
        return creator

    def _post(self, request: Request) -> Post:
        post = self.world.posts.get(str(request.path_params["post_id"]))
        if post is None:
            raise HTTPException(404)
        lifecycle.settle_post(self.world, post)
        return post

    def _card(self, creator: Creator) -> dict[str, Any]:
        w = self.world
        posts = [p for p in w.creator_posts[creator.handle] if not p.deleted]
        grants = [g for g in w.grants.values() if g.handle == creator.handle and g.active]
        return {
            **vars(creator),
            "avatar": display.avatar_path(w, creator, 168),
            "post_count": len(posts),
            "connected": [w.apps[g.client_key].name for g in grants if g.client_key in w.apps],
        }

    def _shown(self, post: Post) -> dict[str, Any]:
        lifecycle.settle_post(self.world, post)
        app = self.world.apps.get(post.client_key)
        files = [
            {**f, "url": f"/media/{post.post_id}/{i}" if f["name"] else ""} for i, f in enumerate(post.files)
        ]
        return {
            **vars(post),
            "public": post.announced_at is not None,
            "cover": display.cover_path(self.world, post),
            "app_name": app.name if app else post.client_key,
            "files": files,
        }

    def _draft(self, task: Task) -> dict[str, Any]:
        return {**vars(task), "caption": task.post_info.get("description", ""), "bytes": task.stored_bytes}

    def _task(self, task: Task) -> dict[str, Any]:
        lifecycle.settle_task(self.world, task)
        info = task.post_info
        return {
            **vars(task),
            "caption": info.get("title") or info.get("description") or "",
            "privacy": info.get("privacy_level", ""),
            "refused_chunks": sum(chunk["status"] >= 400 for chunk in task.chunks),
        }


def _in_inbox(task: Task) -> bool:
    return task.status in {"SEND_TO_USER_INBOX", "PUBLISH_COMPLETE"}


def _html(answer: Answer) -> Response:
    return Response(answer.body, answer.status, headers=answer.headers, media_type=answer.content_type)


async def _form(request: Request) -> dict[str, str]:
    form = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[-1] for name, values in form.items()}


def _typed_changes(world: World, form: dict[str, str]) -> dict[str, Any]:
    """The settings that a form changed, in their types. ValueError: a number that is none."""
    changes: dict[str, Any] = {}
    for name in SHOWN_SETTINGS:
        if name not in form:
            continue
        present = getattr(world.settings, name)
        text = form[name].strip()
        value: Any = text
        if isinstance(present, bool):
            value = text == "true"
        elif name not in CHOICES:
            value = None if text == "" else json.loads(text)
        if value != present:
            changes[name] = value
    return changes
