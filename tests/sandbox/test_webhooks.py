"""Events: https://developers.tiktok.com/doc/webhooks-events and …/webhooks-verification"""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from sandbox.webhooks import signature
from tests.sandbox.client import code_of, revoke
from tests.sandbox.process import CLIENT_KEY, CLIENT_SECRET
from tests.sandbox.receivers import eventually

PUBLIC = "PUBLIC_TO_EVERYONE"


@pytest.fixture
def hooked(sandbox, client, receiver):
    """A client whose app has a webhook URL."""
    sandbox.control("POST", "/apps", {"client_key": CLIENT_KEY, "webhook_url": f"{receiver.url}/hooks/"})
    return client


def event_of(received):
    body = json.loads(received.body)
    return body["event"], json.loads(body["content"])


def test_signature_of_the_documented_form():
    body = (
        b'{"client_key":"simkey0001","event":"post.publish.complete","create_time":1795000000,'
        b'"user_openid":"-000SimUser01","content":"{\\"publish_id\\":\\"v_pub_file~v2-1.7000000000000000001\\",'
        b'\\"publish_type\\":\\"DIRECT_PUBLISH\\"}"}'
    )

    assert len(body) == 219
    assert signature("sim-secret-0001", 1795000005, body) == (
        "t=1795000005,s=6e610d27763a6adefbaf53226e4ff23b54644dc63ad838f9008185ba1f7a080b"
    )


@pytest.mark.quirk(47)
def test_content_is_json_text_inside_json_and_user_openid_has_one_underscore(hooked, receiver):
    publish_id = hooked.publish()

    received = receiver.next()
    body = json.loads(received.body)

    assert received.path == "/hooks/"
    assert set(body) == {"client_key", "event", "create_time", "user_openid", "content"}
    assert json.loads(body["content"]) == {"publish_id": publish_id, "publish_type": "DIRECT_PUBLISH"}
    assert body["user_openid"] == hooked.pair["open_id"]


@pytest.mark.quirk(48)
def test_signature_covers_time_and_raw_body(hooked, receiver):
    hooked.publish()

    received = receiver.next()
    header = {name.lower(): value for name, value in received.headers.items()}["tiktok-signature"]
    timestamp, mac = (part.split("=", 1)[1] for part in header.split(","))
    expected = hmac.new(CLIENT_SECRET.encode(), f"{timestamp}.".encode() + received.body, hashlib.sha256)

    assert mac == expected.hexdigest()


@pytest.mark.quirk(49)
def test_losing_the_public_is_misspelt_and_gaining_it_is_not(sandbox, hooked, receiver):
    hooked.publish(privacy_level=PUBLIC)
    post_id = sandbox.posts()[0]["post_id"]
    sandbox.control("PATCH", f"/posts/{post_id}", {"privacy": "SELF_ONLY"})

    events = dict(event_of(receiver.next()) for _ in range(3))

    assert set(events) == {
        "post.publish.complete",
        "post.publish.publicly_available",
        "post.publish.no_longer_publicaly_available",
    }
    assert events["post.publish.publicly_available"]["post_id"] == int(post_id)


def test_draft_is_delivered_then_completed_each_time_it_is_posted(sandbox, hooked, receiver):
    publish_id = hooked.send_draft()
    for _ in range(2):
        sandbox.control("POST", f"/tasks/{publish_id}/finish", {"privacy": "SELF_ONLY"})

    events = [event_of(receiver.next()) for _ in range(3)]

    assert sorted(name for name, _ in events) == [
        "post.publish.complete",
        "post.publish.complete",
        "post.publish.inbox_delivered",
    ]
    assert {content["publish_type"] for _, content in events} == {"INBOX_SHARE"}


def test_failure_carries_its_reason(sandbox, hooked, receiver):
    sandbox.control("PATCH", "/creators/demo.public", {"next_failure": "spam_risk"})
    publish_id = hooked.publish()

    assert event_of(receiver.next()) == (
        "post.publish.failed",
        {"publish_id": publish_id, "reason": "spam_risk", "publish_type": "DIRECT_PUBLISH"},
    )


