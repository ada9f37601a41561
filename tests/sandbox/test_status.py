"""The life of a publish: https://developers.tiktok.com/doc/content-posting-api-reference-get-video-status"""

from __future__ import annotations

import pytest
import requests

from tests.sandbox.client import code_of

STATUS = "/v2/post/publish/status/fetch/"
PUBLIC = "PUBLIC_TO_EVERYONE"
IDS = "publicaly_available_post_id"


def test_processing_takes_its_time(sandbox, client):
    sandbox.settings(processing_seconds=100)
    publish_id = client.publish()
    before = client.status(publish_id)
    sandbox.settings(clock_offset=101)

    assert before == {"status": "PROCESSING_UPLOAD", "fail_reason": "", "uploaded_bytes": 1000}
    assert client.status(publish_id)["status"] == "PUBLISH_COMPLETE"


@pytest.mark.quirk(34)
def test_draft_ends_in_the_inbox_and_can_be_posted_several_times(sandbox, client):
    publish_id = client.send_draft()
    in_inbox = client.status(publish_id)["status"]
    finish = {"caption": "from the inbox", "privacy": PUBLIC}

    posted = [sandbox.control("POST", f"/tasks/{publish_id}/finish", finish) for _ in range(2)]
    status = client.status(publish_id)

    assert in_inbox == "SEND_TO_USER_INBOX"
    assert status["status"] == "PUBLISH_COMPLETE"
    assert status[IDS] == [int(post["post_id"]) for post in posted]
    assert len(sandbox.posts(caption="from the inbox")) == 2


def test_direct_post_cannot_be_finished_like_a_draft(sandbox, client):
    publish_id = client.publish()

    with pytest.raises(requests.HTTPError, match="409"):
        sandbox.control("POST", f"/tasks/{publish_id}/finish", {})


@pytest.mark.quirk(41)
def test_id_of_a_public_post_comes_late_as_a_19_digit_number(sandbox, client):
    sandbox.settings(moderation_seconds=100)
    publish_id = client.publish(privacy_level=PUBLIC)
    before = client.status(publish_id)
    sandbox.settings(clock_offset=101)
    after = client.status(publish_id)

    assert before["status"] == "PUBLISH_COMPLETE"
    assert IDS not in before
    assert [type(i) for i in after[IDS]] == [int]
    assert len(str(after[IDS][0])) == 19
    assert int(float(after[IDS][0])) != after[IDS][0], "the id survives a double: it would hide rounding"


@pytest.mark.quirk(41)
@pytest.mark.parametrize("level", ["MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"])
def test_id_of_a_post_that_is_not_public_never_comes(sandbox, client, level):
    publish_id = client.publish(privacy_level=level)
    sandbox.settings(clock_offset=7_000)

    assert IDS not in client.status(publish_id)


@pytest.mark.quirk(41)
def test_ids_can_be_strings(sandbox, client):
    sandbox.settings(post_id_type="string")
    publish_id = client.publish(privacy_level=PUBLIC)

    assert client.status(publish_id)[IDS] == [sandbox.posts()[0]["post_id"]]


@pytest.mark.quirk(42)
def test_fresh_publish_id_may_be_unknown_for_a_moment(sandbox, client):
    sandbox.settings(status_lag_seconds=100)
    publish_id = client.publish()
    early = client.call(STATUS, {"publish_id": publish_id})
    sandbox.settings(clock_offset=101)

    assert code_of(early) == (400, "invalid_params")
    assert early.json()["error"]["message"] == "invalid_publish_id"
    assert client.status(publish_id)["status"] == "PUBLISH_COMPLETE"


@pytest.mark.parametrize("publish_id", ["v_pub_file~v2-1.1", "", None, 7])
def test_unknown_publish_id_is_refused(client, publish_id):
    assert code_of(client.call(STATUS, {"publish_id": publish_id})) == (400, "invalid_publish_id")


def test_publish_id_of_another_creator_is_refused(client, client_for):
    publish_id = client.publish()

    answer = client_for("demo.quiet").call(STATUS, {"publish_id": publish_id})

    assert code_of(answer) == (400, "token_not_authorized_for_specified_publish_id")


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        (["video.upload"], (400, "invalid_publish_id")),
        (["video.publish"], (400, "invalid_publish_id")),
        (["video.list"], (401, "scope_not_authorized")),
    ],
)
def test_status_needs_one_of_two_scopes(client_for, scopes, expected):
    assert code_of(client_for("demo.public", scopes).call(STATUS, {"publish_id": "x"})) == expected


@pytest.mark.parametrize("reason", ["internal", "spam_risk_text", "frame_rate_check_failed"])
def test_processing_can_end_with_each_fail_reason(sandbox, client, reason):
    sandbox.control("PATCH", "/creators/demo.public", {"next_failure": reason})

    failed, fine = client.publish(), client.publish()

    assert (client.status(failed)["status"], client.status(failed)["fail_reason"]) == ("FAILED", reason)
    assert client.status(fine)["status"] == "PUBLISH_COMPLETE"


def test_running_task_fails_when_the_user_disconnects(sandbox, client):
    publish_id = client.init().json()["data"]["publish_id"]
    sandbox.control("POST", "/creators/demo.public/disconnect")
    client.pair = sandbox.tokens("demo.public")

    assert client.status(publish_id)["fail_reason"] == "auth_removed"


def test_post_that_stops_being_public_loses_its_id(sandbox, client):
    publish_id = client.publish(privacy_level=PUBLIC)
    post = sandbox.posts()[0]
    sandbox.control("PATCH", f"/posts/{post['post_id']}", {"privacy": "SELF_ONLY"})
    hidden = client.status(publish_id)
    sandbox.control("PATCH", f"/posts/{post['post_id']}", {"privacy": PUBLIC})

    assert IDS not in hidden
    assert client.status(publish_id)[IDS] == [int(post["post_id"])]


def test_deleted_post_is_no_longer_listed(sandbox, client):
    publish_id = client.publish(privacy_level=PUBLIC)
    sandbox.control("DELETE", f"/posts/{sandbox.posts()[0]['post_id']}")

    assert sandbox.posts() == []
    assert IDS not in client.status(publish_id)
