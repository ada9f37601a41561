"""creator_info and the three inits: https://developers.tiktok.com/doc/content-posting-api-reference-direct-post"""

from __future__ import annotations

import re

import pytest

from tests.sandbox.client import ApiClient, chunked, code_of, one_chunk
from tests.sandbox.process import CLIENT_KEY

GUIDELINES = "Please review our integration guidelines at https://developers.tiktok.com/doc/content-sharing-guidelines/"
POST_INFO = "The request post info is empty or incorrect"
SOURCE_INFO = "The request source info is empty or incorrect"
DIRECT = "/v2/post/publish/video/init/"
PHOTO_URL = "https://localhost:9/a.jpg"


def message_of(answer):
    return answer.status_code, answer.json()["error"]["message"]


def change_creator(sandbox, handle, **changes):
    return sandbox.control("PATCH", f"/creators/{handle}", changes)


@pytest.fixture
def photo_client(sandbox, client):
    sandbox.control("POST", "/apps", {"client_key": CLIENT_KEY, "verified_domains": ["localhost"]})
    return client


@pytest.mark.quirk(23)
@pytest.mark.parametrize(
    ("handle", "settings", "code"),
    [
        pytest.param("demo.banned", {}, "spam_risk_user_banned_from_posting", id="banned"),
        pytest.param("demo.capped", {}, "spam_risk_too_many_posts", id="daily cap"),
        pytest.param("demo.public", {"active_users_audited": 0}, "reached_active_user_cap", id="user cap"),
    ],
)
def test_posting_caps_are_http_200_in_creator_info_and_403_at_init(
    sandbox, client_for, handle, settings, code
):
    sandbox.settings(audited=True, **settings)
    client = client_for(handle)

    assert code_of(client.creator_info()) == (200, code)
    assert code_of(client.init()) == (403, code)


