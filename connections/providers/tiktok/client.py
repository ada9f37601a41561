"""The calls that one account's token allows.

Sources: https://developers.tiktok.com/doc/tiktok-api-v2-introduction
and the page that each method names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from connections.errors import AuthorizationError, RejectedError, ResponseError
from connections.providers.base import (
    ChunkPlan,
    CreatorInfo,
    FailureClass,
    PlatformVideo,
    Profile,
    PublishJob,
    PublishMode,
    PublishOptions,
    PublishPhase,
    PublishStatus,
    VideoPage,
)
from connections.providers.tiktok.errors import error_from, read_refusal
from connections.providers.tiktok.explanations import FAILURES
from connections.providers.tiktok.hosts import UploadHosts
from connections.providers.tiktok.http import Http
from connections.providers.tiktok.parsing import (
    as_object,
    decode_json,
    id_list,
    optional_bool,
    optional_int,
    optional_text,
    required_int,
    required_list,
    required_object,
    required_text,
    required_word,
)

UPLOAD_URL_LIFETIME = timedelta(hours=1)
MAX_VIDEOS_IN_CALL = 20

_PROFILE_FIELDS: Mapping[str, tuple[str, ...]] = {
    "user.info.basic": ("open_id", "union_id", "avatar_url", "avatar_large_url", "display_name"),
    "user.info.profile": ("bio_description", "profile_deep_link", "is_verified", "username"),
    "user.info.stats": ("follower_count", "following_count", "likes_count", "video_count"),
}
_VIDEO_FIELDS = (
    "id",
    "create_time",
    "title",
    "video_description",
    "share_url",
    "cover_image_url",
    "duration",
    "view_count",
    "like_count",
    "comment_count",
    "share_count",
)
_INIT_PATHS: Mapping[PublishMode, str] = {
    PublishMode.DIRECT: "/v2/post/publish/video/init/",
    PublishMode.INBOX: "/v2/post/publish/inbox/video/init/",
}
_PHOTO_INIT_PATH = "/v2/post/publish/content/init/"
_PHOTO_MODES: Mapping[PublishMode, str] = {
    PublishMode.DIRECT: "DIRECT_POST",
    PublishMode.INBOX: "MEDIA_UPLOAD",
}
_PHASES: Mapping[str, PublishPhase] = {
    "PROCESSING_UPLOAD": PublishPhase.UPLOADING,
    "PROCESSING_DOWNLOAD": PublishPhase.DOWNLOADING,
    "SEND_TO_USER_INBOX": PublishPhase.IN_INBOX,
    "PUBLISH_COMPLETE": PublishPhase.PUBLISHED,
    "FAILED": PublishPhase.FAILED,
}


@dataclass(frozen=True)
class _Result:
    """The `data` of a successful call."""

    data: dict[str, Any]
    log_id: str


class TikTokClient:
    """TikTok for one account. Each method makes one call (`query_videos` one for every 20 ids) and repeats nothing."""

    def __init__(
        self, *, access_token: str, scopes: Iterable[str], http: Http, api_url: str, hosts: UploadHosts
    ) -> None:
        self._access_token = access_token
        self._scopes = frozenset(scopes)
        self._http = http
        self._api_url = api_url
        self._hosts = hosts

    def __repr__(self) -> str:
        return f"<TikTokClient {self._api_url}>"

    def fetch_profile(self) -> Profile:
        """Read the profile, asking only for what the granted scopes cover: one field more fails the whole call.

        Source: https://developers.tiktok.com/doc/tiktok-api-v2-get-user-info
        """
        fields = [name for scope, names in _PROFILE_FIELDS.items() if scope in self._scopes for name in names]
        if "open_id" not in fields:
            raise AuthorizationError("The scope user.info.basic was not granted", code="scope_not_authorized")
        user = required_object(self._call("GET", "/v2/user/info/", fields=fields).data, "user")
        return Profile(
            account_id=required_word(user, "open_id"),
            union_id=optional_text(user, "union_id"),
            display_name=optional_text(user, "display_name"),
            username=optional_text(user, "username"),
            avatar_url=optional_text(user, "avatar_large_url") or optional_text(user, "avatar_url"),
            bio=optional_text(user, "bio_description"),
            profile_url=optional_text(user, "profile_deep_link"),
            is_verified=optional_bool(user, "is_verified"),
            follower_count=optional_int(user, "follower_count"),
            following_count=optional_int(user, "following_count"),
            likes_count=optional_int(user, "likes_count"),
            video_count=optional_int(user, "video_count"),
        )

    def fetch_creator(self) -> CreatorInfo:
        """Ask what the creator may choose right now. 20 calls a minute for each token.

        Three refusals come with HTTP 200: two caps (CapError) and a ban (RejectedError). What TikTok does not call
        disabled counts as allowed, since TikTok applies the creator's own settings in any case.
        Source: https://developers.tiktok.com/doc/content-posting-api-reference-query-creator-info
        """
        data = self._call("POST", "/v2/post/publish/creator_info/query/", {}).data
        seconds = optional_int(data, "max_video_post_duration_sec")
        return CreatorInfo(
            nickname=required_text(data, "creator_nickname"),
            username=required_text(data, "creator_username"),
            avatar_url=optional_text(data, "creator_avatar_url"),
            privacy_levels=_privacy_levels(data),
            is_comment_disabled=bool(optional_bool(data, "comment_disabled")),
            is_duet_disabled=bool(optional_bool(data, "duet_disabled")),
            is_stitch_disabled=bool(optional_bool(data, "stitch_disabled")),
            max_duration=timedelta(seconds=seconds) if seconds else None,
        )

    def start_upload(self, *, mode: PublishMode, plan: ChunkPlan, options: PublishOptions) -> PublishJob:
        """Open a publish job for a file; nothing is posted until bytes follow. 6 calls a minute for a token and mode.

        `options` count for a direct post only. Raises CapError, RejectedError (the account's or the post's settings),
        ConfigurationError also for an upload host that is not allowed.
        Sources: https://developers.tiktok.com/doc/content-posting-api-reference-direct-post
        https://developers.tiktok.com/doc/content-posting-api-reference-upload-video
        """
        body: dict[str, Any] = {
            "source_info": {
                "source": "FILE_UPLOAD",
                "video_size": plan.total_bytes,
                "chunk_size": plan.chunk_size,
                "total_chunk_count": plan.count,
            }
        }
        if mode is PublishMode.DIRECT:
            body["post_info"] = _post_info(options)
        data = self._call("POST", _INIT_PATHS[mode], body).data
        publish_id, upload_url = required_word(data, "publish_id"), required_word(data, "upload_url")
        self._hosts.check(upload_url)
        return PublishJob(publish_id=publish_id, upload_url=upload_url, upload_expires_in=UPLOAD_URL_LIFETIME)

    def start_pull(self, *, mode: PublishMode, video_url: str, options: PublishOptions) -> PublishJob:
        """Have TikTok fetch a video and post it. 6 calls a minute for a token and mode.

        There is no key against doubles: an error that does not say that nothing happened may stand for a post. Raises
        ConfigurationError also for an address that was not verified.
        Sources: https://developers.tiktok.com/doc/content-posting-api-reference-direct-post
        https://developers.tiktok.com/doc/content-posting-api-reference-upload-video
        """
        body: dict[str, Any] = {"source_info": {"source": "PULL_FROM_URL", "video_url": video_url}}
        if mode is PublishMode.DIRECT:
            body["post_info"] = _post_info(options)
        return self._start_pull(_INIT_PATHS[mode], body)

    def start_photos(
        self, *, mode: PublishMode, photo_urls: Sequence[str], options: PublishOptions
    ) -> PublishJob:
        """Have TikTok fetch photos and post them in this order. 6 calls a minute for a token. Raises as `start_pull`.

        A draft carries the title and the description, and nothing else of `options` but the cover.
        Source: https://developers.tiktok.com/doc/content-posting-api-reference-photo-post
        """
        return self._start_pull(
            _PHOTO_INIT_PATH,
            {
                "media_type": "PHOTO",
                "post_mode": _PHOTO_MODES[mode],
                "post_info": _photo_info(options, mode),
                "source_info": {
                    "source": "PULL_FROM_URL",
                    "photo_images": list(photo_urls),
                    "photo_cover_index": options.cover_index,
                },
                "is_aigc": options.is_ai_generated,  # beside post_info, unlike a video's
            },
        )

    def _start_pull(self, path: str, body: Mapping[str, Any]) -> PublishJob:
        data = self._call("POST", path, body).data
        return PublishJob(publish_id=required_word(data, "publish_id"))

    def fetch_status(self, publish_id: str) -> PublishStatus:
        """Ask how far a job is. 30 calls a minute for each token.

        Raises JobNotFoundError for an unknown job, which may pass in the moments after it was made.
        Source: https://developers.tiktok.com/doc/content-posting-api-reference-get-video-status
        """
        result = self._call("POST", "/v2/post/publish/status/fetch/", {"publish_id": publish_id})
        data = result.data
        phase = _PHASES.get(required_word(data, "status"))
        if phase is None:
            raise ResponseError(
                "TikTok's publish status is none of the documented ones", log_id=result.log_id
            )
        reason = optional_text(data, "fail_reason") if phase is PublishPhase.FAILED else ""
        counter = "downloaded_bytes" if phase is PublishPhase.DOWNLOADING else "uploaded_bytes"
        return PublishStatus(
            phase=phase,
            failure=FAILURES.get(reason, FailureClass.PERMANENT) if phase is PublishPhase.FAILED else None,
            fail_reason=reason,
            stored_bytes=optional_int(data, counter),
            post_ids=id_list(data, "publicaly_available_post_id"),  # sic
            log_id=result.log_id,
        )

    def cancel(self, publish_id: str) -> None:
        """Stop a job that TikTok is still downloading; one that we upload cannot be canceled and is refused.

        Source: https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide
        """
        self._call("POST", "/v2/post/publish/cancel/", {"publish_id": publish_id})

    def list_videos(self, *, cursor: int | None = None, limit: int = MAX_VIDEOS_IN_CALL) -> VideoPage:
        """List public videos, newest first, those before `cursor` (UTC milliseconds). `limit` is brought to 1 … 20.

        Source: https://developers.tiktok.com/doc/tiktok-api-v2-video-list
        """
        body = {"max_count": min(max(limit, 1), MAX_VIDEOS_IN_CALL)}
        if cursor is not None:
            body["cursor"] = cursor
        data = self._call("POST", "/v2/video/list/", body, fields=_VIDEO_FIELDS).data
        has_more = optional_bool(data, "has_more")
        if has_more is None:
            raise ResponseError("TikTok's answer has no usable has_more")
        return VideoPage(
            videos=_videos(data),
            cursor=required_int(data, "cursor") if has_more else optional_int(data, "cursor") or 0,
            has_more=has_more,
        )

    def query_videos(self, video_ids: Sequence[str]) -> tuple[PlatformVideo, ...]:
        """Read the account's videos with these ids; those that TikTok does not show are left out.

        Source: https://developers.tiktok.com/doc/tiktok-api-v2-video-query
        """
        found: list[PlatformVideo] = []
        for start in range(0, len(video_ids), MAX_VIDEOS_IN_CALL):
            body = {"filters": {"video_ids": list(video_ids[start : start + MAX_VIDEOS_IN_CALL])}}
            found += _videos(self._call("POST", "/v2/video/query/", body, fields=_VIDEO_FIELDS).data)
        return tuple(found)

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, fields: Sequence[str] = ()
    ) -> _Result:
        headers = {"Authorization": f"Bearer {self._access_token}"}
        if body is not None:
            headers["Content-Type"] = "application/json; charset=UTF-8"
        answer = self._http.send(
            method,
            self._api_url
            + path
            + (f"?{urlencode({'fields': ','.join(fields)}, safe=',')}" if fields else ""),
            headers=headers,
            data=None if body is None else json.dumps(body).encode(),
        )
        decoded = decode_json(answer.body)
        refusal = read_refusal(decoded, answer.headers)
        if not answer.is_success or refusal.code != "ok":
            raise error_from(answer, secrets=(self._access_token,))
        return _Result(data=as_object(as_object(decoded).get("data")), log_id=refusal.log_id)


def _post_info(options: PublishOptions) -> dict[str, Any]:
    if not options.privacy_level:
        raise RejectedError("No privacy level was chosen", code="privacy_level_option_mismatch")
    info: dict[str, Any] = {
        "privacy_level": options.privacy_level,
        "disable_comment": not options.allow_comment,
        "disable_duet": not options.allow_duet,
        "disable_stitch": not options.allow_stitch,
        "brand_organic_toggle": options.is_own_brand,
        "brand_content_toggle": options.is_paid_partnership,
        "is_aigc": options.is_ai_generated,
    }
    if options.caption:
        info["title"] = options.caption
    if options.cover_timestamp_ms is not None:
        info["video_cover_timestamp_ms"] = options.cover_timestamp_ms
    return info


def _photo_info(options: PublishOptions, mode: PublishMode) -> dict[str, Any]:
    info: dict[str, Any] = {}
    if mode is PublishMode.DIRECT:
        if not options.privacy_level:
            raise RejectedError("No privacy level was chosen", code="privacy_level_option_mismatch")
        info = {
            "privacy_level": options.privacy_level,
            "disable_comment": not options.allow_comment,
            "auto_add_music": options.adds_music,
            "brand_organic_toggle": options.is_own_brand,
            "brand_content_toggle": options.is_paid_partnership,
        }
    if options.title:
        info["title"] = options.title
    if options.caption:
        info["description"] = options.caption
    return info


def _privacy_levels(data: Mapping[str, Any]) -> tuple[str, ...]:
    levels = required_list(data, "privacy_level_options")
    if not levels or not all(isinstance(level, str) and level for level in levels):
        raise ResponseError("TikTok's answer has no usable privacy_level_options")
    return tuple(levels)


def _videos(data: Mapping[str, Any]) -> tuple[PlatformVideo, ...]:
    return tuple(_video(as_object(item)) for item in required_list(data, "videos"))


def _video(item: Mapping[str, Any]) -> PlatformVideo:
    seconds = optional_int(item, "duration")
    return PlatformVideo(
        id=required_word(item, "id"),
        title=optional_text(item, "title"),
        description=optional_text(item, "video_description"),
        share_url=optional_text(item, "share_url"),
        cover_url=optional_text(item, "cover_image_url"),
        created_at_epoch_s=required_int(item, "create_time"),
        duration=None if seconds is None else timedelta(seconds=seconds),
        view_count=optional_int(item, "view_count"),
        like_count=optional_int(item, "like_count"),
        comment_count=optional_int(item, "comment_count"),
        share_count=optional_int(item, "share_count"),
    )
