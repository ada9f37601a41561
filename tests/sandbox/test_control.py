"""The JSON control API."""

from __future__ import annotations

import pytest
import requests

from tests.sandbox.client import code_of, refresh


def refused(sandbox, method, path, body=None):
    """The status of a control call that must be refused."""
    with pytest.raises(requests.HTTPError) as caught:
        sandbox.control(method, path, body)
    return caught.value.response.status_code


@pytest.mark.parametrize(
    "changes",
    [
        {"shoe_size": 7},
        {"audited": "yes"},
        {"processing_seconds": True},
        {"posts_per_day": 1.5},
        {"lifetimes": "eternal"},
        {"rate_limits": {"upload": 1}},
        {"rate_limits": {"status": -1}},
        {"processing_seconds": -1},
        {"audited": True, "profile": "production"},
    ],
)
def test_wrong_settings_are_refused_as_a_whole(sandbox, changes):
    before = sandbox.control("GET", "/settings")

    assert refused(sandbox, "PATCH", "/settings", changes) == 400
    assert sandbox.control("GET", "/settings") == before


def test_profile_brings_its_values_and_a_change_beside_it_wins(sandbox):
    settings = sandbox.settings(profile="demo", processing_seconds=0.5)

    assert (settings["audited"], settings["moderation_seconds"], settings["processing_seconds"]) == (
        True,
        3.0,
        0.5,
    )
    assert settings["rate_limits_on"] is True
    assert sandbox.settings(profile="strict")["audited"] is False


def test_reset_restores_settings_creators_and_faults(sandbox, client):
    sandbox.control("PATCH", "/creators/demo.public", {"banned": True})
    sandbox.fault({}, {"status": 500}, None)
    client.call("/v2/user/info/", method="GET")

    sandbox.control("POST", "/reset")

    assert sandbox.control("GET", "/settings")["audited"] is False
    assert sandbox.control("GET", "/creators/demo.public")["banned"] is False
    assert sandbox.control("GET", "/faults") == []
    assert sandbox.control("GET", "/requests")["counts"] == {}


def test_creators_can_be_made_changed_and_removed(sandbox, client_for):
    sandbox.control("POST", "/creators", {"handle": "demo.new", "max_duration_seconds": 30})
    client = client_for("demo.new")
    sandbox.control("PATCH", "/creators/demo.new", {"nickname": "Renamed"})
    info = client.creator_info().json()["data"]
    sandbox.control("DELETE", "/creators/demo.new")

    assert (info["creator_nickname"], info["max_video_post_duration_sec"]) == ("Renamed", 30)
    assert code_of(client.creator_info()) == (401, "access_token_invalid")
    assert refused(sandbox, "GET", "/creators/demo.new") == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/creators", {}, 400),
        ("POST", "/creators", {"handle": "a/b"}, 400),
        ("POST", "/creators", {"handle": "demo.public"}, 409),
        ("POST", "/creators", {"handle": "x", "private": "yes"}, 400),
        ("PATCH", "/creators/demo.public", {"handle": "other"}, 400),
        ("PATCH", "/creators/demo.public", {"next_failure": "bad luck"}, 400),
        ("PATCH", "/creators/nobody", {}, 404),
        ("POST", "/creators/demo.public/disconnect", {"reason": 9}, 400),
        ("POST", "/creators/demo.public/tokens/kill", {"purpose": "all"}, 400),
        ("POST", "/apps", {"client_key": "awnew"}, 400),
        ("POST", "/apps", {"client_key": "awnew", "client_secret": "s", "platform": "phone"}, 400),
        ("POST", "/tokens", {"creator": "nobody"}, 404),
        ("GET", "/tasks/unknown", None, 404),
        ("PATCH", "/posts/1", {"privacy": "SELF_ONLY"}, 404),
        ("DELETE", "/faults/fault-0", None, 404),
    ],
)
def test_calls_that_cannot_be_carried_out(sandbox, method, path, body, status):
    assert refused(sandbox, method, path, body) == status


def test_body_that_is_no_json_object_is_refused(sandbox):
    for raw in (b"{", b"[]"):
        answer = requests.patch(f"{sandbox.url}/control/api/settings", data=raw, timeout=10)
        assert answer.status_code == 400


@pytest.mark.parametrize(
    ("purpose", "access", "refreshing"),
    [("access", 401, 200), ("refresh", 200, 400)],
)
@pytest.mark.parametrize("how", ["expire", "kill"])
def test_tokens_can_be_expired_or_killed_by_kind(sandbox, client, how, purpose, access, refreshing):
    ended = sandbox.control("POST", f"/creators/demo.public/tokens/{how}", {"purpose": purpose})

    assert ended == {"tokens": 1}
    assert client.creator_info().status_code == access
    assert refresh(sandbox, client.pair["refresh_token"]).status_code == refreshing


def test_counts_of_tokens_and_refreshes(sandbox, client):
    refresh(sandbox, client.pair["refresh_token"])

    counts = sandbox.control("GET", "/tokens")

    assert counts["issued"] == {"access": 2, "refresh": 2}
    assert counts["grants"][0]["refreshes"] == 1


def test_request_log_counts_by_endpoint_and_never_holds_a_token(sandbox, client):
    client.creator_info()
    client.creator_info()
    client.init(privacy_level="nonsense")

    log = sandbox.control("GET", "/requests", limit="2")

    assert log["counts"] == {"creator_info": 2, "video_init": 1}
    assert log["statuses"]["video_init"] == {"400": 1}
    assert [entry["endpoint"] for entry in log["entries"]] == ["creator_info", "video_init"]
    assert client.pair["access_token"] not in str(log)


def test_posts_can_be_filtered(sandbox, client, client_for):
    client.publish(title="one")
    publish_id = client.publish(title="two")
    client_for("demo.quiet").publish(title="one")

    assert len(sandbox.posts(caption="one")) == 2
    assert len(sandbox.posts(caption="one", creator="demo.quiet")) == 1
    assert [post["caption"] for post in sandbox.posts(publish_id=publish_id)] == ["two"]


def test_overview_counts(sandbox, client):
    client.publish()
    client.init()

    overview = sandbox.control("GET", "/")

    assert overview["tasks"] == {"PUBLISH_COMPLETE": 1, "PROCESSING_UPLOAD": 1}
    assert overview["posts"] == 1