@pytest.mark.quirk(24)
@pytest.mark.parametrize(
    ("handle", "first", "duet", "stitch", "comment"),
    [
        ("demo.public", "PUBLIC_TO_EVERYONE", False, False, False),
        ("demo.private", "FOLLOWER_OF_CREATOR", True, True, False),
        ("demo.quiet", "PUBLIC_TO_EVERYONE", True, True, True),
    ],
)
def test_privacy_options_and_switches_follow_the_account(client_for, handle, first, duet, stitch, comment):
    info = client_for(handle).creator_info().json()["data"]

    assert info["privacy_level_options"] == [first, "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]
    assert (info["duet_disabled"], info["stitch_disabled"], info["comment_disabled"]) == (
        duet,
        stitch,
        comment,
    )


def test_creator_info_tells_the_longest_video(client_for):
    assert client_for("demo.short").creator_info().json()["data"]["max_video_post_duration_sec"] == 15


@pytest.mark.quirk(25)
@pytest.mark.parametrize(
    ("handle", "level", "expected"),
    [
        pytest.param("demo.public", "SELF_ONLY", 403, id="SELF_ONLY is not enough"),
        pytest.param("demo.private", "FOLLOWER_OF_CREATOR", 403, id="private account, wider post"),
        pytest.param("demo.private", "SELF_ONLY", 200, id="private account and post"),
    ],
)
def test_unaudited_app_posts_privately_to_private_accounts_only(client_for, handle, level, expected):
    answer = client_for(handle).init(privacy_level=level)

    assert answer.status_code == expected
    assert answer.json()["error"]["code"] == (
        "ok" if expected == 200 else "unaudited_client_can_only_post_to_private_accounts"
    )


@pytest.mark.quirk(25)
@pytest.mark.parametrize(
    ("narrow", "options"),
    [
        (False, ["PUBLIC_TO_EVERYONE", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]),
        (True, ["SELF_ONLY"]),
    ],
)
def test_unaudited_app_still_sees_public_unless_switched(sandbox, client_for, narrow, options):
    sandbox.settings(narrow_options_when_unaudited=narrow)

    assert client_for().creator_info().json()["data"]["privacy_level_options"] == options


@pytest.mark.quirk(25)
def test_unaudited_app_serves_five_users_in_a_day(sandbox, client_for):
    for n in range(6):
        sandbox.control("POST", "/creators", {"handle": f"user{n}", "private": True})
    clients = [client_for(f"user{n}") for n in range(6)]

    answers = [code_of(client.init()) for client in clients]
    again = code_of(clients[0].init())
    sandbox.settings(clock_offset=86_401)
    clients[5].pair = sandbox.tokens("user5")

    assert answers == [(200, "ok")] * 5 + [(403, "reached_active_user_cap")]
    assert again == (200, "ok")
    assert code_of(clients[5].init()) == (200, "ok")


@pytest.mark.quirk(26)
def test_many_refusals_share_one_text(sandbox, client_for):
    refusals = [
        client_for("demo.public").init(),
        client_for("demo.banned").init(),
        client_for("demo.capped").init(),
    ]
    sandbox.settings(audited=True)
    refusals.append(client_for("demo.public").init(privacy_level="FOLLOWER_OF_CREATOR"))

    assert {message_of(answer) for answer in refusals} == {(403, GUIDELINES)}
    assert len({code_of(answer) for answer in refusals}) == 4


@pytest.mark.quirk(27)
@pytest.mark.parametrize(
    ("level", "expected"),
    [
        pytest.param("PUBLIC", (400, "invalid_params"), id="unknown word"),
        pytest.param(7, (400, "invalid_params"), id="no word"),
        pytest.param("FOLLOWER_OF_CREATOR", (403, "privacy_level_option_mismatch"), id="not offered"),
        pytest.param(None, (403, "privacy_level_option_mismatch"), id="missing"),
    ],
)
def test_unknown_privacy_is_400_and_one_not_offered_403(client, level, expected):
    assert code_of(client.init(privacy_level=level)) == expected


@pytest.mark.quirk(28)
def test_flags_of_the_api_are_negative_and_the_account_overrules_them(sandbox, client, client_for):
    client.publish(disable_comment=True, disable_duet=False)
    client_for("demo.quiet").publish(disable_comment=False)
    ours, quiet = sandbox.posts()

    assert (ours["disable_comment"], ours["disable_duet"], ours["disable_stitch"]) == (True, False, False)
    assert (quiet["disable_comment"], quiet["disable_duet"], quiet["disable_stitch"]) == (True, True, True)


@pytest.mark.quirk(29)
@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        pytest.param("a" * 2200, 200, id="2200"),
        pytest.param("a" * 2201, 400, id="2201"),
        pytest.param("🎬" * 1100, 200, id="1100 emoji are 2200 units"),
        pytest.param("🎬" * 1100 + "a", 400, id="and one more"),
    ],
)
def test_caption_is_counted_in_utf16_units(client, caption, expected):
    assert client.init(title=caption).status_code == expected


@pytest.mark.quirk(29)
@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"title": "🎬" * 45, "description": "a" * 4000}, 200),
        ({"title": "🎬" * 45 + "a"}, 400),
        ({"description": "a" * 4001}, 400),
    ],
)
def test_photo_texts_are_counted_in_utf16_units(photo_client, info, expected):
    answer = photo_client.photos([PHOTO_URL], post_info={"privacy_level": "SELF_ONLY", **info})

    assert answer.status_code == expected


@pytest.mark.quirk(30)
def test_is_aigc_stands_in_post_info_for_video(sandbox, client):
    client.publish(is_aigc=True)

    assert sandbox.posts()[0]["is_aigc"] is True


@pytest.mark.quirk(30)
def test_is_aigc_stands_at_top_level_for_photos(sandbox, photo_client):
    publish_id = photo_client.photos([PHOTO_URL], is_aigc=True).json()["data"]["publish_id"]

    assert sandbox.control("GET", f"/tasks/{publish_id}")["post_info"]["is_aigc"] is True


