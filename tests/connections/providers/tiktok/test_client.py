from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from connections.errors import (
    AuthorizationError,
    CapError,
    ConfigurationError,
    JobNotFoundError,
    RateLimitError,
    RejectedError,
    ResponseError,
    TokenExpiredError,
    TransportError,
    UnreachableError,
)
from connections.providers.base import FailureClass, PublishMode, PublishOptions, PublishPhase
from connections.providers.tiktok.chunks import plan_chunks
from tests.connections.providers.tiktok.wire import (
    ACCESS_TOKEN,
    API,
    CREATOR,
    LOG_ID,
    UPLOAD_URL,
    ok,
    refused,
)

USER_URL = f"{API}/v2/user/info/"
CREATOR_URL = f"{API}/v2/post/publish/creator_info/query/"
DIRECT_URL = f"{API}/v2/post/publish/video/init/"
INBOX_URL = f"{API}/v2/post/publish/inbox/video/init/"
STATUS_URL = f"{API}/v2/post/publish/status/fetch/"
CANCEL_URL = f"{API}/v2/post/publish/cancel/"
LIST_URL = f"{API}/v2/video/list/"
QUERY_URL = f"{API}/v2/video/query/"

PUBLISH_ID = "v_pub_file~v2-1.7000000000000000001"
JOB = {"publish_id": PUBLISH_ID, "upload_url": UPLOAD_URL}
VIDEO = {
    "id": "7345678901234567891",
    "create_time": 1795000000,
    "title": "",
    "video_description": "A caption",
    "share_url": "https://www.tiktok.com/@creator/video/7345678901234567891?utm_source=x",
    "cover_image_url": "https://p16.tiktokcdn.com/cover.jpeg",
    "duration": 12,
    "view_count": 3_000_000_000,
    "like_count": 4,
    "comment_count": 5,
    "share_count": 6,
}


def fields_of(call):
    return parse_qs(urlsplit(call.request.url).query)["fields"][0].split(",")


def body_of(call):
    return json.loads(call.request.body)


def start(client, *, mode=PublishMode.DIRECT, total_bytes=150_000_000, **options):
    chosen = PublishOptions(**({"privacy_level": "SELF_ONLY"} | options))
    return client.start_upload(mode=mode, plan=plan_chunks(total_bytes), options=chosen)


# --- user info --------------------------------------------------------------------------------------------------------


def test_fetch_profile_returns_what_tiktok_knows(client, wire):
    user = {
        "open_id": "-000abc",
        "union_id": "u-1",
        "avatar_url": "https://cdn/small.jpeg",
        "avatar_large_url": "https://cdn/large.jpeg",
        "display_name": "A Creator",
        "bio_description": "Bio",
        "profile_deep_link": "https://vm.tiktok.com/x/",
        "is_verified": True,
        "username": "creator",
        "follower_count": 1,
        "following_count": 2,
        "likes_count": 2**40,
        "video_count": 0,
    }
    wire.get(USER_URL, json=ok({"user": user}))

    profile = client.fetch_profile()

    assert wire.calls[0].request.headers["Authorization"] == f"Bearer {ACCESS_TOKEN}"
    assert wire.calls[0].request.body is None
    assert (profile.account_id, profile.union_id, profile.username) == ("-000abc", "u-1", "creator")
    assert (profile.avatar_url, profile.bio) == ("https://cdn/large.jpeg", "Bio")
    assert (profile.is_verified, profile.likes_count, profile.video_count) == (True, 2**40, 0)


