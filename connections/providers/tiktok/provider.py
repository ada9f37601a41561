"""TikTok as a provider: what the rest of the product sees of this folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from urllib.parse import quote, urlsplit

from connections.providers.base import (
    Chunk,
    ChunkPlan,
    ChunkReceipt,
    Explanation,
    Operation,
    PublishMode,
    RateLimit,
)
from connections.providers.tiktok import chunks, explanations, oauth, upload
from connections.providers.tiktok.client import TikTokClient
from connections.providers.tiktok.hosts import UploadHosts
from connections.providers.tiktok.http import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, Http
from connections.providers.tiktok.oauth import App, TikTokAuthorizer
from connections.providers.tiktok.rules import (
    PHOTO_RULES,
    POSTING_RULES,
    RATE_LIMITS,
    VIDEO_RULES,
    rate_limits_from,
)
from connections.providers.tiktok.webhooks import TikTokWebhooks


class TikTokProvider:
    """TikTok for one app. Holds no state but its connections, and may be shared between threads."""

    name = "tiktok"
    label = "TikTok"
    scope_labels: Mapping[str, str] = MappingProxyType(
        {
            "user.info.basic": "See your name and picture",
            "user.info.profile": "See your username, bio and profile link",
            "user.info.stats": "See your follower, like and video counts",
            "video.list": "See your public videos",
            "video.upload": "Send drafts to your TikTok inbox",
            "video.publish": "Post videos to your profile",
        }
    )
    required_scopes = frozenset({"user.info.basic"})
    publish_scopes: Mapping[PublishMode, str] = MappingProxyType(
        {PublishMode.DIRECT: "video.publish", PublishMode.INBOX: "video.upload"}
    )
    privacy_labels: Mapping[str, str] = MappingProxyType(
        {
            "PUBLIC_TO_EVERYONE": "Everyone",
            "MUTUAL_FOLLOW_FRIENDS": "Friends",
            "FOLLOWER_OF_CREATOR": "Followers",
            "SELF_ONLY": "Only me",
        }
    )
    caption_limit = 2200
    max_video_bytes = chunks.MAX_VIDEO_BYTES
    video_rules = VIDEO_RULES
    photo_rules = PHOTO_RULES
    posting_rules = POSTING_RULES

    def __init__(
        self,
        app: App,
        *,
        pkce: str = "auto",
        upload_hosts: Iterable[str] = (".tiktokapis.com",),
        connect_timeout: float = CONNECT_TIMEOUT_S,
        read_timeout: float = READ_TIMEOUT_S,
        chunk_bytes: int | None = None,
        pull_url_prefix: str = "",
        pulls_videos: bool = True,
        rate_limits: Mapping[Operation, RateLimit] = RATE_LIMITS,
    ) -> None:
        self._app = app
        self._pkce = pkce
        self._hosts = UploadHosts(upload_hosts, api_url=app.api_url)
        self._chunk_bytes = chunk_bytes
        self._pull_url_prefix = pull_url_prefix
        self._pulls_videos = pulls_videos
        self.rate_limits = rate_limits
        self.longest_call = timedelta(seconds=connect_timeout + read_timeout)
        self._http = Http(connect_timeout=connect_timeout, read_timeout=read_timeout)
        # On a slow line a piece of a chunk may need long, and urllib3 sends under the time-out for connecting.
        self._upload_http = Http(connect_timeout=read_timeout, read_timeout=read_timeout)

    @classmethod
    def from_settings(cls) -> TikTokProvider:
        """Make the provider from the settings whose names start with TIKTOK_."""
        from django.conf import settings

        app = App(
            client_key=settings.TIKTOK_CLIENT_KEY,
            client_secret=settings.TIKTOK_CLIENT_SECRET,
            redirect_uri=settings.TIKTOK_REDIRECT_URI,
            scopes=tuple(settings.TIKTOK_SCOPES),
            authorize_url=settings.TIKTOK_AUTHORIZE_URL,
            api_url=settings.TIKTOK_API_URL.rstrip("/"),
        )
        large = settings.TIKTOK_CHUNK_BYTES >= chunks.CHUNK_BYTES
        return cls(
            app,
            pkce=settings.TIKTOK_PKCE,
            upload_hosts=settings.TIKTOK_UPLOAD_HOSTS,
            connect_timeout=settings.TIKTOK_CONNECT_TIMEOUT,
            read_timeout=settings.TIKTOK_READ_TIMEOUT,
            chunk_bytes=None if large else settings.TIKTOK_CHUNK_BYTES,
            pull_url_prefix=settings.TIKTOK_PULL_URL_PREFIX,
            pulls_videos=settings.TIKTOK_PULL_VIDEOS,
            rate_limits=rate_limits_from(settings.TIKTOK_RATE_LIMITS),
        )

    @property
    def is_configured(self) -> bool:
        """Whether there are a client key and a secret."""
        return bool(self._app.client_key and self._app.client_secret)

    @property
    def uses_pkce(self) -> bool:
        """Whether to send a PKCE challenge. On "auto", for loopback redirect URIs only.

        TikTok's desktop page demands it, its web page does not know it, and apps in the field met refusals either way.
        Source: https://developers.tiktok.com/doc/login-kit-desktop
        """
        return self._pkce == "on" or (self._pkce == "auto" and oauth.is_loopback(self._app.redirect_uri))

    @property
    def redirect_uri(self) -> str:
        """Where TikTok sends people back to; registered with TikTok letter by letter."""
        return self._app.redirect_uri

    @property
    def pull_url_prefix(self) -> str:
        """Where TikTok may fetch media of ours, "" if no domain or prefix was verified at TikTok.

        Source: https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide
        """
        return self._pull_url_prefix

    @property
    def pulls_videos(self) -> bool:
        """Whether TikTok shall fetch videos rather than be sent them."""
        return bool(self._pull_url_prefix) and self._pulls_videos

    @property
    def requested_scopes(self) -> tuple[str, ...]:
        """The scopes that a person is asked for."""
        return self._app.scopes

    def authorizer(self) -> TikTokAuthorizer:
        """Return the OAuth calls."""
        return TikTokAuthorizer(self._app, http=self._http)

    def for_sign_in(self, redirect_uri: str) -> TikTokProvider:
        """Return the same app, asking for no more than who somebody is and sending them back to `redirect_uri`.

        Source: https://developers.tiktok.com/doc/tiktok-api-scopes
        """
        asking = copy(self)
        asking._app = replace(self._app, redirect_uri=redirect_uri, scopes=tuple(self.required_scopes))
        return asking

    def webhook_receiver(self) -> TikTokWebhooks:
        """Return what reads TikTok's webhooks; the client secret is what signs them."""
        return TikTokWebhooks(client_key=self._app.client_key, client_secret=self._app.client_secret)

    def client(self, *, access_token: str, scopes: Iterable[str]) -> TikTokClient:
        """Return the calls of one account; makes none itself."""
        return TikTokClient(
            access_token=access_token,
            scopes=scopes,
            http=self._http,
            api_url=self._app.api_url,
            hosts=self._hosts,
        )

    def new_code_verifier(self) -> str:
        """Return a fresh PKCE verifier."""
        return oauth.new_code_verifier()

    def caption_length(self, text: str) -> int:
        """Return the length in UTF-16 code units, TikTok's measure: an emoji counts two or more.

        Source: https://developers.tiktok.com/doc/content-posting-api-reference-direct-post
        """
        return len(text.encode("utf-16-le", "surrogatepass")) // 2

    def plan_chunks(self, total_bytes: int) -> ChunkPlan:
        """Return a legal plan. Raises ValueError under 1 byte and above 4 GiB."""
        return chunks.plan_chunks(total_bytes, chunk_bytes=self._chunk_bytes)

    def send_chunk(
        self,
        *,
        upload_url: str,
        chunk: Chunk,
        total_bytes: int,
        content_type: str,
        blocks: Iterable[bytes | memoryview],
    ) -> ChunkReceipt:
        """Send one chunk as `upload.send_chunk` says. Raises ProviderError, ValueError, and what `blocks` raises."""
        return upload.send_chunk(
            self._upload_http,
            self._hosts,
            upload_url=upload_url,
            chunk=chunk,
            total_bytes=total_bytes,
            content_type=content_type,
            blocks=blocks,
        )

    def profile_url(self, username: str) -> str:
        """Return the public page of `username`, "" without one. It is on the host of the consent page."""
        if not username:
            return ""
        site = urlsplit(self._app.authorize_url)
        return f"{site.scheme}://{site.netloc}/@{quote(username, safe='')}"

    def post_url(self, username: str, post_id: str) -> str:
        """Return the public page of a post, of the profile while the post has no id, "" without a username."""
        profile = self.profile_url(username)
        return f"{profile}/video/{quote(post_id, safe='')}" if profile and post_id else profile

    def explain(self, code: str) -> Explanation:
        """Say a refusal or a fail reason to a creator; unknown codes get a general, honest sentence."""
        return explanations.explain(code)