@pytest.mark.quirk(31)
def test_cover_timestamp_counts_in_post_info_and_is_ignored_elsewhere(sandbox, client):
    client.publish(video_cover_timestamp_ms=1500)
    source = {**one_chunk(1000), "video_cover_timestamp_ms": 1500}
    data = client.init(source=source).json()["data"]
    client.put(data["upload_url"], b"v" * 1000)

    assert [post["cover_timestamp_ms"] for post in sandbox.posts()] == [1500, 0]
    assert "ignored video_cover_timestamp_ms" in sandbox.control("GET", "/requests")["warnings"][0]


@pytest.mark.quirk(32)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"media_type": "VIDEO"}, "Invalid media_type or post_mode", id="video"),
        pytest.param(
            {"media_type": None}, "Invalid media_type or post_mode", id="media_type not at top level"
        ),
        pytest.param(
            {"post_mode": "DIRECT POST"}, "Invalid media_type or post_mode", id="the docs' misprint"
        ),
        pytest.param({"source_info": one_chunk(1000)}, SOURCE_INFO, id="file upload"),
        pytest.param({"source_info": None}, SOURCE_INFO, id="nothing"),
        pytest.param({"post_info": None}, POST_INFO, id="no post_info"),
    ],
)
def test_photo_post_in_a_wrong_shape(photo_client, changes, message):
    assert message_of(photo_client.photos([PHOTO_URL], **changes)) == (400, message)


@pytest.mark.quirk(32)
@pytest.mark.parametrize(
    ("count", "index", "expected"),
    [
        pytest.param(1, 0, 200, id="one"),
        pytest.param(35, 34, 200, id="35"),
        pytest.param(36, 0, 400, id="36"),
        pytest.param(0, 0, 400, id="none"),
        pytest.param(2, 2, 400, id="cover outside"),
        pytest.param(2, None, 400, id="cover missing"),
        pytest.param(2, True, 400, id="cover no number"),
    ],
)
def test_photo_post_takes_1_to_35_urls_and_a_cover(photo_client, count, index, expected):
    source = {"source": "PULL_FROM_URL", "photo_images": [PHOTO_URL] * count, "photo_cover_index": index}

    assert photo_client.photos([], source_info=source).status_code == expected


@pytest.mark.parametrize(
    ("mode", "scope"), [("DIRECT_POST", "video.publish"), ("MEDIA_UPLOAD", "video.upload")]
)
def test_photo_scope_follows_the_mode(sandbox, client_for, mode, scope):
    sandbox.settings(audited=True)
    other = {"video.publish", "video.upload"} - {scope}
    client = client_for("demo.public", ["user.info.basic", *other])

    assert code_of(client.photos([PHOTO_URL], mode=mode)) == (401, "scope_not_authorized")


@pytest.mark.quirk(33)
def test_video_draft_carries_no_caption(sandbox, client):
    body = {"source_info": one_chunk(1000), "post_info": {"title": "lost", "privacy_level": "SELF_ONLY"}}
    data = client.call("/v2/post/publish/inbox/video/init/", body).json()["data"]
    client.put(data["upload_url"], b"v" * 1000)

    post = sandbox.control("POST", f"/tasks/{data['publish_id']}/finish", {})

    assert post["caption"] == ""


@pytest.mark.quirk(33)
def test_photo_draft_carries_title_and_description(sandbox, photo_client):
    info = {"title": "A title", "description": "A description"}
    publish_id = photo_client.photos([PHOTO_URL], mode="MEDIA_UPLOAD", post_info=info).json()["data"][
        "publish_id"
    ]

    task = sandbox.control("GET", f"/tasks/{publish_id}")

    assert task["post_info"] == info