@pytest.mark.parametrize(
    ("scopes", "there", "absent"),
    [
        ({"user.info.basic"}, {"open_id", "display_name"}, {"username", "follower_count"}),
        ({"user.info.basic", "user.info.stats"}, {"open_id", "follower_count"}, {"username"}),
        ({"user.info.basic", "user.info.profile", "video.list"}, {"open_id", "username"}, {"follower_count"}),
    ],
)
def test_fetch_profile_asks_only_for_what_the_scopes_cover(provider, wire, scopes, there, absent):
    wire.get(USER_URL, json=ok({"user": {"open_id": "o"}}))

    provider.client(access_token="act.x", scopes=scopes).fetch_profile()

    fields = set(fields_of(wire.calls[0]))
    assert there <= fields
    assert not absent & fields


def test_fetch_profile_without_the_basic_scope_asks_for_reconnecting_and_calls_nothing(provider, wire):
    with pytest.raises(AuthorizationError) as caught:
        provider.client(access_token="act.x", scopes=["video.publish"]).fetch_profile()

    assert caught.value.code == "scope_not_authorized"
    assert len(wire.calls) == 0


def test_fetch_profile_leaves_unknown_what_tiktok_left_out(client, wire):
    wire.get(USER_URL, json=ok({"user": {"open_id": "o"}}))

    profile = client.fetch_profile()

    assert (profile.follower_count, profile.is_verified, profile.username) == (None, None, "")


def test_fetch_profile_takes_out_of_names_what_a_database_cannot_hold(client, wire):
    wire.get(USER_URL, body=json.dumps(ok({"user": {"open_id": "o", "display_name": "a\0b\ud800c"}})))

    assert client.fetch_profile().display_name == "ab?c"


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"user": None},
        {"user": []},
        {"user": {}},
        {"user": {"open_id": ""}},
        {"user": {"open_id": None}},
        {"user": {"open_id": "o o"}},
        {"user": {"open_id": "o", "follower_count": "many"}},
        {"user": {"open_id": "o", "follower_count": -1}},
        {"user": {"open_id": "o", "is_verified": "yes"}},
        {"user": {"open_id": "o", "display_name": 5}},
    ],
)
def test_fetch_profile_refuses_a_success_without_an_identity(client, wire, data):
    wire.get(USER_URL, json=ok(data))

    with pytest.raises(ResponseError):
        client.fetch_profile()


# --- creator info -----------------------------------------------------------------------------------------------------


def test_fetch_creator_returns_the_choices(client, wire):
    wire.post(CREATOR_URL, json=ok(CREATOR))

    creator = client.fetch_creator()

    assert wire.calls[0].request.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert body_of(wire.calls[0]) == {}
    assert (creator.nickname, creator.username) == ("A Creator", "creator")
    assert creator.privacy_levels == ("PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY")
    assert (creator.is_comment_disabled, creator.is_duet_disabled, creator.is_stitch_disabled) == (
        False,
        False,
        True,
    )
    assert creator.max_duration == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("spam_risk_too_many_posts", CapError),
        ("reached_active_user_cap", CapError),
        ("spam_risk_user_banned_from_posting", RejectedError),
    ],
)
def test_fetch_creator_reads_the_three_refusals_that_come_with_a_200(client, wire, code, kind):
    wire.post(CREATOR_URL, json=refused(code), status=200)

    with pytest.raises(kind) as caught:
        client.fetch_creator()

    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.http_status) == (code, 200)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"privacy_level_options": []},
        {"privacy_level_options": None},
        {"privacy_level_options": ["SELF_ONLY", 1]},
        {"creator_nickname": ""},
        {"creator_username": None},
        {"comment_disabled": "false"},
        {"max_video_post_duration_sec": "long"},
    ],
)
def test_fetch_creator_refuses_an_answer_that_cannot_be_shown(client, wire, spoilt):
    wire.post(CREATOR_URL, json=ok(CREATOR | spoilt))

    with pytest.raises(ResponseError):
        client.fetch_creator()


# --- init -------------------------------------------------------------------------------------------------------------


