"""A bare client for the sandbox's tests: it sends what it is told to, right or wrong."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.sandbox.process import CLIENT_KEY, CLIENT_SECRET, REDIRECT_URI, SandboxProcess

ALL_SCOPES = "user.info.basic,user.info.profile,user.info.stats,video.list,video.upload,video.publish"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
MP4 = "video/mp4"
MIN_CHUNK = 5_000_000


def authorize_query(**changes: str | None) -> dict[str, str]:
    """A sound authorize request of a desktop app; a change to None leaves the parameter out."""
    query = {
        "client_key": CLIENT_KEY,
        "scope": ALL_SCOPES,
        "redirect_uri": REDIRECT_URI,
        "state": "state-1",
        "response_type": "code",
        "code_challenge": hashlib.sha256(VERIFIER.encode()).hexdigest(),
        "code_challenge_method": "S256",
        **changes,
    }
    return {name: value for name, value in query.items() if value is not None}


def authorize(sandbox: SandboxProcess, **changes: str | None) -> requests.Response:
    """Open the consent page; redirects are not followed."""
    return requests.get(
        f"{sandbox.url}/v2/auth/authorize/",
        params=authorize_query(**changes),
        allow_redirects=False,
        timeout=10,
    )


def token_call(sandbox: SandboxProcess, **fields: str) -> requests.Response:
    """POST to the token endpoint with the app's credentials."""
    form = {"client_key": CLIENT_KEY, "client_secret": CLIENT_SECRET, **fields}
    return requests.post(f"{sandbox.url}/v2/oauth/token/", data=form, timeout=10)


def exchange(sandbox: SandboxProcess, code: str, **changes: str) -> requests.Response:
    """Trade a code for tokens."""
    fields = {"redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER, **changes}
    return token_call(sandbox, grant_type="authorization_code", code=code, **fields)


def refresh(sandbox: SandboxProcess, token: str) -> requests.Response:
    """Trade a refresh token for a new pair."""
    return token_call(sandbox, grant_type="refresh_token", refresh_token=token)


def connect(sandbox: SandboxProcess, creator: str = "demo.public", **changes: str | None) -> Any:
    """Consent and exchange; returns the token answer's JSON."""
    back = sandbox.consent(authorize_query(**changes), creator)
    return exchange(sandbox, back["code"]).json()


def revoke(sandbox: SandboxProcess, token: str, **changes: str) -> requests.Response:
    """Give a token up."""
    form = {"client_key": CLIENT_KEY, "client_secret": CLIENT_SECRET, "token": token, **changes}
    return requests.post(f"{sandbox.url}/v2/oauth/revoke/", data=form, timeout=10)


class ApiClient:
    """Calls for one creator's access token."""

    def __init__(
        self, sandbox: SandboxProcess, creator: str = "demo.public", scopes: list[str] | None = None
    ):
        self.sandbox = sandbox
        self.creator = creator
        self.pair = sandbox.tokens(creator, scopes)
        self.http = requests.Session()
        self.http.trust_env = False

    def close(self) -> None:
        self.http.close()

    def call(self, path: str, body: Any = None, *, method: str = "POST", **query: str) -> requests.Response:
        """A call with the bearer token."""
        headers = {"Authorization": f"Bearer {self.pair['access_token']}"}
        return self.http.request(
            method, self.sandbox.url + path, json=body, headers=headers, params=query or None, timeout=20
        )

    def user_info(self, fields: str) -> requests.Response:
        return self.call("/v2/user/info/", method="GET", fields=fields)

    def creator_info(self) -> requests.Response:
        return self.call("/v2/post/publish/creator_info/query/", {})

    def init(self, size: int = 1000, *, source: Any = None, **info: Any) -> requests.Response:
        """Direct post of `size` bytes, one chunk unless `source` says otherwise; `info` goes into post_info."""
        post_info = {"privacy_level": "SELF_ONLY", **info}
        return self.call(
            "/v2/post/publish/video/init/",
            {"post_info": post_info, "source_info": source or one_chunk(size)},
        )

    def inbox(self, size: int = 1000, *, source: Any = None) -> requests.Response:
        return self.call("/v2/post/publish/inbox/video/init/", {"source_info": source or one_chunk(size)})

    def photos(self, urls: list[str], *, mode: str = "DIRECT_POST", **changes: Any) -> requests.Response:
        """A photo post; `changes` replace top-level fields."""
        body = {
            "media_type": "PHOTO",
            "post_mode": mode,
            "post_info": {"privacy_level": "SELF_ONLY"},
            "source_info": {"source": "PULL_FROM_URL", "photo_images": urls, "photo_cover_index": 0},
            **changes,
        }
        return self.call("/v2/post/publish/content/init/", body)

    def put(
        self, url: str, body: bytes, first: int = 0, total: int | None = None, **headers: str | None
    ) -> requests.Response:
        """PUT a chunk that begins at `first`; headers by keyword, None leaves one out."""
        total = len(body) if total is None else total
        sent = {
            "Content-Type": MP4,
            "Content-Range": f"bytes {first}-{first + len(body) - 1}/{total}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return self.http.put(url, data=body, headers=sent, timeout=60)

    def status(self, publish_id: str) -> Any:
        """The data of the status call."""
        return self.call("/v2/post/publish/status/fetch/", {"publish_id": publish_id}).json()["data"]

    def publish(self, body: bytes = b"v" * 1000, **info: Any) -> str:
        """Init and upload in one chunk; returns the publish_id."""
        data = self.init(len(body), **info).json()["data"]
        assert self.put(data["upload_url"], body).status_code == 201
        return str(data["publish_id"])

    def send_draft(self, body: bytes = b"v" * 1000) -> str:
        """The same to the inbox."""
        data = self.inbox(len(body)).json()["data"]
        assert self.put(data["upload_url"], body).status_code == 201
        return str(data["publish_id"])


def one_chunk(size: int) -> dict[str, Any]:
    """source_info of a file in one chunk."""
    return chunked(size, size, 1)


def chunked(size: int, chunk_size: int, count: int) -> dict[str, Any]:
    """source_info of a file upload."""
    return {
        "source": "FILE_UPLOAD",
        "video_size": size,
        "chunk_size": chunk_size,
        "total_chunk_count": count,
    }


def code_of(answer: requests.Response) -> tuple[int, str]:
    """HTTP status and error code of an enveloped answer."""
    return answer.status_code, answer.json()["error"]["code"]


def flat_error(answer: requests.Response) -> tuple[int, str, str]:
    """HTTP status, error and description of a flat answer."""
    body = answer.json()
    return answer.status_code, body["error"], body["error_description"]


def path_of(url: str) -> str:
    """Path and query of a URL."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"
