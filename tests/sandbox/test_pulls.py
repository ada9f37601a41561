"""PULL_FROM_URL and cancel: https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide"""

from __future__ import annotations

import hashlib
import threading

import pytest

from tests.sandbox.client import code_of
from tests.sandbox.process import CLIENT_KEY
from tests.sandbox.receivers import Reply, eventually

JPEG = b"\xff\xd8\xff\xe0" + b"j" * 500
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 " + b"w" * 500
PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 500
VIDEO = b"\x00\x00\x00\x18ftypmp42" + b"v" * 300_000
CANCEL = "/v2/post/publish/cancel/"


def source(url):
    return {"source": "PULL_FROM_URL", "video_url": url}


@pytest.fixture
def pull(sandbox, client, receiver):
    """A client whose app owns the media host, which is allowed to be on plain loopback."""
    sandbox.settings(pull_insecure=True)
    sandbox.control(
        "POST", "/apps", {"client_key": CLIENT_KEY, "verified_prefixes": [f"{receiver.url}/videos/"]}
    )
    return client


def end_of(client, publish_id):
    """The status once the download is over."""
    return eventually(
        lambda: client.status(publish_id), lambda status: status["status"] != "PROCESSING_DOWNLOAD"
    )


@pytest.mark.quirk(40)
@pytest.mark.parametrize(
    ("url", "verified"),
    [
        pytest.param("https://cdn.example.com/v.mp4", True, id="sub-domain of a verified domain"),
        pytest.param("https://example.com/a/b.mp4?sig=1", True, id="the domain itself, any path"),
        pytest.param("https://notexample.com/v.mp4", False, id="only looks like it"),
        pytest.param("https://media.host.test/videos/user/123/a.mp4", True, id="under the prefix"),
        pytest.param("https://media.host.test/videos/2023/user/a.mp4", False, id="beside the prefix"),
        pytest.param("https://sub.media.host.test/videos/user/a.mp4", False, id="prefix has no sub-domains"),
        pytest.param("http://example.com/v.mp4", False, id="http"),
        pytest.param("https://192.0.2.7/v.mp4", False, id="IP address"),
        pytest.param("https://example.com@evil.test/v.mp4", False, id="user part"),
        pytest.param("https://example.com:x/v.mp4", False, id="port no number"),
        pytest.param("example.com/v.mp4", False, id="not absolute"),
    ],
)
def test_only_verified_https_hosts_are_pulled_from(sandbox, client, url, verified):
    app = {
        "client_key": CLIENT_KEY,
        "verified_domains": ["example.com", "192.0.2.7"],
        "verified_prefixes": ["https://media.host.test/videos/user/"],
    }
    sandbox.control("POST", "/apps", app)
    # The test wants the answer only, no look-up of these names.
    sandbox.settings(active_users_audited=100, pull_seconds=0)

    answer = client.init(source=source(url))

    assert code_of(answer) == ((200, "ok") if verified else (403, "url_ownership_unverified"))


def test_pulled_video_is_fetched_and_posted(sandbox, pull, receiver):
    receiver.files["/videos/a.mp4"] = Reply(body=VIDEO, headers={"Content-Type": "video/mp4"})

    publish_id = pull.init(source=source(f"{receiver.url}/videos/a.mp4?sig=1")).json()["data"]["publish_id"]
    status = end_of(pull, publish_id)

    assert (status["status"], status["downloaded_bytes"]) == ("PUBLISH_COMPLETE", len(VIDEO))
    assert receiver.asked == ["/videos/a.mp4?sig=1"]
    assert sandbox.posts()[0]["sha256"] == hashlib.sha256(VIDEO).hexdigest()