@pytest.mark.quirk(50)
def test_event_is_repeated_until_it_is_answered_with_200(sandbox, hooked, receiver):
    sandbox.settings(webhook_speed=100_000)
    receiver.statuses += [500, 204]

    hooked.publish()
    bodies = [receiver.next().body for _ in range(3)]
    hook = eventually(lambda: sandbox.control("GET", "/webhooks")[0], lambda hook: hook["state"] != "pending")

    assert len(set(bodies)) == 1
    assert [attempt["status"] for attempt in hook["attempts"]] == [500, 204, 200]
    assert hook["state"] == "delivered"


@pytest.mark.quirk(50)
def test_event_is_dropped_after_72_hours(sandbox, hooked, receiver):
    receiver.statuses += [500] * 3
    hooked.publish()
    receiver.next()
    waiting = eventually(lambda: sandbox.control("GET", "/webhooks")[0], lambda hook: hook["attempts"])
    sandbox.settings(clock_offset=72 * 3600 + 10)
    receiver.next()
    hook = eventually(lambda: sandbox.control("GET", "/webhooks")[0], lambda hook: hook["state"] != "pending")

    assert waiting["next_at"] - waiting["attempts"][0]["at"] == pytest.approx(60, abs=5)
    assert hook["state"] == "dropped"


@pytest.mark.quirk(50)
def test_duplicates_shuffle_and_delay_are_switches(sandbox, hooked, receiver):
    sandbox.settings(webhook_duplicate=True, webhook_shuffle=True, webhook_delay_seconds=3600)

    hooked.publish()
    pending = sandbox.control("GET", "/webhooks", state="pending")
    sandbox.settings(clock_offset=3603)
    bodies = [receiver.next().body for _ in range(2)]

    assert len(pending) == 2
    assert all(hook["next_at"] - hook["created_at"] >= 3600 for hook in pending)
    assert bodies[0] == bodies[1]


def test_failing_deliveries_can_be_ordered(sandbox, hooked, receiver):
    sandbox.fault({"endpoint": "webhook", "event": "post.publish.complete"}, {"drop": "before"}, 1)
    hooked.publish()
    eventually(
        lambda: sandbox.control("GET", "/webhooks")[0]["attempts"], lambda attempts: len(attempts) == 1
    )

    sandbox.control("POST", "/webhooks/retry")

    assert event_of(receiver.next())[0] == "post.publish.complete"


def test_unreachable_receiver_is_tried_again(sandbox, client):
    sandbox.control("POST", "/apps", {"client_key": CLIENT_KEY, "webhook_url": "http://127.0.0.1:9/hooks/"})
    client.publish()

    hook = eventually(lambda: sandbox.control("GET", "/webhooks")[0], lambda hook: hook["attempts"])

    assert hook["state"] == "pending"
    assert "No connection" in hook["attempts"][0]["error"]


@pytest.mark.quirk(51)
def test_posting_sends_no_legacy_events(sandbox, hooked):
    hooked.publish(privacy_level=PUBLIC)
    hooked.send_draft()

    events = {hook["event"] for hook in sandbox.control("GET", "/webhooks")}

    assert events == {
        "post.publish.complete",
        "post.publish.publicly_available",
        "post.publish.inbox_delivered",
    }


@pytest.mark.quirk(51)
def test_legacy_events_can_be_sent_by_hand(sandbox, hooked, receiver):
    event = {"event": "video.publish.completed", "creator": "demo.public", "content": {"share_id": "s.1"}}
    sandbox.control("POST", "/webhooks/send", event)

    assert event_of(receiver.next()) == ("video.publish.completed", {"share_id": "s.1"})


@pytest.mark.quirk(52)
@pytest.mark.parametrize(
    ("remove", "reason"),
    [
        pytest.param(lambda s, c: revoke(s, c.pair["access_token"]), 5, id="developer revoked"),
        pytest.param(
            lambda s, c: s.control("POST", "/creators/demo.public/disconnect"), 1, id="user disconnected"
        ),
        pytest.param(
            lambda s, c: s.control("POST", "/creators/demo.public/disconnect", {"reason": 4}), 4, id="banned"
        ),
    ],
)
def test_removed_authorization_arrives_when_the_token_is_dead(sandbox, hooked, receiver, remove, reason):
    remove(sandbox, hooked)

    assert event_of(receiver.next()) == ("authorization.removed", {"reason": reason})
    assert code_of(hooked.creator_info()) == (401, "access_token_invalid")
