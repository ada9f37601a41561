"""The life of publish tasks and posts: processing, checks, moderation, drafts, expiry, loss of authorization.

https://developers.tiktok.com/doc/content-posting-api-reference-get-video-status
"""

from __future__ import annotations

from typing import Any

from sandbox import webhooks
from sandbox.models import Creator, Grant, Post, Task
from sandbox.world import World

MIN_SIDE, MAX_SIDE = 360, 4096
MIN_FPS, MAX_FPS = 23, 60
PUBLIC = "PUBLIC_TO_EVERYONE"


def begin_processing(world: World, task: Task) -> None:
    """All bytes are here: TikTok starts to work on them."""
    task.due_at = world.now() + world.settings.processing_seconds
    task.changed_at = world.now()
    world.save(task)
    if world.settings.processing_seconds:
        world.agenda.put(task.due_at, "task", task.publish_id)
    else:
        settle_task(world, task)


def settle_task(world: World, task: Task) -> None:
    """Bring a task up to the present: end its processing or let its upload URL run out. Safe to call at any time."""
    now = world.now()
    if not task.is_open or not world.holds(task):
        return
    if task.due_at is not None:
        if task.due_at <= now:
            _finish(world, task)
    elif task.upload_id and task.upload_expires_at <= now and world.settings.unfinished_upload == "fail":
        fail(world, task, "internal")


def settle_post(world: World, post: Post) -> None:
    """Let moderation end: a public post's id becomes known once `available_at` is past."""
    if post.announced_at is None and post.available_at is not None and post.available_at <= world.now():
        if post.privacy != PUBLIC or post.deleted:
            return
        post.announced_at = world.now()
        world.save(post)
        _tell(
            world,
            world.tasks[post.publish_id],
            "post.publish.publicly_available",
            post_id=_wire_id(world, post),
        )


def fail(world: World, task: Task, reason: str) -> None:
    """End an open task with one of TikTok's fail reasons."""
    task.status = "FAILED"
    task.fail_reason = reason
    task.due_at = None
    task.changed_at = world.now()
    world.save(task)
    _tell(world, task, "post.publish.failed", reason=reason)


def finish_draft(world: World, task: Task, *, caption: str, privacy: str) -> Post:
    """The creator posts a draft from the inbox in TikTok's app; a draft can be posted more than once."""
    info = {**task.post_info, "privacy_level": privacy}
    info["description" if task.media == "photo" else "title"] = caption
    task.status = "PUBLISH_COMPLETE"
    post = _publish(world, task, info)
    _tell(world, task, "post.publish.complete")
    return post


def change_privacy(world: World, post: Post, privacy: str) -> None:
    """The creator changes who can see a post, in TikTok's app."""
    was_public = post.announced_at is not None
    post.privacy = privacy
    if privacy == PUBLIC:
        post.available_at = world.now() + world.settings.moderation_seconds
        world.save(post)
        _schedule_moderation(world, post)
    elif was_public:
        _withdraw(world, post)
    world.save(post)


def delete_post(world: World, post: Post) -> None:
    """The creator deletes a post, in TikTok's app."""
    post.deleted = True
    if post.announced_at is not None:
        _withdraw(world, post)
    world.save(post)


def remove_authorization(world: World, grant: Grant, *, reason: int) -> None:
    """The app loses this creator: tokens die, running tasks fail, the app is told.

    Reasons: 1 the user disconnected, 5 the developer revoked; https://developers.tiktok.com/doc/webhooks-events
    """
    grant.active = False
    world.save(grant)
    for token in world.tokens_of(grant):
        token.dead = token.dead or "revoked"
        world.save(token)
    for task in world.creator_tasks[grant.handle]:
        if task.client_key == grant.client_key and task.is_open:
            fail(world, task, "auth_removed")
    webhooks.emit(world, grant.client_key, "authorization.removed", grant.open_id, {"reason": reason})


def resume(world: World) -> None:
    """Put everything that waits for a time back on the agenda, after a start."""
    for task in world.tasks.values():
        if task.is_open and task.due_at is not None:
            world.agenda.put(task.due_at, "task", task.publish_id)
        elif task.is_open and task.upload_id:
            world.agenda.put(task.upload_expires_at, "task", task.publish_id)
    for post in world.posts.values():
        if post.announced_at is None and post.available_at is not None:
            world.agenda.put(post.available_at, "post", post.post_id)
    for hook in world.hooks.values():
        if hook.next_at is not None:
            world.agenda.put(hook.next_at, "hook", hook.hook_id)


async def run(world: World) -> None:
    """Follow the agenda until canceled."""
    while True:
        await world.agenda.wait(world.now())
        while entry := world.agenda.pop(world.now()):
            kind, key = entry
            if kind == "task" and key in world.tasks:
                settle_task(world, world.tasks[key])
            elif kind == "post" and key in world.posts:
                settle_post(world, world.posts[key])
            elif kind == "hook" and key in world.hooks:
                webhooks.attempt(world, world.hooks[key])