def test_start_upload_sends_the_plan_and_the_options_inverted(client, wire):
    wire.post(DIRECT_URL, json=ok(JOB))

    job = start(
        client,
        caption="Hi #there 👋",
        privacy_level="MUTUAL_FOLLOW_FRIENDS",
        allow_comment=True,
        allow_stitch=True,
        is_paid_partnership=True,
        is_ai_generated=True,
        cover_timestamp_ms=0,
    )

    assert body_of(wire.calls[0]) == {
        "post_info": {
            "title": "Hi #there 👋",
            "privacy_level": "MUTUAL_FOLLOW_FRIENDS",
            "disable_comment": False,
            "disable_duet": True,
            "disable_stitch": False,
            "brand_content_toggle": True,
            "brand_organic_toggle": False,
            "is_aigc": True,
            "video_cover_timestamp_ms": 0,
        },
        "source_info": {
            "source": "FILE_UPLOAD",
            "video_size": 150_000_000,
            "chunk_size": 32_000_000,
            "total_chunk_count": 4,
        },
    }
    assert (job.publish_id, job.upload_url, job.upload_expires_in) == (
        PUBLISH_ID,
        UPLOAD_URL,
        timedelta(hours=1),
    )


def test_start_upload_sends_both_brand_flags_and_disables_all_by_default(client, wire):
    wire.post(DIRECT_URL, json=ok(JOB))

    start(client)

    assert body_of(wire.calls[0])["post_info"] == {
        "privacy_level": "SELF_ONLY",
        "disable_comment": True,
        "disable_duet": True,
        "disable_stitch": True,
        "brand_content_toggle": False,
        "brand_organic_toggle": False,
        "is_aigc": False,
    }


def test_start_upload_of_a_draft_sends_no_options(client, wire):
    wire.post(INBOX_URL, json=ok(JOB))

    start(client, mode=PublishMode.INBOX, caption="not sent", privacy_level="", total_bytes=5)

    assert body_of(wire.calls[0]) == {
        "source_info": {"source": "FILE_UPLOAD", "video_size": 5, "chunk_size": 5, "total_chunk_count": 1}
    }


def test_start_upload_without_a_privacy_level_calls_nothing(client, wire):
    with pytest.raises(RejectedError) as caught:
        start(client, privacy_level="")

    assert caught.value.code == "privacy_level_option_mismatch"
    assert len(wire.calls) == 0


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        JOB | {"publish_id": ""},
        JOB | {"publish_id": 7},
        {"publish_id": PUBLISH_ID},
        JOB | {"upload_url": ""},
        JOB | {"upload_url": "no url"},
        JOB | {"upload_url": "/video/?upload_id=1"},
        JOB | {"upload_url": "ftp://open-upload.tiktokapis.com/x"},
    ],
)
def test_start_upload_refuses_a_job_without_a_handle_or_an_address(client, wire, data):
    wire.post(DIRECT_URL, json=ok(data))

    with pytest.raises(ResponseError):
        start(client)


def test_start_upload_refuses_a_foreign_upload_host(client, wire):
    wire.post(DIRECT_URL, json=ok(JOB | {"upload_url": "https://evil.example/video/?upload_token=abcdefgh"}))

    with pytest.raises(ConfigurationError) as caught:
        start(client)

    assert "evil.example" in str(caught.value)
    assert "abcdefgh" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_param", RejectedError),
        (400, "invalid_params", RejectedError),
        (403, "spam_risk_too_many_posts", CapError),
        (403, "spam_risk_too_many_pending_share", CapError),
        (403, "reached_active_user_cap", CapError),
        (403, "spam_risk_user_banned_from_posting", RejectedError),
        (403, "unaudited_client_can_only_post_to_private_accounts", RejectedError),
        (403, "privacy_level_option_mismatch", RejectedError),
        (403, "url_ownership_unverified", ConfigurationError),
        (401, "access_token_invalid", TokenExpiredError),
        (401, "scope_not_authorized", AuthorizationError),
        (400, "scope_permission_missed", AuthorizationError),
        (429, "rate_limit_exceeded", RateLimitError),
        (500, "internal_error", TransportError),
        (503, "", TransportError),
        (400, "a_code_of_tomorrow", RejectedError),
    ],
)
def test_start_upload_turns_each_code_into_what_to_do_next(client, wire, status, code, kind):
    wire.post(DIRECT_URL, json=refused(code, "Please review our integration guidelines"), status=status)

    with pytest.raises(kind) as caught:
        start(client)

    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.log_id, caught.value.http_status) == (code, LOG_ID, status)


