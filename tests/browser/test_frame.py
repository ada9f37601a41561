"""The frame in a real browser: without JavaScript, by keyboard, on narrow screens."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.enable_socket, pytest.mark.timeout(240)]

PHONE = {"width": 390, "height": 844}
NARROW = {"width": 320, "height": 640}  # https://www.w3.org/TR/WCAG22/#reflow


def log_in(page: Page, demo) -> None:
    page.goto(f"{demo.url}/accounts/login/")
    page.get_by_label("E-mail address").fill("demo@broadside.local")
    page.get_by_label("Password").fill("demo-broadside")
    page.locator("main button[type=submit]").click()
    expect(page).to_have_url(re.compile(r"/w/demo-studio/"), timeout=20_000)


def test_account_and_workspace_work_without_javascript(demo, open_page):
    page = open_page(java_script_enabled=False, viewport=PHONE)
    page.goto(f"{demo.url}/accounts/signup/")
    page.get_by_label("Your name").fill("Plain")
    page.get_by_label("E-mail").fill("plain@example.com")
    page.get_by_label("Password").fill("a long enough pass phrase")
    page.locator("main button[type=submit]").click()
    expect(page).to_have_url(re.compile(r"/w/plains-workspace-[0-9a-f]+/posts/"), timeout=20_000)

    page.locator(".topbar-menu > summary").click()
    page.locator(".topbar-panel").get_by_role("link", name="Settings").click()
    page.get_by_label("Workspace name").fill("Plain paper")
    page.get_by_role("button", name="Save").first.click()
    expect(page.locator("main")).to_contain_text("Saved.")
    page.locator(".topbar-menu > summary").click()
    expect(page.locator(".topbar-panel .switcher").first).to_contain_text("Plain paper")
    page.locator(".topbar-panel .user-menu > summary").click()
    page.get_by_role("button", name="Log out").click()

    expect(page.locator("body")).to_contain_text("You are logged out.")


def test_keyboard_skips_to_the_content_and_closes_menus(demo, open_page):
    page = open_page()
    log_in(page, demo)

    page.keyboard.press("Tab")
    expect(page.locator(".skip-link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()

    summary = page.locator(".sidebar .switcher > summary").first
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="All workspaces")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")

    expect(page.get_by_role("link", name="All workspaces")).to_be_hidden()
    expect(summary).to_be_focused()


def test_a_click_elsewhere_closes_a_menu(demo, open_page):
    page = open_page()
    log_in(page, demo)
    page.locator(".sidebar .user-menu > summary").click()
    expect(page.locator(".sidebar").get_by_role("link", name="Profile")).to_be_visible()

    page.locator("h1").click()

    expect(page.locator(".sidebar").get_by_role("link", name="Profile")).to_be_hidden()


def test_a_message_can_be_dismissed(demo, open_page):
    page = open_page()
    log_in(page, demo)
    page.goto(f"{demo.url}/profile/")
    page.get_by_role("button", name="Save").first.click()
    expect(page.get_by_text("Saved.")).to_be_visible()

    page.get_by_role("button", name="Dismiss").click()

    expect(page.get_by_text("Saved.")).to_have_count(0)


@pytest.mark.parametrize("size", [PHONE, NARROW], ids=["390", "320"])
def test_no_page_scrolls_sideways_and_every_control_can_be_hit(demo, open_page, size):
    page = open_page(viewport=size, has_touch=True)
    log_in(page, demo)
    paths = ["posts/", "posts/new/", "connections/", "members/", "settings/", "audit/", "notices/", "health/"]
    paths += ["settings/data/", "settings/delete/", "settings/transfer/", "settings/source-videos/"]
    faults = {}

    for path in [
        *(f"/w/demo-studio/{path}" for path in paths),
        "/workspaces/",
        "/profile/",
        "/profile/data/",
        "/accounts/email/",
        "/accounts/2fa/",
        "/accounts/sessions/",
    ]:
        page.goto(f"{demo.url}{path}")
        faults[path] = page.evaluate(FAULTS)

    assert faults == {path: [] for path in faults}


FAULTS = """() => {
  const root = document.documentElement;
  const wide = root.scrollWidth > root.clientWidth ? [`${root.scrollWidth - root.clientWidth} px too wide`] : [];
  const controls = [...document.querySelectorAll(".button, .nav-link, .nav-button, .input, .select, summary")];
  const small = controls
    .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 43.5)
    .map((element) => `too low: ${element.className} ${element.textContent.trim()}`);
  return [...wide, ...small];
}"""
