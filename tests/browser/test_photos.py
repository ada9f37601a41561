"""A photo post in a real browser: choose, order, publish, and see the pictures on TikTok."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import expect

from tests.browser.test_main_job import connect, publish_button, sign_up

pytestmark = [pytest.mark.browser, pytest.mark.enable_socket, pytest.mark.timeout(240)]


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Three pictures that can be told apart, and a PNG."""
    paths = [tmp_path / name for name in ("one.jpg", "two.webp", "three.jpg", "logo.png")]
    for place, path in enumerate(paths):
        image = Image.new("RGB", (1080, 1350), (60 + 60 * place, 120, 200 - 50 * place))
        ImageDraw.Draw(image).ellipse((240, 375, 840, 975), fill=(250, 220, 60 * place))
        image.save(path)
    return paths


def test_photos_are_ordered_published_and_seen_on_tiktok(demo, open_page, pictures, shoot):
    page = open_page()
    slug = sign_up(page, demo, name="Photographer", email="photos@example.com")
    connect(page, demo, slug)
    page.goto(f"{demo.url}/w/{slug}/posts/new/")
    page.get_by_role("link", name="Photos", exact=True).click()
    expect(page.get_by_role("checkbox", name="Duet")).to_have_count(0)

    page.set_input_files("input[type=file]", pictures)
    expect(page.locator("main")).to_contain_text("logo.png: This is a PNG picture")
    expect(page.locator(".photo")).to_have_count(3)
    shoot(page, "photos-chosen")
    page.locator(".photo").nth(2).get_by_role("spinbutton").fill("0")
    page.get_by_role("button", name="Put in this order").click()
    expect(page.locator(".photo").first).to_contain_text("three.jpg")
    page.get_by_role("button", name="Move three.jpg back").click()
    expect(page.get_by_role("button", name="Move three.jpg back")).to_be_focused()
    expect(page.get_by_text("three.jpg: place 2 of 3")).to_be_attached()
    page.locator(".photo img").nth(1).drag_to(page.locator(".photo img").nth(2))
    places = page.locator(".photo").evaluate_all(
        "photos => photos.map(one => [one.dataset.name, one.querySelector('[type=number]').value])"
    )
    assert places == [["one.jpg", "1"], ["two.webp", "2"], ["three.jpg", "3"]]
    page.locator(".photo").nth(1).get_by_label("Cover").check()
    page.get_by_label(re.compile("^Title")).fill("Harbor")
    page.get_by_role("textbox", name=re.compile("^Description")).fill("Three pictures of a morning")
    page.get_by_label("Who can see these photos").select_option(label="Everyone")
    shoot(page, "photos-composer")
    publish_button(page).click()

    expect(page).to_have_url(re.compile(r"/posts/[0-9a-f-]{36}/"), timeout=20_000)
    expect(page.locator(".badge", has_text="Published")).to_be_visible(timeout=30_000)
    expect(page.locator(".post-photos img")).to_have_count(3)
    shoot(page, "photos-published")
    [post] = [row for row in demo.control("GET", "/posts") if row["title"] == "Harbor"]
    [task] = [row for row in demo.control("GET", "/tasks") if row["publish_id"] == post["publish_id"]]
    assert len(task["files"]) == 3
    assert task["cover_index"] == 1
    page.goto(f"{demo.url}/w/{slug}/posts/")
    shoot(page, "photos-list")


def test_photos_on_a_phone_need_no_scrolling_sideways(demo, open_page, pictures, shoot):
    page = open_page(viewport={"width": 375, "height": 720})
    slug = sign_up(page, demo, name="Phone", email="phone-photos@example.com")
    connect(page, demo, slug)
    page.goto(f"{demo.url}/w/{slug}/posts/new/photos/")

    page.set_input_files("input[type=file]", pictures[:3])
    expect(page.locator(".photo")).to_have_count(3)

    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    shoot(page, "photos-phone")