# --- status -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "phase", "stored"),
    [
        ({"status": "PROCESSING_UPLOAD", "uploaded_bytes": 32_000_000}, PublishPhase.UPLOADING, 32_000_000),
        ({"status": "PROCESSING_UPLOAD"}, PublishPhase.UPLOADING, None),
        ({"status": "PROCESSING_DOWNLOAD", "downloaded_bytes": 10}, PublishPhase.DOWNLOADING, 10),
        ({"status": "SEND_TO_USER_INBOX", "fail_reason": ""}, PublishPhase.IN_INBOX, None),
        ({"status": "PUBLISH_COMPLETE"}, PublishPhase.PUBLISHED, None),
    ],
)
def test_fetch_status_names_the_phase(client, wire, data, phase, stored):
    wire.post(STATUS_URL, json=ok(data))

    status = client.fetch_status(PUBLISH_ID)

    assert body_of(wire.calls[0]) == {"publish_id": PUBLISH_ID}
    assert (status.phase, status.stored_bytes, status.failure) == (phase, stored, None)
    assert (status.post_ids, status.log_id) == ((), LOG_ID)


@pytest.mark.parametrize(
    ("reason", "failure"),
    [
        ("file_format_check_failed", FailureClass.PERMANENT),
        ("duration_check_failed", FailureClass.PERMANENT),
        ("frame_rate_check_failed", FailureClass.PERMANENT),
        ("picture_size_check_failed", FailureClass.PERMANENT),
        ("internal", FailureClass.RETRY),
        ("video_pull_failed", FailureClass.RETRY),
        ("photo_pull_failed", FailureClass.RETRY),
        ("publish_cancelled", FailureClass.CANCELED),
        ("auth_removed", FailureClass.REAUTHORIZE),
        ("spam_risk_too_many_posts", FailureClass.CAP),
        ("spam_risk_user_banned_from_posting", FailureClass.PERMANENT),
        ("spam_risk_text", FailureClass.PERMANENT),
        ("spam_risk", FailureClass.PERMANENT),
        ("internal_something", FailureClass.PERMANENT),
        (None, FailureClass.PERMANENT),
    ],
)
def test_fetch_status_says_what_may_follow_a_failure(client, wire, reason, failure):
    wire.post(STATUS_URL, json=ok({"status": "FAILED", "fail_reason": reason}))

    status = client.fetch_status(PUBLISH_ID)

    assert (status.phase, status.failure, status.fail_reason) == (PublishPhase.FAILED, failure, reason or "")


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("[7345678901234567891]", ("7345678901234567891",)),
        ('["7345678901234567891", 9223372036854775807]', ("7345678901234567891", "9223372036854775807")),
        ("[]", ()),
        ("null", ()),
    ],
)
def test_fetch_status_keeps_post_ids_exact(client, wire, text, ids):
    body = f'{{"status": "PUBLISH_COMPLETE", "publicaly_available_post_id": {text}}}'
    wire.post(STATUS_URL, body=f'{{"data": {body}, "error": {{"code": "ok"}}}}')

    assert client.fetch_status(PUBLISH_ID).post_ids == ids


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"status": ""},
        {"status": 3},
        {"status": "PUBLISHED_BY_MAGIC"},
        {"status": "publish_complete"},
        {"status": "PROCESSING_UPLOAD", "uploaded_bytes": -1},
        {"status": "PROCESSING_UPLOAD", "uploaded_bytes": 1.5},
        {"status": "PUBLISH_COMPLETE", "publicaly_available_post_id": [7.3e18]},
        {"status": "PUBLISH_COMPLETE", "publicaly_available_post_id": [True]},
        {"status": "PUBLISH_COMPLETE", "publicaly_available_post_id": ["../x"]},
        {"status": "PUBLISH_COMPLETE", "publicaly_available_post_id": 7345678901234567891},
    ],
)
def test_fetch_status_refuses_what_it_does_not_understand(client, wire, data):
    wire.post(STATUS_URL, json=ok(data))

    with pytest.raises(ResponseError):
        client.fetch_status(PUBLISH_ID)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, refused("invalid_publish_id")),
        (200, refused("invalid_publish_id")),
        (400, refused("invalid_params", "invalid_publish_id")),
    ],
)
def test_fetch_status_of_an_unknown_job_is_told_apart(client, wire, status, body):
    wire.post(STATUS_URL, json=body, status=status)

    with pytest.raises(JobNotFoundError) as caught:
        client.fetch_status(PUBLISH_ID)

    assert caught.value.code == "invalid_publish_id"