@pytest.mark.quirk(33)
@pytest.mark.parametrize(("version", "expected"), [("31.7", 400), ("31.8", 200), ("40.1.2", 200)])
def test_photo_draft_needs_a_recent_app(sandbox, photo_client, version, expected):
    change_creator(sandbox, "demo.public", app_version=version)

    answer = photo_client.photos([PHOTO_URL], mode="MEDIA_UPLOAD", post_info={})

    assert answer.status_code == expected
    assert answer.json()["error"]["code"] == ("ok" if expected == 200 else "app_version_check_failed")


@pytest.mark.quirk(35)
def test_sixth_pending_draft_is_refused_until_one_is_posted_or_a_day_passed(sandbox, client):
    drafts = [client.send_draft() for _ in range(5)]
    sandbox.settings(rate_limits_on=False)
    sixth = code_of(client.inbox())
    sandbox.control("POST", f"/tasks/{drafts[0]}/finish", {})
    after_posting = code_of(client.inbox())
    full_again = code_of(client.inbox())
    sandbox.settings(clock_offset=86_500)
    client.pair = sandbox.tokens("demo.public")

    assert sixth == full_again == (403, "spam_risk_too_many_pending_share")
    assert after_posting == (200, "ok")
    assert code_of(client.inbox()) == (200, "ok")


@pytest.mark.quirk(36)
@pytest.mark.parametrize(
    ("size", "chunk", "count"),
    [
        (1, 1, 1),
        (3_145_728, 3_145_728, 1),
        (5_000_000, 5_000_000, 1),
        (64_000_000, 64_000_000, 1),
        (50_000_123, 10_000_000, 5),
        (64_000_001, 32_000_000, 2),
        (77_360_899, 32_000_000, 2),
        (150_000_000, 32_000_000, 4),
        (602_285_541, 32_000_000, 18),
        (4_294_967_296, 32_000_000, 134),
        (128_000_000, 64_000_000, 2),
    ],
)
def test_sound_chunk_plans_are_taken(sandbox, client, size, chunk, count):
    answer = client.init(source=chunked(size, chunk, count))

    assert code_of(answer) == (200, "ok")


@pytest.mark.quirk(36)
@pytest.mark.parametrize(
    ("size", "chunk", "count", "message"),
    [
        pytest.param(
            15_000_000, 10_000_000, 1, "The chunk size is invalid", id="lone chunk smaller than the file"
        ),
        pytest.param(121_000_000, 64_000_000, 1, "The chunk size is invalid", id="lone chunk, big file"),
        pytest.param(70_000_000, 70_000_000, 1, "The chunk size is invalid", id="over 64 MB in one"),
        pytest.param(9_000_000, 4_500_000, 2, "The chunk size is invalid", id="under 5 MB"),
        pytest.param(140_000_000, 70_000_000, 2, "The chunk size is invalid", id="chunks over 64 MB"),
        pytest.param(48_000_000, 10_000_000, 5, "The total chunk count is invalid", id="ceiling"),
        pytest.param(48_000_000, 10_000_000, 3, "The total chunk count is invalid", id="one too few"),
        pytest.param(4_294_967_297, 32_000_000, 134, SOURCE_INFO, id="over 4 GiB"),
        pytest.param(0, 0, 1, SOURCE_INFO, id="empty file"),
        pytest.param(1000, 1000, 0, SOURCE_INFO, id="no chunk"),
        pytest.param("1000", 1000, 1, SOURCE_INFO, id="text for a number"),
    ],
)
def test_unsound_chunk_plans_are_refused(client, size, chunk, count, message):
    assert message_of(client.init(source=chunked(size, chunk, count))) == (400, message)


