"""Trouble on demand, as a client on the other end of a real socket meets it."""

from __future__ import annotations

import hashlib

import pytest
import requests

from tests.sandbox.client import MIN_CHUNK, chunked, code_of, connect, refresh, token_call

FILE = b"f" * (2 * MIN_CHUNK)


def test_status_alone_is_an_error_in_the_endpoints_own_form(sandbox, client):
    sandbox.fault({"endpoint": "creator_info"}, {"status": 500})

    assert code_of(client.creator_info()) == (500, "internal_error")
    assert code_of(client.creator_info()) == (200, "ok")


def test_error_code_can_come_inside_http_200(sandbox, client):
    sandbox.fault({"endpoint": "video_init"}, {"code": "spam_risk_too_many_posts", "message": "no"})

    assert code_of(client.init()) == (200, "spam_risk_too_many_posts")
    assert sandbox.control("GET", "/tasks") == []


def test_rate_limit_can_be_faked_with_a_retry_after(sandbox, client):
    sandbox.fault({"endpoint": "status"}, {"status": 429, "code": "rate_limit_exceeded", "retry_after": 3})

    answer = client.call("/v2/post/publish/status/fetch/", {"publish_id": "x"})

    assert code_of(answer) == (429, "rate_limit_exceeded")
    assert answer.headers["Retry-After"] == "3"


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ({"malformed": True}, 200),
        ({"empty": True}, 200),
        ({"truncated": True}, 200),
        ({"html": True}, 502),
        ({"html": True, "status": 200}, 200),
        ({"body": "not json", "status": 418}, 418),
    ],
)
def test_body_that_is_no_json(sandbox, client, action, status):
    sandbox.fault({"endpoint": "creator_info"}, action)

    answer = client.creator_info()

    assert answer.status_code == status
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()


def test_token_errors_stay_flat(sandbox):
    sandbox.fault({"endpoint": "token"}, {"status": 503, "code": "temporarily_unavailable"})

    answer = token_call(sandbox, grant_type="client_credentials")

    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")


def test_drop_before_means_nothing_happened(sandbox, client):
    sandbox.fault({"endpoint": "video_init"}, {"drop": "before"})

    with pytest.raises(requests.ConnectionError):
        client.init()

    assert sandbox.control("GET", "/tasks") == []


def test_drop_after_means_it_happened(sandbox, client):
    sandbox.fault({"endpoint": "video_init"}, {"drop": "after"})

    with pytest.raises(requests.ConnectionError):
        client.init()

    assert [task["status"] for task in sandbox.control("GET", "/tasks")] == ["PROCESSING_UPLOAD"]


def test_processed_request_can_get_a_wrong_answer(sandbox, client):
    sandbox.fault({"endpoint": "video_init"}, {"status": 500, "process": True})

    assert client.init().status_code == 500
    assert len(sandbox.control("GET", "/tasks")) == 1


def test_lost_refresh_answer_costs_the_old_token(sandbox):
    token = connect(sandbox)
    sandbox.fault(
        {"endpoint": "token", "grant_type": "refresh_token", "creator": "demo.public"}, {"drop": "after"}
    )

    with pytest.raises(requests.ConnectionError):
        refresh(sandbox, token["refresh_token"])

    assert refresh(sandbox, token["refresh_token"]).json()["error"] == "invalid_grant"
    assert sandbox.control("GET", "/tokens")["grants"][0]["refreshes"] == 1


def test_answer_can_break_off_in_the_middle(sandbox, client):
    sandbox.fault({"endpoint": "creator_info"}, {"drop": "mid_answer"})

    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        client.creator_info()