# --- cancel -----------------------------------------------------------------------------------------------------------


def test_cancel_takes_a_success_without_data(client, wire):
    wire.post(CANCEL_URL, json=ok())

    client.cancel(PUBLISH_ID)

    assert body_of(wire.calls[0]) == {"publish_id": PUBLISH_ID}


@pytest.mark.parametrize("code", ["publish_not_cancellable", "token_not_authorized_for_specified_publish_id"])
def test_cancel_reports_a_refusal(client, wire, code):
    wire.post(CANCEL_URL, json=refused(code), status=400)

    with pytest.raises(RejectedError) as caught:
        client.cancel(PUBLISH_ID)

    assert caught.value.code == code


# --- videos -----------------------------------------------------------------------------------------------------------


def test_list_videos_returns_a_page(client, wire):
    wire.post(LIST_URL, json=ok({"videos": [VIDEO], "cursor": 1795000000123, "has_more": True}))

    page = client.list_videos(cursor=1795000009999, limit=5)

    assert body_of(wire.calls[0]) == {"max_count": 5, "cursor": 1795000009999}
    assert {"id", "create_time", "share_url"} <= set(fields_of(wire.calls[0]))
    assert (page.cursor, page.has_more) == (1795000000123, True)
    video = page.videos[0]
    assert (video.id, video.created_at_epoch_s, video.duration) == (
        VIDEO["id"],
        1795000000,
        timedelta(seconds=12),
    )
    assert (video.description, video.view_count) == ("A caption", 3_000_000_000)


@pytest.mark.parametrize(("limit", "sent"), [(0, 1), (20, 20), (500, 20)])
def test_list_videos_asks_for_what_tiktok_allows(client, wire, limit, sent):
    wire.post(LIST_URL, json=ok({"videos": [], "cursor": 0, "has_more": False}))

    page = client.list_videos(limit=limit)

    assert body_of(wire.calls[0]) == {"max_count": sent}
    assert page.videos == ()


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"cursor": 0, "has_more": False},
        {"videos": None, "cursor": 0, "has_more": False},
        {"videos": [], "cursor": 0},
        {"videos": [], "has_more": True},
        {"videos": [VIDEO | {"id": ""}], "cursor": 0, "has_more": False},
        {"videos": [VIDEO | {"create_time": None}], "cursor": 0, "has_more": False},
        {"videos": ["x"], "cursor": 0, "has_more": False},
    ],
)
def test_list_videos_does_not_take_a_broken_answer_for_an_empty_page(client, wire, data):
    wire.post(LIST_URL, json=ok(data))

    with pytest.raises(ResponseError):
        client.list_videos()