@pytest.mark.quirk(39)
@pytest.mark.parametrize(
    ("start", "prefix"),
    [
        pytest.param(lambda c: c.init(), "v_pub_file~v2-1.", id="direct file"),
        pytest.param(lambda c: c.init(source=pulled()), "v_pub_url~v2-1.", id="direct url"),
        pytest.param(lambda c: c.inbox(), "v_inbox_file~v2.", id="inbox file"),
        pytest.param(lambda c: c.inbox(source=pulled()), "v_inbox_url~v2.", id="inbox url"),
        pytest.param(lambda c: c.photos([PHOTO_URL]), "p_pub_url~v2.", id="photo"),
        pytest.param(
            lambda c: c.photos([PHOTO_URL], mode="MEDIA_UPLOAD", post_info={}),
            "p_inbox_url~v2.",
            id="photo draft",
        ),
    ],
)
def test_publish_id_has_the_prefix_of_its_flow(photo_client, start, prefix):
    publish_id = start(photo_client).json()["data"]["publish_id"]

    assert re.fullmatch(re.escape(prefix) + r"\d{19}", publish_id)
    assert len(publish_id) <= 64


def pulled():
    return {"source": "PULL_FROM_URL", "video_url": "https://localhost:9/v.mp4"}


@pytest.mark.quirk(44)
def test_repeated_init_is_a_second_post(sandbox, client):
    first, second = client.publish(title="same"), client.publish(title="same")

    assert first != second
    assert len(sandbox.posts(caption="same")) == 2


@pytest.mark.quirk(45)
def test_daily_cap_counts_posts_made_elsewhere(sandbox, client):
    change_creator(sandbox, "demo.public", posts_elsewhere=14)

    answers = [code_of(client.init()), code_of(client.init())]

    assert answers == [(200, "ok"), (403, "spam_risk_too_many_posts")]


def test_failed_posts_do_not_count_towards_the_daily_cap(sandbox, client):
    change_creator(sandbox, "demo.public", posts_elsewhere=14)
    publish_id = client.init().json()["data"]["publish_id"]
    sandbox.control("POST", f"/tasks/{publish_id}/fail", {"reason": "internal"})

    assert code_of(client.init()) == (200, "ok")


@pytest.mark.quirk(46)
@pytest.mark.parametrize(("accepted", "expected"), [(False, 400), (True, 200)])
def test_branded_content_for_only_me_follows_the_switch(sandbox, client, accepted, expected):
    sandbox.settings(branded_private_accepted=accepted)

    answer = client.init(brand_content_toggle=True, brand_organic_toggle=False)

    assert answer.status_code == expected


def test_branded_content_for_everyone_is_taken(client):
    answer = client.init(privacy_level="PUBLIC_TO_EVERYONE", brand_content_toggle=True)

    assert code_of(answer) == (200, "ok")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param({}, POST_INFO, id="empty"),
        pytest.param({"post_info": {"privacy_level": "SELF_ONLY"}}, SOURCE_INFO, id="no source"),
        pytest.param({"post_info": [], "source_info": {}}, POST_INFO, id="a list"),
        pytest.param(
            {"post_info": {"privacy_level": "SELF_ONLY", "disable_duet": "no"}, "source_info": {}},
            POST_INFO,
            id="flag",
        ),
        pytest.param(
            {"post_info": {"privacy_level": "SELF_ONLY", "title": 7}, "source_info": {}},
            POST_INFO,
            id="title",
        ),
        pytest.param(
            {"post_info": {"privacy_level": "SELF_ONLY"}, "source_info": {"source": "FTP"}},
            SOURCE_INFO,
            id="source",
        ),
    ],
)
def test_init_in_a_wrong_shape(client, body, message):
    assert message_of(client.call(DIRECT, body)) == (400, message)


@pytest.mark.parametrize("raw", [b"{", b"[]", b'"text"', b"\xff"])
def test_init_with_a_body_that_is_no_json_object(client, raw):
    headers = {"Authorization": f"Bearer {client.pair['access_token']}", "Content-Type": "application/json"}

    answer = client.http.post(client.sandbox.url + DIRECT, data=raw, headers=headers, timeout=10)

    assert code_of(answer) == (400, "invalid_params")


