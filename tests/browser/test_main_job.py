"""The main job in a real browser: sign up, connect, upload 70 MB, watch it get published, find it on TikTok."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.enable_socket, pytest.mark.timeout(240)]


def sign_up(page, demo, *, name: str, email: str) -> str:
    """Sign up and return the slug of the personal workspace."""
    page.goto(f"{demo.url}/accounts/signup/")
    page.get_by_label("Your name").fill(name)
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill("a long enough pass phrase")
    page.locator("main button[type=submit]").click()
    expect(page).to_have_url(re.compile(r"/w/[^/]+/posts/"), timeout=20_000)
    return page.url.split("/w/")[1].split("/")[0]


def connect(page, demo, slug: str, creator: str = "Public creator") -> None:
    """Connect one of the local TikTok's creators through its consent page."""
    page.goto(f"{demo.url}/w/{slug}/connections/")
    page.locator("main").get_by_role("button", name=re.compile("Connect")).first.click()
    expect(page).to_have_url(re.compile(r"/v2/auth/authorize/"), timeout=20_000)
    page.get_by_text(creator, exact=True).click()
    page.get_by_role("button", name="Allow").click()
    expect(page).to_have_url(re.compile(r"/w/[^/]+/connections/"), timeout=20_000)
    expect(page.locator("main")).to_contain_text(creator)


def take_sample(page) -> None:
    """Choose the sample video, which brings the form back with it."""
    page.get_by_role("button", name="Use our sample video").click()
    expect(page.get_by_text("Uploaded", exact=True)).to_be_visible()


def publish_button(page):
    return page.locator("button[type=submit]:not([tabindex='-1'])", has_text="Publish").last


def test_a_new_user_gets_a_70_mb_video_published(demo, open_page, film_70mb, shoot):
    demo.control(
        "POST", "/faults", {"match": {"endpoint": "upload", "chunk_index": 1}, "action": {"delay": 3.0}}
    )
    page = open_page()
    slug = sign_up(page, demo, name="Press", email="press@example.com")
    shoot(page, "posts-empty")
    connect(page, demo, slug)
    shoot(page, "connections")

    page.goto(f"{demo.url}/w/{slug}/posts/new/")
    expect(page.get_by_label("Who can see this video")).to_have_value("")
    page.set_input_files("input[type=file]", film_70mb)
    page.get_by_role("textbox", name=re.compile("^Caption")).fill("Seventy megabytes, off the press")
    page.get_by_label("Who can see this video").select_option(label="Everyone")
    page.get_by_label("Comment", exact=True).check()
    shoot(page, "composer")
    publish_button(page).click()

    expect(page).to_have_url(re.compile(r"/posts/[0-9a-f-]{36}/"), timeout=20_000)
    bar = page.locator("progress")
    expect(page.locator("main")).to_contain_text("32.0 of 71", timeout=30_000)
    assert 0 < float(bar.get_attribute("value")) < float(bar.get_attribute("max"))
    shoot(page, "sending")
    expect(page.get_by_role("status")).to_contain_text("rocessing", timeout=30_000)
    shoot(page, "processing")
    link = page.get_by_role("link", name=re.compile("on TikTok"))
    expect(page.locator(".badge", has_text="Published")).to_be_visible(timeout=30_000)
    expect(link).to_have_attribute("href", re.compile(r"/video/\d{19}"), timeout=30_000)
    shoot(page, "published")

    with page.expect_popup() as popup:
        link.click()
    on_tiktok = popup.value
    expect(on_tiktok.locator("body")).to_contain_text("Seventy megabytes, off the press")
    on_tiktok.wait_for_function("document.querySelector('video').readyState >= 1")
    assert on_tiktok.evaluate("document.querySelector('video').duration") > 1
    page.goto(f"{demo.sandbox_url}/@demo.public")
    expect(page.locator("body")).to_contain_text("Seventy megabytes, off the press")
    [post] = [row for row in demo.control("GET", "/posts") if row["caption"].startswith("Seventy")]
    [task] = [row for row in demo.control("GET", "/tasks") if row["publish_id"] == post["publish_id"]]
    assert task["post_info"]["disable_comment"] is False
    assert task["post_info"]["disable_duet"] is True
    assert len(task["chunks"]) == 2
    page.goto(f"{demo.url}/w/{slug}/posts/")
    shoot(page, "posts")


def test_everything_works_without_javascript(demo, open_page):
    page = open_page(java_script_enabled=False)
    slug = sign_up(page, demo, name="Scriptless", email="scriptless@example.com")
    connect(page, demo, slug, "Quiet creator")
    page.goto(f"{demo.url}/w/{slug}/posts/new/")
    take_sample(page)
    page.get_by_role("textbox", name=re.compile("^Caption")).fill("No script at all")
    page.get_by_label("Who can see this video").select_option(label="Everyone")
    assert page.get_by_label("Duet").is_disabled()
    publish_button(page).click()

    expect(page).to_have_url(re.compile(r"/posts/[0-9a-f-]{36}/"), timeout=20_000)
    expect(page.locator(".badge", has_text="Published")).to_be_visible(
        timeout=60_000
    )  # the page reloads itself
    assert [
        post["handle"] for post in demo.control("GET", "/posts") if post["caption"] == "No script at all"
    ] == ["demo.quiet"]


def test_a_refusal_by_tiktok_is_told_with_its_code(demo, open_page, shoot):
    page = open_page()
    slug = sign_up(page, demo, name="Refused", email="refused@example.com")
    connect(page, demo, slug)
    demo.control("PATCH", "/creators/demo.public", {"next_failure": "spam_risk_text"})
    page.goto(f"{demo.url}/w/{slug}/posts/new/")
    take_sample(page)
    page.get_by_role("textbox", name=re.compile("^Caption")).fill("Buy now")
    page.get_by_label("Who can see this video").select_option(label="Everyone")
    publish_button(page).click()

    expect(page.locator(".badge", has_text="Failed")).to_be_visible(timeout=30_000)
    page.get_by_text("Technical details").click()
    expect(page.locator("main")).to_contain_text("spam_risk_text")
    shoot(page, "failed")
    page.locator("#live").get_by_role("button", name=re.compile("again|Retry")).click()
    expect(page.locator(".badge", has_text="Published")).to_be_visible(timeout=40_000)


def test_a_text_file_is_refused_in_place_and_nothing_typed_is_lost(demo, open_page, tmp_path, shoot):
    page = open_page()
    slug = sign_up(page, demo, name="Wrong", email="wrong@example.com")
    connect(page, demo, slug)
    fake = tmp_path / "letter.mp4"
    fake.write_text("Dear reader, this is no film. " * 50)
    page.goto(f"{demo.url}/w/{slug}/posts/new/")
    page.set_input_files("input[type=file]", fake)
    page.get_by_role("textbox", name=re.compile("^Caption")).fill("kept")
    page.get_by_label("Who can see this video").select_option(label="Everyone")
    publish_button(page).click()

    expect(page.locator("main")).to_contain_text("not a video")
    expect(page.get_by_role("textbox", name=re.compile("^Caption"))).to_have_value("kept")
    expect(page.get_by_label("Who can see this video")).to_have_value("PUBLIC_TO_EVERYONE")
    shoot(page, "composer-refused")
