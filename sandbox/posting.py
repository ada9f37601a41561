"""The Content Posting API but for the bytes themselves.

https://developers.tiktok.com/doc/content-posting-api-reference-query-creator-info
https://developers.tiktok.com/doc/content-posting-api-reference-direct-post
https://developers.tiktok.com/doc/content-posting-api-reference-upload-video
https://developers.tiktok.com/doc/content-posting-api-reference-photo-post
https://developers.tiktok.com/doc/content-posting-api-reference-get-video-status
"""

from __future__ import annotations

import secrets
from typing import Any

from sandbox import display, lifecycle, ownership, pulls
from sandbox.api import Caller, authorize, bad_params, json_body, require_rate, require_scope, success
from sandbox.api import identify as identify_caller
from sandbox.chunks import MAX_FILE, plan_error
from sandbox.models import Task
from sandbox.wire import GUIDELINES, OWNERSHIP, POST_INFO, SOURCE_INFO, Answer, ApiError, Request
from sandbox.world import World

PRIVACY_LEVELS = {"PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "FOLLOWER_OF_CREATOR", "SELF_ONLY"}
MAX_CAPTION, MAX_PHOTO_TITLE, MAX_PHOTO_DESCRIPTION = 2200, 90, 4000
MAX_PHOTOS = 35
MIN_PHOTO_DRAFT_APP = (31, 8)
VIDEO_FLAGS = (
    "disable_duet",
    "disable_stitch",
    "disable_comment",
    "brand_content_toggle",
    "brand_organic_toggle",
    "is_aigc",
)
PHOTO_FLAGS = ("disable_comment", "auto_add_music", "brand_content_toggle", "brand_organic_toggle", "is_aigc")
VIDEO_FIELDS = {"privacy_level", "title", "video_cover_timestamp_ms", *VIDEO_FLAGS}
PHOTO_FIELDS = {"privacy_level", "title", "description", *PHOTO_FLAGS}
FILE_FIELDS = {"source", "video_size", "chunk_size", "total_chunk_count", "video_url"}
PREFIXES = {
    ("video", "direct", "FILE_UPLOAD"): "v_pub_file~v2-1.",
    ("video", "direct", "PULL_FROM_URL"): "v_pub_url~v2-1.",
    ("video", "inbox", "FILE_UPLOAD"): "v_inbox_file~v2.",
    ("video", "inbox", "PULL_FROM_URL"): "v_inbox_url~v2.",
    ("photo", "direct", "PULL_FROM_URL"): "p_pub_url~v2.",
    ("photo", "inbox", "PULL_FROM_URL"): "p_inbox_url~v2.",
}


async def creator_info(world: World, request: Request) -> Answer:
    """POST /v2/post/publish/creator_info/query/: three refusals come with HTTP 200, as TikTok intends."""
    caller = authorize(world, request, "video.publish")
    await request.body()
    _check_posting_caps(world, caller, status=200)
    creator = caller.creator
    options = creator.privacy_options()
    if world.settings.narrow_options_when_unaudited and not world.settings.audited:
        options = ["SELF_ONLY"]
    data = {
        "creator_avatar_url": display.avatar_url(world, request, creator, 168),
        "creator_username": creator.handle,
        "creator_nickname": creator.nickname,
        "privacy_level_options": options,
        "comment_disabled": creator.comment_disabled,
        "duet_disabled": creator.duet_disabled or creator.private,
        "stitch_disabled": creator.stitch_disabled or creator.private,
        "max_video_post_duration_sec": creator.max_duration_seconds,
    }
    return success(world, request, data)


async def video_init(world: World, request: Request) -> Answer:
    """POST /v2/post/publish/video/init/: direct post of a video."""
    caller = authorize(world, request, "video.publish")
    body = await json_body(world, request)
    info = _checked_info(world, body.get("post_info"), VIDEO_FLAGS, {"title": MAX_CAPTION})
    source = _checked_source(world, body.get("source_info"))
    _warn_strays(
        world, request, (body, {"post_info", "source_info"}), (info, VIDEO_FIELDS), (source, FILE_FIELDS)
    )
    _check_posting_caps(world, caller, status=403)
    _check_privacy(world, caller, info)
    return _create(world, request, caller, "direct", "video", source, info)


async def inbox_init(world: World, request: Request) -> Answer:
    """POST /v2/post/publish/inbox/video/init/: a draft, without any caption."""
    caller = authorize(world, request, "video.upload")
    body = await json_body(world, request)
    source = _checked_source(world, body.get("source_info"))
    _warn_strays(world, request, (body, {"source_info"}), (source, FILE_FIELDS))
    _check_draft_caps(world, caller)
    return _create(world, request, caller, "inbox", "video", source, {})


async def content_init(world: World, request: Request) -> Answer:
    """POST /v2/post/publish/content/init/: photos, posted directly or as a draft."""
    caller = identify_caller(world, request)
    body = await json_body(world, request)
    direct = body.get("post_mode") != "MEDIA_UPLOAD"
    require_scope(caller, "video.publish" if direct else "video.upload")
    require_rate(world, request, caller)
    if body.get("media_type") != "PHOTO" or body.get("post_mode") not in {"DIRECT_POST", "MEDIA_UPLOAD"}:
        raise bad_params(world, "Invalid media_type or post_mode")
    texts = {"title": MAX_PHOTO_TITLE, "description": MAX_PHOTO_DESCRIPTION}
    info = _checked_info(world, body.get("post_info"), PHOTO_FLAGS, texts)
    if isinstance(body.get("is_aigc"), bool):
        info["is_aigc"] = body["is_aigc"]
    source = _checked_photos(world, body.get("source_info"))
    _warn_strays(world, request, (info, PHOTO_FIELDS))
    if direct:
        _check_posting_caps(world, caller, status=403)
        _check_privacy(world, caller, info)
    else:
        _check_draft_caps(world, caller)
        if _version(caller.creator.app_version) < MIN_PHOTO_DRAFT_APP:
            raise ApiError(
                400, "app_version_check_failed", "The TikTok app of the user is too old for photo drafts."
            )
    return _create(world, request, caller, "direct" if direct else "inbox", "photo", source, info)


async def status(world: World, request: Request) -> Answer:
    """POST /v2/post/publish/status/fetch/"""
    caller = authorize(world, request, "video.upload", "video.publish")
    task = _own_task(world, caller, await json_body(world, request))
    request.notes["publish_id"] = task.publish_id
    if world.now() < task.created_at + world.settings.status_lag_seconds:
        raise bad_params(world, "invalid_publish_id")
    lifecycle.settle_task(world, task)
    data: dict[str, Any] = {"status": task.status, "fail_reason": task.fail_reason}
    counter = "uploaded_bytes" if task.source == "FILE_UPLOAD" else "downloaded_bytes"
    data[counter] = task.stored_bytes
    if ids := lifecycle.available_ids(world, task):
        # Spelt so by TikTok (sic), and numbers of 19 digits.
        data["publicaly_available_post_id"] = (
            ids if world.settings.post_id_type == "number" else [str(i) for i in ids]
        )
    return success(world, request, data)


async def cancel(world: World, request: Request) -> Answer:
    """POST /v2/post/publish/cancel/: ends a running download; the answer has no `data`."""
    caller = authorize(world, request, "video.upload", "video.publish")
    task = _own_task(world, caller, await json_body(world, request))
    request.notes["publish_id"] = task.publish_id
    lifecycle.settle_task(world, task)
    if task.status != "PROCESSING_DOWNLOAD" or task.due_at is not None:
        raise ApiError(
            400, "publish_not_cancellable", "The publish is already final or cannot be cancelled anymore."
        )
    pulls.stop(task)
    lifecycle.fail(world, task, "publish_cancelled")
    return success(world, request, None)


def utf16_units(text: str) -> int:
    """Length as TikTok counts it: UTF-16 code units, so that most emoji count 2."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _checked_info(world: World, info: Any, flags: tuple[str, ...], texts: dict[str, int]) -> dict[str, Any]:
    """post_info with sound types, lengths and privacy word. ApiError 400 otherwise."""
    error = bad_params(world, POST_INFO)
    if not isinstance(info, dict):
        raise error
    if any(name in info and not isinstance(info[name], bool) for name in flags):
        raise error
    for name, limit in texts.items():
        text = info.get(name, "")
        if not isinstance(text, str) or utf16_units(text) > limit:
            raise error
    level = info.get("privacy_level")
    if level not in (None, "") and level not in PRIVACY_LEVELS:
        raise error
    return dict(info)


def _checked_source(world: World, source: Any) -> dict[str, Any]:
    """source_info of a video with sound types. ApiError 400 otherwise; whether the numbers fit comes later."""
    error = bad_params(world, SOURCE_INFO)
    if not isinstance(source, dict) or source.get("source") not in {"FILE_UPLOAD", "PULL_FROM_URL"}:
        raise error
    if source["source"] == "PULL_FROM_URL":
        if not isinstance(source.get("video_url"), str) or not source["video_url"]:
            raise error
        return {**source, "urls": [source["video_url"]]}
    for name in ("video_size", "chunk_size", "total_chunk_count"):
        value = source.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise error
    if source["video_size"] > MAX_FILE:
        raise error
    return source


def _checked_photos(world: World, source: Any) -> dict[str, Any]:
    error = bad_params(world, SOURCE_INFO)
    if not isinstance(source, dict) or source.get("source") != "PULL_FROM_URL":
        raise error
    urls, index = source.get("photo_images"), source.get("photo_cover_index")
    if (
        not isinstance(urls, list)
        or not 1 <= len(urls) <= MAX_PHOTOS
        or not all(isinstance(u, str) for u in urls)
    ):
        raise error
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(urls):
        raise error
    return {**source, "urls": urls}


def _warn_strays(world: World, request: Request, *known: tuple[dict[str, Any], set[str]]) -> None:
    """Fields in a place where TikTok does not read them are ignored in silence; the control page tells."""
    for found, names in known:
        if strays := set(found) - names - {"urls"}:
            world.log.warnings.append(
                f"{request.endpoint} {request.log_id}: ignored {', '.join(sorted(strays))}"
            )


def _check_posting_caps(world: World, caller: Caller, *, status: int) -> None:
    settings, creator = world.settings, caller.creator
    if creator.banned:
        raise ApiError(status, "spam_risk_user_banned_from_posting", GUIDELINES)
    cap = settings.posts_per_day if creator.daily_post_cap is None else creator.daily_post_cap
    if cap is not None and world.direct_posts_today(creator) >= cap:
        raise ApiError(status, "spam_risk_too_many_posts", GUIDELINES)
    users = settings.active_users_audited if settings.audited else settings.active_users_unaudited
    active = world.active_users_today(caller.app) if users is not None else set()
    if users is not None and creator.handle not in active and len(active) >= users:
        raise ApiError(status, "reached_active_user_cap", GUIDELINES)


def _check_draft_caps(world: World, caller: Caller) -> None:
    if caller.creator.banned:
        raise ApiError(403, "spam_risk_user_banned_from_posting", GUIDELINES)
    cap = world.settings.pending_drafts
    if cap is not None and world.pending_drafts(caller.creator) >= cap:
        raise ApiError(403, "spam_risk_too_many_pending_share", GUIDELINES)


def _check_privacy(world: World, caller: Caller, info: dict[str, Any]) -> None:
    settings, creator, level = world.settings, caller.creator, info.get("privacy_level")
    if not settings.audited and (not creator.private or level not in (None, "", "SELF_ONLY")):
        raise ApiError(403, "unaudited_client_can_only_post_to_private_accounts", GUIDELINES)
    if level not in creator.privacy_options():
        raise ApiError(403, "privacy_level_option_mismatch", GUIDELINES)
    if info.get("brand_content_toggle") and level == "SELF_ONLY" and not settings.branded_private_accepted:
        raise bad_params(world, POST_INFO)


def _create(
    world: World,
    request: Request,
    caller: Caller,
    mode: str,
    media: str,
    source: dict[str, Any],
    info: dict[str, Any],
) -> Answer:
    """Ownership and chunk arithmetic, the last two checks; then the task."""
    kind = source["source"]
    if kind == "PULL_FROM_URL":
        _check_ownership(world, caller, source["urls"])
    elif problem := plan_error(source["video_size"], source["chunk_size"], source["total_chunk_count"]):
        raise bad_params(world, problem)
    now = world.now()
    task = Task(
        publish_id=f"{PREFIXES[media, mode, kind]}{world.new_number()}",
        client_key=caller.app.client_key,
        handle=caller.creator.handle,
        mode=mode,
        media=media,
        source=kind,
        created_at=now,
        changed_at=now,
        status="PROCESSING_UPLOAD" if kind == "FILE_UPLOAD" else "PROCESSING_DOWNLOAD",
        post_info=info,
    )
    request.notes["publish_id"] = task.publish_id
    data = {"publish_id": task.publish_id}
    if kind == "FILE_UPLOAD":
        data["upload_url"] = _open_upload(world, request, task, source)
        world.add_task(task)
    else:
        task.urls, task.cover_index = source["urls"], source.get("photo_cover_index", 0)
        world.add_task(task)
        pulls.start(world, task)
    return success(world, request, data)


def _open_upload(world: World, request: Request, task: Task, source: dict[str, Any]) -> str:
    task.video_size = source["video_size"]
    task.chunk_size = source["chunk_size"]
    task.total_chunk_count = source["total_chunk_count"]
    task.upload_id = str(world.new_number())
    task.upload_token = secrets.token_urlsafe(24)
    task.upload_expires_at = task.created_at + world.settings.upload_url_seconds
    world.agenda.put(task.upload_expires_at, "task", task.publish_id)
    base = world.base_url or request.host_url
    return f"{base}/upload/?upload_id={task.upload_id}&upload_token={task.upload_token}"


def _check_ownership(world: World, caller: Caller, urls: list[str]) -> None:
    for url in urls:
        if not ownership.is_verified(caller.app, url, insecure=world.settings.pull_insecure):
            raise ApiError(403, "url_ownership_unverified", OWNERSHIP)


def _own_task(world: World, caller: Caller, body: dict[str, Any]) -> Task:
    publish_id = body.get("publish_id")
    task = world.tasks.get(publish_id) if isinstance(publish_id, str) else None
    if task is None:
        raise ApiError(400, "invalid_publish_id", "The publish_id does not exist.")
    if (task.client_key, task.handle) != (caller.app.client_key, caller.creator.handle):
        message = "The access token is not authorized for the publish_id."
        raise ApiError(400, "token_not_authorized_for_specified_publish_id", message)
    return task


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