def test_query_videos_asks_in_batches_of_twenty(client, wire):
    wire.post(QUERY_URL, json=ok({"videos": [VIDEO]}))
    ids = [str(7_345_678_901_234_567_000 + number) for number in range(41)]

    videos = client.query_videos(ids)

    batches = [body_of(call)["filters"]["video_ids"] for call in wire.calls]
    assert [len(batch) for batch in batches] == [20, 20, 1]
    assert [video_id for batch in batches for video_id in batch] == ids
    assert len(videos) == 3


def test_query_videos_of_nothing_calls_nothing(client, wire):
    assert client.query_videos([]) == ()
    assert len(wire.calls) == 0


# --- envelope ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", ["", "null", "[]", "<html>", "{}", '{"data": {"status": "PUBLISH_COMPLETE"}}']
)
def test_a_200_without_ok_is_no_success(client, wire, body):
    wire.post(STATUS_URL, body=body)

    with pytest.raises(ResponseError):
        client.fetch_status(PUBLISH_ID)


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_is_not_followed(client, wire, status):
    wire.post(STATUS_URL, status=status, headers={"Location": "https://evil.example/"})

    with pytest.raises(ResponseError):
        client.fetch_status(PUBLISH_ID)
    assert len(wire.calls) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": "access_token_invalid", "message": "m", "logid": LOG_ID}},
        {"data": {}, "error": {"code": "access_token_invalid", "message": "m", "log_id": LOG_ID}},
        {"code": "access_token_invalid", "message": "m", "log_id": LOG_ID},
    ],
)
def test_each_shape_of_the_envelope_is_read(client, wire, body):
    wire.post(STATUS_URL, json=body, status=401)

    with pytest.raises(TokenExpiredError) as caught:
        client.fetch_status(PUBLISH_ID)

    assert (caught.value.code, caught.value.message, caught.value.log_id) == (
        "access_token_invalid",
        "m",
        LOG_ID,
    )


def test_the_log_id_may_come_in_a_header_only(client, wire):
    wire.post(
        STATUS_URL, json={"error": {"code": "invalid_params"}}, status=400, headers={"x-tt-logid": LOG_ID}
    )

    with pytest.raises(RejectedError) as caught:
        client.fetch_status(PUBLISH_ID)

    assert caught.value.log_id == LOG_ID


def test_an_ok_with_a_failing_status_is_a_failure(client, wire):
    wire.post(STATUS_URL, json=ok({"status": "PUBLISH_COMPLETE"}), status=403)

    with pytest.raises(RejectedError):
        client.fetch_status(PUBLISH_ID)


def test_a_401_without_a_body_asks_for_a_refresh(client, wire):
    wire.post(STATUS_URL, body="", status=401)

    with pytest.raises(TokenExpiredError):
        client.fetch_status(PUBLISH_ID)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (requests.ConnectTimeout, UnreachableError),
        (requests.ReadTimeout, TransportError),
        (requests.ConnectionError, TransportError),
        (requests.exceptions.ChunkedEncodingError, TransportError),
        (requests.exceptions.InvalidURL, ConfigurationError),
    ],
)
def test_only_a_connection_that_was_never_made_is_sure_that_nothing_happened(client, wire, failure, kind):
    wire.post(STATUS_URL, body=failure("x"))

    with pytest.raises(kind) as caught:
        client.fetch_status(PUBLISH_ID)

    assert type(caught.value) is kind


def test_a_token_that_tiktok_echoes_is_taken_out_of_the_message(provider, wire):
    wire.post(STATUS_URL, json=refused("invalid_params", "odd token plain123456 here"), status=400)

    with pytest.raises(RejectedError) as caught:
        provider.client(access_token="plain123456", scopes=[]).fetch_status(PUBLISH_ID)

    assert caught.value.message == "odd token [removed] here"


def test_the_client_shows_no_token_in_its_repr(client):
    assert ACCESS_TOKEN not in repr(client)
