"""What a person sees and clicks, all of it without JavaScript."""

from __future__ import annotations

import pytest
import requests

PUBLIC = "PUBLIC_TO_EVERYONE"


def get(sandbox, path, **headers):
    return requests.get(sandbox.url + path, headers=headers, timeout=10)


def submit(sandbox, path, **form):
    return requests.post(sandbox.url + path, data=form, allow_redirects=False, timeout=10)


@pytest.mark.parametrize("path", ["/", "/@demo.public", "/control/", "/static/sandbox.css", "/healthz"])
def test_page_is_there_on_a_fresh_start(sandbox, path):
    assert get(sandbox, path).status_code == 200


def test_home_lists_every_creator(sandbox):
    page = get(sandbox, "/").text

    assert [c["handle"] in page for c in sandbox.control("GET", "/creators")] == [True] * 7
    assert "Nothing was posted yet" in page


def test_profile_shows_and_plays_what_was_posted(sandbox, client):
    client.publish(b"0123456789" * 100, privacy_level=PUBLIC, title="Ships <&> sails", is_aigc=True)
    post = sandbox.posts()[0]

    profile = get(sandbox, "/@demo.public").text
    single = get(sandbox, post["url"]).text
    part = get(sandbox, f"/media/{post['post_id']}/0", Range="bytes=3-6")

    for page in (profile, single):
        assert "Ships &lt;&amp;&gt; sails" in page
        assert f'src="/media/{post["post_id"]}/0"' in page
        assert "Creator labeled as AI-generated" in page
    assert (part.status_code, part.content) == (206, b"3456")
    assert part.headers["Content-Type"] == "video/mp4"


def test_draft_waits_in_the_inbox_until_it_is_finished(sandbox, client):
    publish_id = client.send_draft()
    before = get(sandbox, "/@demo.public").text

    answer = submit(sandbox, f"/@demo.public/inbox/{publish_id}", caption="Finished by hand", privacy=PUBLIC)

    assert "Finish posting" in before
    assert answer.status_code == 303
    assert "Finished by hand" in get(sandbox, "/@demo.public").text
    assert client.status(publish_id)["status"] == "PUBLISH_COMPLETE"


@pytest.mark.parametrize("privacy", ["FOLLOWER_OF_CREATOR", "", "NOBODY"])
def test_draft_is_not_finished_with_a_privacy_that_is_not_offered(sandbox, client, privacy):
    publish_id = client.send_draft()

    assert submit(sandbox, f"/@demo.public/inbox/{publish_id}", privacy=privacy).status_code == 400
    assert sandbox.posts() == []


@pytest.mark.parametrize(
    "path",
    [
        "/@nobody",
        "/@demo.public/video/1",
        "/media/1/0",
        "/cover/1.png",
        "/avatar/demo.public/99.png",
        "/nowhere/",
    ],
)
def test_missing_page_says_so(sandbox, path):
    answer = get(sandbox, path)

    assert answer.status_code == 404
    assert "Not Found" in answer.text


def test_post_is_found_only_under_its_own_creator(sandbox, client):
    client.publish()
    post_id = sandbox.posts()[0]["post_id"]

    assert get(sandbox, f"/@demo.quiet/video/{post_id}").status_code == 404


def test_control_page_shows_tasks_faults_and_requests(sandbox, client):
    client.publish(title="On the control page")
    sandbox.fault({"endpoint": "upload"}, {"status": 502})

    page = get(sandbox, "/control/").text

    assert "On the control page" in page
    assert "PUBLISH_COMPLETE" in page
    assert "video_init 1" in page
    assert "used 0 of 1" in page


def test_settings_form_changes_only_what_was_changed(sandbox):
    answer = submit(sandbox, "/control/settings", audited="true", processing_seconds="2.5", posts_per_day="")

    settings = sandbox.control("GET", "/settings")
    assert answer.status_code == 303
    assert (settings["audited"], settings["processing_seconds"], settings["posts_per_day"]) == (
        True,
        2.5,
        None,
    )
    assert settings["moderation_seconds"] == 0


@pytest.mark.parametrize(
    "form", [{"processing_seconds": "soon"}, {"processing_seconds": "-1"}, {"lifetimes": "eternal"}]
)
def test_settings_form_refuses_nonsense_and_changes_nothing(sandbox, form):
    before = sandbox.control("GET", "/settings")

    answer = submit(sandbox, "/control/settings", audited="true", **form)

    assert answer.status_code == 400
    assert "Nothing was changed" in answer.text
    assert sandbox.control("GET", "/settings") == before


@pytest.mark.parametrize(
    ("do", "field", "value"),
    [
        ("private", "private", True),
        ("comment_disabled", "comment_disabled", True),
        ("banned", "banned", True),
        ("target", "target", False),
    ],
)
def test_creator_buttons_switch(sandbox, do, field, value):
    submit(sandbox, "/control/creators/demo.public", do=do)

    assert sandbox.control("GET", "/creators/demo.public")[field] is value


@pytest.mark.parametrize("do", ["expire", "disconnect"])
def test_creator_buttons_end_tokens(sandbox, client, do):
    submit(sandbox, "/control/creators/demo.public", do=do)

    assert client.creator_info().status_code == 401


def test_unknown_button_is_refused(sandbox):
    assert submit(sandbox, "/control/creators/demo.public", do="delete").status_code == 400


def test_faults_are_added_and_removed_on_the_page(sandbox):
    submit(sandbox, "/control/faults", preset="Next init answers 500")
    submit(sandbox, "/control/faults", rule='{"match": {"endpoint": "upload"}, "action": {"drop": "after"}}')
    rules = sandbox.control("GET", "/faults")
    submit(sandbox, "/control/faults", remove=rules[0]["rule_id"])

    assert len(rules) == 2
    assert [rule["action"] for rule in sandbox.control("GET", "/faults")] == [{"drop": "after"}]


@pytest.mark.parametrize("form", [{"rule": "{"}, {"rule": "[]"}, {"rule": "{}"}, {"preset": "Nothing"}])
def test_rule_that_makes_no_sense_is_refused_in_place(sandbox, form):
    answer = submit(sandbox, "/control/faults", **form)

    assert answer.status_code == 400
    assert "This is no rule" in answer.text


def test_every_preset_is_a_rule(sandbox):
    page = get(sandbox, "/control/").text
    options = page.split('<select name="preset">')[1].split("</select>")[0]
    names = [part.split("</option>")[0] for part in options.split("<option>")[1:]]

    statuses = [submit(sandbox, "/control/faults", preset=name).status_code for name in names]

    assert len(names) >= 6
    assert set(statuses) == {303}


def test_reset_button_forgets_everything(sandbox, client):
    client.publish()

    submit(sandbox, "/control/reset")

    assert sandbox.posts() == []
    assert client.creator_info().status_code == 401
    assert list((sandbox.data_dir / "media").iterdir()) == []