@pytest.mark.quirk(40)
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(302, headers={"Location": "/videos/b.mp4"}), id="redirect"),
        pytest.param(Reply(404), id="not found"),
        pytest.param(Reply(200, VIDEO, {"Content-Length": str(len(VIDEO) + 9)}), id="ends too early"),
    ],
)
def test_redirects_and_broken_downloads_fail(pull, receiver, reply):
    receiver.files |= {"/videos/a.mp4": reply, "/videos/b.mp4": Reply(body=VIDEO)}

    publish_id = pull.init(source=source(f"{receiver.url}/videos/a.mp4")).json()["data"]["publish_id"]
    status = end_of(pull, publish_id)

    assert (status["status"], status["fail_reason"]) == ("FAILED", "video_pull_failed")
    assert receiver.asked == ["/videos/a.mp4"]


@pytest.mark.quirk(40)
def test_download_has_a_time_limit(sandbox, pull, receiver):
    sandbox.settings(pull_seconds=0.2)
    receiver.files["/videos/a.mp4"] = Reply(body=VIDEO, hold=threading.Event())

    publish_id = pull.init(source=source(f"{receiver.url}/videos/a.mp4")).json()["data"]["publish_id"]

    assert end_of(pull, publish_id)["fail_reason"] == "video_pull_failed"
    receiver.files["/videos/a.mp4"].hold.set()


@pytest.mark.quirk(43)
def test_running_download_can_be_canceled(sandbox, pull, receiver):
    receiver.files["/videos/a.mp4"] = Reply(body=VIDEO, hold=threading.Event())
    publish_id = pull.init(source=source(f"{receiver.url}/videos/a.mp4")).json()["data"]["publish_id"]
    half = len(VIDEO) // 2
    eventually(lambda: pull.status(publish_id), lambda status: status["downloaded_bytes"] == half)

    answer = pull.call(CANCEL, {"publish_id": publish_id})
    receiver.files["/videos/a.mp4"].hold.set()
    receiver.answered.get(timeout=10)
    status = pull.status(publish_id)

    assert answer.status_code == 200
    assert set(answer.json()) == {"error"}
    assert (status["fail_reason"], status["downloaded_bytes"]) == ("publish_cancelled", half)
    assert code_of(pull.call(CANCEL, {"publish_id": publish_id})) == (400, "publish_not_cancellable")
    assert sandbox.posts() == []


@pytest.mark.quirk(43)
def test_file_upload_cannot_be_canceled(client):
    publish_id = client.init().json()["data"]["publish_id"]

    assert code_of(client.call(CANCEL, {"publish_id": publish_id})) == (400, "publish_not_cancellable")
    assert client.status(publish_id)["status"] == "PROCESSING_UPLOAD"


def test_unknown_publish_id_cannot_be_canceled(client):
    assert code_of(client.call(CANCEL, {"publish_id": "x"})) == (400, "invalid_publish_id")


@pytest.mark.quirk(32)
def test_photos_are_fetched_in_order(sandbox, pull, receiver):
    receiver.files |= {
        "/videos/1.jpg": Reply(body=JPEG, headers={"Content-Type": "image/jpeg"}),
        "/videos/2.webp": Reply(body=WEBP, headers={"Content-Type": "image/webp"}),
    }
    urls = [f"{receiver.url}/videos/1.jpg", f"{receiver.url}/videos/2.webp"]

    publish_id = pull.photos(urls).json()["data"]["publish_id"]

    assert end_of(pull, publish_id)["status"] == "PUBLISH_COMPLETE"
    assert [file["bytes"] for file in sandbox.posts()[0]["files"]] == [len(JPEG), len(WEBP)]


@pytest.mark.quirk(32)
@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(Reply(body=PNG), "file_format_check_failed", id="PNG"),
        pytest.param(
            Reply(body=JPEG + b"x" * (20 * 1024 * 1024)), "file_format_check_failed", id="over 20 MB"
        ),
        pytest.param(Reply(500), "photo_pull_failed", id="server error"),
    ],
)
def test_photos_that_cannot_be_taken_fail(pull, receiver, reply, reason):
    receiver.files["/videos/1.jpg"] = reply

    publish_id = pull.photos([f"{receiver.url}/videos/1.jpg"]).json()["data"]["publish_id"]

    assert end_of(pull, publish_id)["fail_reason"] == reason