@pytest.mark.parametrize(
    ("action", "stored"),
    [
        pytest.param({"drop": "before"}, MIN_CHUNK, id="before"),
        pytest.param({"drop": "mid_body", "after_bytes": 1_000_000}, MIN_CHUNK, id="in the middle"),
        pytest.param({"drop": "after"}, 2 * MIN_CHUNK, id="after"),
    ],
)
def test_chunk_lost_at_each_point_leaves_the_right_progress(sandbox, client, action, stored):
    data = client.init(source=chunked(len(FILE), MIN_CHUNK, 2)).json()["data"]
    client.put(data["upload_url"], FILE[:MIN_CHUNK], 0, len(FILE))
    sandbox.fault({"endpoint": "upload", "chunk_index": 1}, action)

    with pytest.raises(requests.ConnectionError):
        client.put(data["upload_url"], FILE[MIN_CHUNK:], MIN_CHUNK, len(FILE))

    assert client.status(data["publish_id"])["uploaded_bytes"] == stored
    again = client.put(data["upload_url"], FILE[MIN_CHUNK:], MIN_CHUNK, len(FILE))
    assert again.status_code == (201 if stored == MIN_CHUNK else 416)
    assert [post["sha256"] for post in sandbox.posts()] == [hashlib.sha256(FILE).hexdigest()]


def test_each_chunk_can_fail_once(sandbox, client):
    data = client.init(source=chunked(len(FILE), MIN_CHUNK, 2)).json()["data"]
    sandbox.fault({"endpoint": "upload", "nth": [1, 3]}, {"status": 502}, 2)
    parts = [(0, FILE[:MIN_CHUNK]), (MIN_CHUNK, FILE[MIN_CHUNK:])]

    statuses = [
        client.put(data["upload_url"], body, first, len(FILE)).status_code
        for first, body in parts
        for _ in range(2)
    ]

    assert statuses == [502, 206, 502, 201]


def test_rule_hits_only_what_it_names(sandbox, client, client_for):
    sandbox.fault(
        {"endpoint": ["creator_info", "video_init"], "creator": "demo.quiet", "nth": 2}, {"status": 500}
    )
    quiet = client_for("demo.quiet")

    statuses = [c.creator_info().status_code for c in (client, client, quiet, quiet, quiet)]

    assert statuses == [200, 200, 200, 500, 200]


def test_rule_without_times_holds_until_it_is_removed(sandbox, client):
    rule = sandbox.fault({"endpoint": "creator_info"}, {"status": 500}, None)
    before = [client.creator_info().status_code for _ in range(3)]
    sandbox.control("DELETE", f"/faults/{rule['rule_id']}")

    assert before == [500] * 3
    assert client.creator_info().status_code == 200


def test_slow_and_late_answers_still_arrive_whole(sandbox, client):
    sandbox.fault({"endpoint": "creator_info"}, {"delay": 0.2, "slow_bytes_per_second": 4000})

    assert code_of(client.creator_info()) == (200, "ok")


def test_late_answer_outlasts_a_short_time_out(sandbox, client):
    sandbox.fault({"endpoint": "user_info"}, {"delay": 5})
    headers = {"Authorization": f"Bearer {client.pair['access_token']}"}

    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{sandbox.url}/v2/user/info/?fields=open_id", headers=headers, timeout=0.3)


def test_consent_page_can_fail_too(sandbox):
    sandbox.fault({"endpoint": "authorize"}, {"html": True, "status": 503})

    assert requests.get(f"{sandbox.url}/v2/auth/authorize/", timeout=10).status_code == 503


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"match": {"endpoint": "nowhere"}, "action": {"status": 500}},
        {"match": {"shoe_size": 7}, "action": {"status": 500}},
        {"match": {}, "action": {"explode": True}},
        {"match": {}, "action": {"drop": "sometimes"}},
        {"match": {}, "action": {"status": 500}, "times": 0},
        {"match": [], "action": {"status": 500}},
    ],
)
def test_rule_that_makes_no_sense_is_refused(sandbox, rule):
    with pytest.raises(requests.HTTPError, match="400"):
        sandbox.control("POST", "/faults", rule)

    assert sandbox.control("GET", "/faults") == []


def test_fault_is_named_in_the_request_log(sandbox, client):
    rule = sandbox.fault({"endpoint": "creator_info"}, {"drop": "before"})
    with pytest.raises(requests.ConnectionError):
        client.creator_info()

    entry = sandbox.control("GET", "/requests", endpoint="creator_info")["entries"][-1]

    assert (entry["fault"], entry["status"], entry["creator"]) == (rule["rule_id"], 0, "demo.public")