def test_json_with_a_charset_is_taken(client):
    headers = {
        "Authorization": f"Bearer {client.pair['access_token']}",
        "Content-Type": "application/json; charset=UTF-8",
    }

    answer = client.http.post(
        f"{client.sandbox.url}/v2/post/publish/creator_info/query/", headers=headers, timeout=10
    )

    assert code_of(answer) == (200, "ok")


@pytest.mark.parametrize(
    ("start", "limit"),
    [
        pytest.param(lambda c: c.creator_info(), 20, id="creator_info"),
        pytest.param(lambda c: c.init(), 6, id="video init"),
        pytest.param(lambda c: c.inbox(), 6, id="inbox init"),
        pytest.param(lambda c: c.photos([PHOTO_URL]), 6, id="photo init"),
        pytest.param(
            lambda c: c.call("/v2/post/publish/status/fetch/", {"publish_id": "x"}), 30, id="status"
        ),
    ],
)
def test_rate_limit_is_a_sliding_minute_per_token(sandbox, photo_client, client_for, start, limit):
    sandbox.settings(pending_drafts=None)
    within = {start(photo_client).status_code for _ in range(limit)}
    over = code_of(start(photo_client))
    other = start(client_for("demo.quiet")).status_code
    sandbox.settings(clock_offset=61)
    later = start(photo_client).status_code

    assert 429 not in within
    assert over == (429, "rate_limit_exceeded")
    assert 429 not in {other, later}
    assert sandbox.control("GET", "/requests")["rate_limited"] == 1


def test_600_calls_a_minute_are_allowed_for_user_info(sandbox, client):
    sandbox.settings(rate_limits={"user_info": 3})

    answers = [client.user_info("open_id").status_code for _ in range(4)]

    assert answers == [200, 200, 200, 429]


def test_retry_after_is_sent_only_if_switched_on(sandbox, client):
    sandbox.settings(rate_limits={"creator_info": 0})
    without = client.creator_info()
    sandbox.settings(retry_after=7)

    assert "Retry-After" not in without.headers
    assert client.creator_info().headers["Retry-After"] == "7"


def test_checks_run_from_token_to_chunks(sandbox, client_for):
    """Each request is wrong in this and all later respects; the first one decides."""
    wrong_body = {
        "post_info": {"privacy_level": "FOLLOWER_OF_CREATOR"},
        "source_info": chunked(15_000_000, 10_000_000, 1),
    }
    weak = client_for("demo.banned", ["user.info.basic"])
    banned = client_for("demo.banned")
    public = client_for("demo.public")
    nobody = ApiClient(sandbox, "demo.public")
    nobody.pair["access_token"] = "act.nobody"
    seen = [code_of(nobody.call(DIRECT, wrong_body)), code_of(weak.call(DIRECT, wrong_body))]
    sandbox.settings(rate_limits={"video_init": 0})
    seen.append(code_of(banned.call(DIRECT, {})))
    sandbox.settings(rate_limits={"video_init": 60})
    seen.append(code_of(banned.call(DIRECT, {})))
    seen.append(code_of(banned.call(DIRECT, wrong_body)))
    seen.append(code_of(public.call(DIRECT, wrong_body)))
    sandbox.settings(audited=True)
    seen.append(code_of(public.call(DIRECT, wrong_body)))
    wrong_body["post_info"]["privacy_level"] = "SELF_ONLY"
    seen.append(code_of(public.call(DIRECT, wrong_body)))
    nobody.close()

    assert seen == [
        (401, "access_token_invalid"),
        (401, "scope_not_authorized"),
        (429, "rate_limit_exceeded"),
        (400, "invalid_params"),
        (403, "spam_risk_user_banned_from_posting"),
        (403, "unaudited_client_can_only_post_to_private_accounts"),
        (403, "privacy_level_option_mismatch"),
        (400, "invalid_params"),
    ]
