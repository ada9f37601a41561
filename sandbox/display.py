"""The Display API: who the creator is, and which public videos there are.

https://developers.tiktok.com/doc/tiktok-api-v2-get-user-info
https://developers.tiktok.com/doc/tiktok-api-v2-video-list  https://developers.tiktok.com/doc/tiktok-api-v2-video-query
https://developers.tiktok.com/doc/tiktok-api-v2-video-object
"""

from __future__ import annotations

from typing import Any

from sandbox.api import Caller, authorize, bad_params, json_body, success
from sandbox.lifecycle import PUBLIC, settle_post
from sandbox.models import Creator, Post
from sandbox.wire import NO_SCOPE, Answer, ApiError, Request
from sandbox.world import World

USER_FIELDS = {
    **dict.fromkeys(
        ("open_id", "union_id", "avatar_url", "avatar_url_100", "avatar_large_url", "display_name"),
        "user.info.basic",
    ),
    **dict.fromkeys(("bio_description", "profile_deep_link", "is_verified", "username"), "user.info.profile"),
    **dict.fromkeys(("follower_count", "following_count", "likes_count", "video_count"), "user.info.stats"),
}
VIDEO_FIELDS = {
    "id",
    "create_time",
    "cover_image_url",
    "share_url",
    "video_description",
    "duration",
    "height",
    "width",
    "title",
    "embed_html",
    "embed_link",
    "like_count",
    "comment_count",
    "share_count",
    "view_count",
}
MAX_DESCRIPTION = 150
DEFAULT_COUNT, MAX_COUNT, MAX_IDS = 10, 20, 20


async def user_info(world: World, request: Request) -> Answer:
    """GET /v2/user/info/: one field without its scope fails the whole call."""
    caller = authorize(world, request)
    fields = _fields(world, request, set(USER_FIELDS))
    if not {USER_FIELDS[name] for name in fields} <= set(caller.token.scopes):
        raise ApiError(401, "scope_not_authorized", NO_SCOPE)
    user = _user(world, request, caller)
    return success(world, request, {"user": {name: user[name] for name in fields}})


async def video_list(world: World, request: Request) -> Answer:
    """POST /v2/video/list/: public videos, newest first; the cursor is in milliseconds."""
    caller = authorize(world, request, "video.list")
    fields = _fields(world, request, VIDEO_FIELDS)
    body = await json_body(world, request)
    count, cursor = body.get("max_count", DEFAULT_COUNT), body.get("cursor")
    if not _is_int(count) or not 1 <= count <= MAX_COUNT:
        raise bad_params(world, "max_count must be between 1 and 20")
    if cursor is not None and (not _is_int(cursor) or cursor < 0):
        raise bad_params(world, "cursor must be a UTC timestamp in milliseconds")
    posts = [p for p in _public_posts(world, caller) if not cursor or _milliseconds(p) < cursor]
    page = posts[:count]
    data = {
        "videos": [_video(world, request, post, fields) for post in page],
        "cursor": _milliseconds(page[-1]) if page else (cursor or 0),
        "has_more": len(posts) > count,
    }
    return success(world, request, data)


async def video_query(world: World, request: Request) -> Answer:
    """POST /v2/video/query/: by id; ids that are foreign or not public are dropped."""
    caller = authorize(world, request, "video.list")
    fields = _fields(world, request, VIDEO_FIELDS)
    filters = (await json_body(world, request)).get("filters")
    ids = filters.get("video_ids") if isinstance(filters, dict) else None
    if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_IDS:
        raise bad_params(world, "filters.video_ids must hold between 1 and 20 ids")
    wanted = {str(i) for i in ids}
    posts = [post for post in _public_posts(world, caller) if post.post_id in wanted]
    return success(world, request, {"videos": [_video(world, request, post, fields) for post in posts]})


def avatar_url(world: World, request: Request, creator: Creator, side: int) -> str:
    """A signed address of the avatar that expires."""
    return (world.base_url or request.host_url) + avatar_path(world, creator, side)


def avatar_path(world: World, creator: Creator, side: int) -> str:
    """The same without the host, for our own pages."""
    return _signed(world, f"/avatar/{creator.handle}/{side}.png", world.settings.avatar_seconds)


def cover_path(world: World, post: Post) -> str:
    """A signed address of a post's cover that expires."""
    return _signed(world, f"/cover/{post.post_id}.png", world.settings.cover_seconds)


def is_signed(world: World, path: str, expires: str, signature: str) -> bool:
    """Whether a media address is ours and still good."""
    return expires.isdigit() and int(expires) > world.now() and signature == world.sign(f"{path}?{expires}")


def share_url(world: World, request: Request, post: Post) -> str:
    """The post's page, as TikTok's share links with tracking parameters."""
    base = world.base_url or request.host_url
    return f"{base}/@{post.handle}/video/{post.post_id}?utm_campaign=client_share&utm_source=open_api"


def _signed(world: World, path: str, seconds: float) -> str:
    expires = int(world.now() + seconds)
    return f"{path}?x-expires={expires}&x-signature={world.sign(f'{path}?{expires}')}"


def _user(world: World, request: Request, caller: Caller) -> dict[str, Any]:
    creator = caller.creator
    base = world.base_url or request.host_url
    return {
        "open_id": caller.grant.open_id,
        "union_id": world.union_id(creator),
        "avatar_url": avatar_url(world, request, creator, 168),
        "avatar_url_100": avatar_url(world, request, creator, 100),
        "avatar_large_url": avatar_url(world, request, creator, 720),
        "display_name": creator.nickname,
        "bio_description": creator.bio,
        "profile_deep_link": f"{base}/@{creator.handle}",
        "is_verified": creator.verified,
        "username": creator.handle,
        "follower_count": creator.followers,
        "following_count": creator.following,
        "likes_count": creator.likes,
        "video_count": sum(not post.deleted for post in world.creator_posts[creator.handle]),
    }


def _fields(world: World, request: Request, known: set[str]) -> list[str]:
    """The `fields` selector of the query string. ApiError 400: absent, empty or unknown names."""
    fields = [name for name in request.query.get("fields", "").split(",") if name]
    if not fields or not set(fields) <= known:
        raise bad_params(world, "The fields parameter is missing or holds an unknown field")
    return fields


def _public_posts(world: World, caller: Caller) -> list[Post]:
    found = []
    for post in reversed(world.creator_posts[caller.creator.handle]):
        settle_post(world, post)
        if (
            post.privacy == PUBLIC
            and post.announced_at is not None
            and not post.deleted
            and post.media == "video"
        ):
            found.append(post)
    return found


def _video(world: World, request: Request, post: Post, fields: list[str]) -> dict[str, Any]:
    link = share_url(world, request, post)
    whole = {
        "id": post.post_id,
        "create_time": int(post.created_at),
        "cover_image_url": (world.base_url or request.host_url) + cover_path(world, post),
        "share_url": link,
        "video_description": post.caption[:MAX_DESCRIPTION],
        "duration": post.duration,
        "height": post.height,
        "width": post.width,
        "title": "",
        "embed_html": f'<iframe src="{link}"></iframe>',
        "embed_link": link,
        "like_count": 0,
        "comment_count": 0,
        "share_count": 0,
        "view_count": 0,
    }
    return {name: whole[name] for name in fields}


def _milliseconds(post: Post) -> int:
    return int(post.created_at * 1000)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
