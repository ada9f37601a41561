"""A person's data in a real browser: exported and downloaded, sources removed, the account deleted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile

import pytest
from playwright.sync_api import expect

from stack.options import BASE_DIR
from tests.browser.test_main_job import connect, publish_button, sign_up, take_sample

pytestmark = [pytest.mark.browser, pytest.mark.enable_socket, pytest.mark.timeout(240)]

AGE = """
from datetime import timedelta
from django.utils import timezone
from accounts.scopes import System, system_scope
from publishing.models import Delivery
from publishing.tasks import remove_old_sources
with system_scope(System.COMMAND):
    Delivery.objects.filter(workspace__slug="{slug}").update(
        state_changed_at=timezone.now() - timedelta(days=15), wake_at=None
    )
print(remove_old_sources())
"""


def in_shell(demo, code: str) -> str:
    """Run `code` on the demo's own database."""
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", code],
        cwd=BASE_DIR,
        env={name: value for name, value in demo.env.items() if name != "ENV_FILE"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def export(page, shoot, name: str) -> zipfile.ZipFile:
    """Have an export made on the page that is open, and download it."""
    page.get_by_role("button", name="Make an export").click()
    ready = page.locator(".alert-title", has_text="The export is ready")
    expect(ready).to_be_visible(timeout=40_000)
    shoot(page, name)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".zip")
    return zipfile.ZipFile(download.value.path())


def test_exports_retention_and_the_end_of_an_account(demo, open_page, shoot):
    page = open_page(accept_downloads=True)
    slug = sign_up(page, demo, name="Leaving", email="leaving@example.com")
    connect(page, demo, slug)
    page.goto(f"{demo.url}/w/{slug}/posts/new/")
    take_sample(page)
    page.get_by_role("textbox", name=re.compile("^Caption")).fill("Soon without its source")
    page.get_by_label("Who can see this video").select_option(label="Everyone")
    publish_button(page).click()
    expect(page.locator(".badge", has_text="Published")).to_be_visible(timeout=60_000)
    post_url = page.url

    page.goto(f"{demo.url}/profile/")
    page.get_by_role("link", name="Your data").click()
    shoot(page, "personal-data")
    mine = export(page, shoot, "personal-data-ready")
    assert json.loads(mine.read("person.json"))["email"] == "leaving@example.com"
    page.goto(f"{demo.url}/w/{slug}/settings/")
    shoot(page, "settings")
    page.get_by_role("link", name="Export of all data").click()
    whole = export(page, shoot, "workspace-data-ready")
    assert whole.testzip() is None
    assert [row["caption"] for row in json.loads(whole.read("posts.json"))] == ["Soon without its source"]
    assert [name for name in whole.namelist() if name.startswith("media/videos/")]

    page.goto(f"{demo.url}/w/{slug}/settings/")
    page.get_by_role("link", name="Source videos").click()
    page.get_by_text("Delete them", exact=True).click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Say after how many days.")).to_be_visible()
    shoot(page, "source-videos")
    page.get_by_label("Days after publishing").fill("14")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert "removed=1" in in_shell(demo, AGE.format(slug=slug))
    page.goto(post_url)
    expect(page.get_by_text("The source file was removed on")).to_be_visible()
    shoot(page, "source-removed")

    page.goto(f"{demo.url}/profile/data/")
    page.get_by_role("link", name="Delete my account").click()
    page.get_by_label("Password", exact=True).fill("a long enough pass phrase")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("main")).to_contain_text("Leaving's workspace is deleted, since only you are in it")
    shoot(page, "account-delete")
    page.get_by_label("Type leaving@example.com to confirm").fill("Leaving@example.com")
    page.get_by_role("button", name="Delete my account").click()

    expect(page.get_by_text("Your account is deleted")).to_be_visible()
    shoot(page, "account-deleted")
    page.goto(post_url)
    expect(page).to_have_url(re.compile("/accounts/login/"))


def test_an_only_owner_is_shown_what_to_decide_first(demo, open_page, shoot):
    page = open_page(has_touch=True)
    page.goto(f"{demo.url}/accounts/login/")
    page.get_by_label("E-mail address").fill("demo@broadside.local")
    page.get_by_label("Password").fill("demo-broadside")
    page.locator("main button[type=submit]").click()
    expect(page).to_have_url(re.compile(r"/w/demo-studio/"), timeout=20_000)

    page.goto(f"{demo.url}/profile/delete/")
    page.get_by_label("Password", exact=True).fill("demo-broadside")
    page.get_by_role("button", name="Go on").click()

    expect(page.get_by_text("First decide who owns")).to_be_visible()
    expect(page.get_by_role("button", name="Delete my account")).to_have_count(0)
    shoot(page, "account-delete-blocked")
