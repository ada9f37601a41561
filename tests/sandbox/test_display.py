"""User info and videos: https://developers.tiktok.com/doc/tiktok-api-v2-get-user-info and …/tiktok-api-v2-video-list"""

from __future__ import annotations

import time

import pytest
import requests

from tests.sandbox.client import code_of

PNG = b"\x89PNG\r\n\x1a\n"


def publish_public(client, count):
    client.sandbox.settings(rate_limits_on=False)
    return [client.publish(privacy_level="PUBLIC_TO_EVERYONE", title=f"video {n}") for n in range(count)]


@pytest.mark.quirk(17)
@pytest.mark.parametrize("fields", ["", "open_id,shoe_size"])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v2/user/info/"), ("POST", "/v2/video/list/"), ("POST", "/v2/video/query/")]
)
def test_fields_is_a_mandatory_query_parameter(client, method, path, fields):
    body = {"fields": "id", "filters": {"video_ids": ["1"]}} if method == "POST" else None
    query = {"fields": fields} if fields else {}

    assert code_of(client.call(path, body, method=method, **query)) == (400, "invalid_params")


def test_user_info_returns_the_fields_asked_for(client):
    user = client.user_info("open_id,username,follower_count").json()["data"]["user"]

    assert set(user) == {"open_id", "username", "follower_count"}
    assert user["username"] == "demo.public"


@pytest.mark.quirk(18)
def test_one_field_without_its_scope_fails_the_whole_call(client_for):
    client = client_for("demo.public", ["user.info.basic"])

    assert code_of(client.user_info("open_id,display_name")) == (200, "ok")
    assert code_of(client.user_info("open_id,username")) == (401, "scope_not_authorized")


@pytest.mark.quirk(19)
def test_list_pages_newest_first_with_a_cursor_in_milliseconds(client):
    publish_public(client, 12)

    first = client.call("/v2/video/list/", {}, fields="id,create_time,video_description").json()["data"]
    rest = client.call("/v2/video/list/", {"cursor": first["cursor"]}, fields="video_description").json()[
        "data"
    ]

    assert len(first["videos"]) == 10
    assert first["has_more"] is True
    assert first["videos"][0]["video_description"] == "video 11"
    assert abs(first["videos"][0]["create_time"] - time.time()) < 60
    assert abs(first["cursor"] / 1000 - time.time()) < 60
    assert [v["video_description"] for v in rest["videos"]] == ["video 1", "video 0"]
    assert rest["has_more"] is False


@pytest.mark.quirk(19)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/video/list/", {"max_count": 21}),
        ("/v2/video/list/", {"max_count": 0}),
        ("/v2/video/list/", {"cursor": "now"}),
        ("/v2/video/query/", {"filters": {"video_ids": [str(n) for n in range(21)]}}),
        ("/v2/video/query/", {"filters": {"video_ids": []}}),
        ("/v2/video/query/", {}),
    ],
)
def test_list_and_query_refuse_too_many_or_wrong_values(client, path, body):
    assert code_of(client.call(path, body, fields="id")) == (400, "invalid_params")


def test_query_drops_ids_that_are_foreign_or_not_public(client, client_for):
    publish_public(client, 1)
    client.publish(privacy_level="SELF_ONLY")
    client_for("demo.quiet").publish(privacy_level="PUBLIC_TO_EVERYONE")
    ids = [post["post_id"] for post in client.sandbox.posts()]

    videos = client.call("/v2/video/query/", {"filters": {"video_ids": ids}}, fields="id").json()["data"][
        "videos"
    ]

    assert len(ids) == 3
    assert [video["id"] for video in videos] == ids[:1]


def test_list_needs_its_scope(client_for):
    client = client_for("demo.public", ["user.info.basic"])

    assert code_of(client.call("/v2/video/list/", {}, fields="id")) == (401, "scope_not_authorized")


@pytest.mark.quirk(20)
@pytest.mark.parametrize(("later", "status"), [(7_000, 200), (7_300, 403)])
def test_creator_avatar_lives_two_hours(client, later, status):
    url = client.creator_info().json()["data"]["creator_avatar_url"]
    client.sandbox.settings(clock_offset=later)

    answer = requests.get(url, timeout=10)

    assert answer.status_code == status
    assert answer.content.startswith(PNG) == (status == 200)


@pytest.mark.quirk(20)
@pytest.mark.parametrize(("later", "status"), [(21_500, 200), (21_700, 403)])
def test_cover_lives_six_hours(client, later, status):
    publish_public(client, 1)
    video = client.call("/v2/video/list/", {}, fields="cover_image_url").json()["data"]["videos"][0]
    client.sandbox.settings(clock_offset=later)

    assert requests.get(video["cover_image_url"], timeout=10).status_code == status


@pytest.mark.quirk(20)
def test_avatar_with_a_changed_signature_is_refused(client):
    url = client.user_info("avatar_url").json()["data"]["user"]["avatar_url"]

    assert requests.get(url, timeout=10).status_code == 200
    assert requests.get(url[:-1] + ("0" if url[-1] != "0" else "1"), timeout=10).status_code == 403


@pytest.mark.quirk(21)
@pytest.mark.parametrize(
    ("settings", "keys"),
    [
        ({}, ({"data", "error"}, {"code", "message", "log_id"})),
        ({"error_data": "absent", "log_id_key": "logid"}, ({"error"}, {"code", "message", "logid"})),
    ],
)
def test_error_envelope_in_both_known_forms(client, settings, keys):
    client.sandbox.settings(**settings)
    client.pair["access_token"] = "act.unknown"

    answer = client.creator_info()

    assert (set(answer.json()), set(answer.json()["error"])) == keys
    assert answer.json()["error"]["message"] == "The access token is invalid or not found in the request."


@pytest.mark.quirk(21)
def test_success_has_code_ok_and_a_log_id_that_the_header_repeats(client):
    answer = client.creator_info()

    assert answer.json()["error"]["code"] == "ok"
    assert answer.headers["x-tt-logid"] == answer.json()["error"]["log_id"]


@pytest.mark.quirk(22)
@pytest.mark.parametrize("code", ["invalid_params", "invalid_param"])
def test_bad_parameters_are_spelt_as_the_switch_says(client, code):
    client.sandbox.settings(params_code=code)

    assert code_of(client.call("/v2/post/publish/video/init/", {})) == (400, code)


@pytest.mark.quirk(55)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/oauth/token"),
        ("POST", "/v2/oauth/revoke"),
        ("GET", "/v2/user/info"),
        ("POST", "/v2/video/list"),
        ("POST", "/v2/video/query"),
        ("POST", "/v2/post/publish/creator_info/query"),
        ("POST", "/v2/post/publish/video/init"),
        ("POST", "/v2/post/publish/inbox/video/init"),
        ("POST", "/v2/post/publish/content/init"),
        ("POST", "/v2/post/publish/status/fetch"),
        ("POST", "/v2/post/publish/cancel"),
        ("GET", "/v2/auth/authorize"),
        ("PUT", "/upload"),
    ],
)
def test_path_without_its_last_slash_is_not_found(sandbox, method, path):
    assert requests.request(method, sandbox.url + path, allow_redirects=False, timeout=10).status_code == 404