def available_ids(world: World, task: Task) -> list[int]:
    """The ids for `publicaly_available_post_id`: posts that are public and past moderation."""
    posts = [world.posts[post_id] for post_id in task.posts]
    for post in posts:
        settle_post(world, post)
    return [int(post.post_id) for post in posts if post.announced_at is not None and not post.deleted]


def _finish(world: World, task: Task) -> None:
    task.due_at = None
    task.changed_at = world.now()
    creator = world.creators.get(task.handle)
    reason = _verdict(world, task, creator)
    if reason:
        fail(world, task, reason)
    elif task.mode == "inbox":
        task.status = "SEND_TO_USER_INBOX"
        world.save(task)
        _tell(world, task, "post.publish.inbox_delivered")
    else:
        task.status = "PUBLISH_COMPLETE"
        _publish(world, task, task.post_info)
        _tell(world, task, "post.publish.complete")


def _verdict(world: World, task: Task, creator: Creator | None) -> str:
    """The fail reason that processing ends with, or ""."""
    if creator is None:
        return "auth_removed"
    if creator.next_failure:
        reason, creator.next_failure = creator.next_failure, ""
        world.save(creator)
        return reason
    if not world.settings.media_checks or task.media == "photo":
        return ""
    media = task.files[0] if task.files else {}
    if not media.get("format"):
        return "" if media.get("discarded") else "file_format_check_failed"
    limit = creator.max_duration_seconds
    if media["duration"] <= 0 or (task.mode == "direct" and media["duration"] > limit + 1):
        return "duration_check_failed"
    if media["fps"] and not MIN_FPS - 0.5 <= media["fps"] <= MAX_FPS + 0.5:
        return "frame_rate_check_failed"
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in (media["width"], media["height"])):
        return "picture_size_check_failed"
    return ""


def _publish(world: World, task: Task, info: dict[str, Any]) -> Post:
    creator = world.creators[task.handle]
    photo = task.media == "photo"
    media = task.files[0] if task.files else {}
    now = world.now()
    post = Post(
        post_id=str(world.new_number()),
        publish_id=task.publish_id,
        client_key=task.client_key,
        handle=task.handle,
        media=task.media,
        created_at=now,
        caption=str(info.get("description" if photo else "title") or ""),
        title=str(info.get("title") or "") if photo else "",
        privacy=info["privacy_level"],
        disable_comment=bool(info.get("disable_comment")) or creator.comment_disabled,
        disable_duet=bool(info.get("disable_duet")) or creator.duet_disabled or creator.private,
        disable_stitch=bool(info.get("disable_stitch")) or creator.stitch_disabled or creator.private,
        is_aigc=bool(info.get("is_aigc")),
        brand_content=bool(info.get("brand_content_toggle")),
        brand_organic=bool(info.get("brand_organic_toggle")),
        auto_add_music=bool(info.get("auto_add_music")),
        cover_timestamp_ms=_cover_time(info, media),
        files=task.files,
        size=sum(file["bytes"] for file in task.files),
        sha256=task.sha256,
        duration=round(media.get("duration") or 0),
        width=media.get("width") or 0,
        height=media.get("height") or 0,
        available_at=now + world.settings.moderation_seconds,
    )
    world.add_post(post)
    task.posts.append(post.post_id)
    task.changed_at = now
    world.save(task)
    _schedule_moderation(world, post)
    return post


def _cover_time(info: dict[str, Any], media: dict[str, Any]) -> int:
    """The cover's place in ms; a missing or impossible one means the first frame."""
    wanted = info.get("video_cover_timestamp_ms")
    if not isinstance(wanted, int) or wanted < 0:
        return 0
    length = media.get("duration") or 0
    return 0 if length and wanted > length * 1000 else wanted


def _schedule_moderation(world: World, post: Post) -> None:
    if post.privacy == PUBLIC and post.available_at is not None:
        world.agenda.put(post.available_at, "post", post.post_id)


def _withdraw(world: World, post: Post) -> None:
    """Take a public post's id back and tell the app (the event's name is misspelt: sic)."""
    post.announced_at = None
    post.available_at = None
    task = world.tasks[post.publish_id]
    _tell(world, task, "post.publish.no_longer_publicaly_available", post_id=_wire_id(world, post))


def _wire_id(world: World, post: Post) -> int | str:
    return int(post.post_id) if world.settings.post_id_type == "number" else post.post_id


def _tell(world: World, task: Task, event: str, **content: Any) -> None:
    grant = world.grants.get(f"{task.client_key}|{task.handle}")
    if grant is not None:
        content = {"publish_id": task.publish_id, **content, "publish_type": task.publish_type}
        webhooks.emit(world, task.client_key, event, grant.open_id, content)
