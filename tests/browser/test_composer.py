"""The posting page's script: TikTok's rules between the choices, another account, and a file on its way."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_frame import FAULTS, NARROW
from tests.browser.test_main_job import connect, sign_up, take_sample
from tests.publishing.films import film

pytestmark = [pytest.mark.browser, pytest.mark.enable_socket, pytest.mark.timeout(240)]

NOT_PRIVATE = "Branded content visibility cannot be set to private."
INCOMPLETE = "You need to indicate if your content promotes yourself, a third party, or both."
OWN_LABEL = "Your photo/video will be labeled as 'Promotional content'"
PAID_LABEL = "Your photo/video will be labeled as 'Paid partnership'"


@pytest.fixture(scope="module")
def signed_in(demo, chromium):
    """The cookies of a person with two connected accounts, and the workspace's slug."""
    context = chromium.new_context()
    page = context.new_page()
    slug = sign_up(page, demo, name="Rules", email="rules@example.com")
    connect(page, demo, slug)
    page.locator('form[action$="/connect/tiktok/"] button').first.click()
    page.get_by_text("Private account", exact=True).click()
    page.get_by_role("button", name="Allow").click()
    expect(page.locator("main")).to_contain_text("Private account")
    state = context.storage_state()
    context.close()
    return state, slug


@pytest.fixture
def composer(demo, signed_in, open_page):
    state, slug = signed_in
    page = open_page(storage_state=state)
    page.goto(f"{demo.url}/w/{slug}/posts/new/")
    return page


def publish_button(page):
    return page.locator("[data-publish]")


def test_a_file_beyond_the_workspaces_room_is_refused_before_it_is_sent(composer):
    composer.evaluate(
        "document.querySelector('[data-composer]').dataset.roomBytes = 100;"
        "document.querySelector('[data-composer]').dataset.noRoom = 'This workspace is full.'"
    )
    sent = []
    composer.on("request", lambda request: sent.append(request.method))

    composer.locator("#id_video").set_input_files(
        {"name": "clip.mp4", "mimeType": "video/mp4", "buffer": film()}
    )

    expect(composer.get_by_text("This workspace is full.")).to_be_visible()
    expect(composer.locator("#id_video")).to_have_value("")
    assert "POST" not in sent


def test_a_disclosure_must_be_completed_before_publishing(composer):
    expect(composer.get_by_text(OWN_LABEL)).to_be_hidden()
    expect(composer.get_by_label("Your brand")).to_be_hidden()

    composer.get_by_label("This video promotes something").check()

    expect(publish_button(composer)).to_be_disabled()
    expect(publish_button(composer)).to_have_attribute("title", INCOMPLETE)
    expect(composer.locator("#composer-publish").get_by_text(INCOMPLETE)).to_be_visible()
    composer.get_by_label("Your brand").check()
    expect(publish_button(composer)).to_be_enabled()
    expect(composer.get_by_text(OWN_LABEL)).to_be_visible()


def test_both_kinds_of_promotion_are_labeled_as_the_paid_one(composer):
    composer.get_by_label("This video promotes something").check()
    composer.get_by_label("Your brand").check()
    composer.get_by_label("Branded content").check()

    expect(composer.get_by_text(PAID_LABEL)).to_be_visible()
    expect(composer.get_by_text(OWN_LABEL)).to_be_hidden()
    expect(composer.locator(".consent:visible")).to_have_text(
        "By posting, you agree to TikTok's Branded Content Policy and Music Usage Confirmation."
    )


def test_branded_content_first_takes_only_me_away(composer):
    composer.get_by_label("This video promotes something").check()
    composer.get_by_label("Branded content").check()

    only_me = composer.locator('option[value="SELF_ONLY"]')
    expect(only_me).to_be_disabled()
    expect(only_me).to_have_attribute("title", NOT_PRIVATE)
    expect(composer.locator("#privacy-note")).to_be_visible()


def test_only_me_first_takes_branded_content_away(composer):
    composer.get_by_label("Who can see this video").select_option("SELF_ONLY")
    composer.get_by_label("This video promotes something").check()

    expect(composer.get_by_label("Branded content")).to_be_disabled()
    expect(composer.locator("[data-paid]")).to_have_attribute("title", NOT_PRIVATE)
    expect(composer.locator("[data-paid-note]")).to_be_visible()


def test_a_draft_hides_the_choices_that_it_does_not_carry(composer):
    composer.get_by_label("Send to the TikTok inbox").check()

    expect(composer.get_by_label("Who can see this video")).to_be_hidden()
    expect(composer.get_by_text("Not sent with a draft.")).to_be_visible()
    expect(publish_button(composer)).to_have_text(re.compile("Send draft"))


def test_choosing_another_account_keeps_the_file_and_the_caption(composer, tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(film())
    composer.set_input_files("input[type=file]", clip)
    composer.locator("#id_caption").fill("typed before")

    composer.get_by_role("link", name="Private account").click()

    expect(composer.locator(".creator-name")).to_have_text("Private account")
    expect(composer.get_by_label("Duet")).to_be_disabled()
    expect(composer.get_by_label("Who can see this video")).to_have_value("")
    expect(composer.locator("#id_caption")).to_have_value("typed before")
    assert composer.evaluate("document.querySelector('#id_video').files.length") == 1


def test_a_file_above_the_limit_is_refused_before_it_is_sent(composer, tmp_path):
    huge = tmp_path / "huge.mp4"
    with huge.open("wb") as file:
        file.truncate(5 * 10**9)  # sparse: takes no room

    composer.set_input_files("input[type=file]", huge)

    expect(composer.locator("[data-video-error]")).to_contain_text(
        "larger than 4.29 GB, the most that can be sent"
    )
    assert composer.evaluate("document.querySelector('#id_video').files.length") == 0


def test_a_sending_that_is_canceled_keeps_everything_and_can_be_sent_after_all(composer, film_70mb):
    line = composer.context.new_cdp_session(composer)

    def set_line(**changes):
        line.send(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 4_000_000}
            | changes,
        )

    composer.set_input_files("input[type=file]", film_70mb)
    composer.locator("#id_caption").fill("worth keeping")
    composer.get_by_label("Who can see this video").select_option("SELF_ONLY")
    set_line()
    publish_button(composer).click()
    expect(composer.locator("[data-upload-words]")).to_have_text(re.compile(r"[1-9]\d*\.\d of \d+\.\d MB"))

    composer.get_by_role("button", name="Cancel").click()

    expect(composer.locator("[data-upload]")).to_be_hidden()
    expect(composer.locator("#id_caption")).to_have_value("worth keeping")
    assert composer.evaluate("document.querySelector('#id_video').files.length") == 1
    set_line(uploadThroughput=-1)
    publish_button(composer).click()
    expect(composer).to_have_url(re.compile(r"/posts/[0-9a-f-]{36}/"), timeout=30_000)


def test_a_page_that_renews_itself_keeps_folds_and_focus_and_reads_the_news_out(demo, composer):
    demo.control("POST", "/faults", {"match": {"endpoint": "upload"}, "action": {"delay": 4.0}})
    take_sample(composer)
    composer.get_by_label("Who can see this video").select_option("SELF_ONLY")
    publish_button(composer).click()
    expect(composer).to_have_url(re.compile(r"/posts/[0-9a-f-]{36}/"))
    details = composer.locator("details[id^=ids-]")
    details.locator("summary").click()

    expect(composer.get_by_role("heading", name="Published on TikTok")).to_be_visible(timeout=60_000)

    expect(details).to_have_attribute("open", "")
    expect(details.locator("summary")).to_be_focused()
    expect(composer.get_by_role("status")).to_have_text("Published on TikTok")


def test_taking_the_sample_keeps_the_place_of_the_keyboard(composer):
    composer.get_by_role("button", name="Use our sample video").focus()
    composer.keyboard.press("Enter")

    expect(composer.get_by_text("Uploaded", exact=True)).to_be_visible()
    expect(composer.get_by_role("heading", name="Video")).to_be_focused()


def test_the_tabs_lead_on_with_the_chosen_account(composer):
    composer.get_by_role("link", name="Private account").click()
    expect(composer.locator(".creator-name")).to_have_text("Private account")

    composer.get_by_role("link", name="Photos", exact=True).click()

    expect(composer).to_have_url(re.compile(r"/posts/new/photos/\?connection="))
    expect(composer.locator(".creator-name")).to_have_text("Private account")


def test_leaving_with_something_entered_asks_first(composer):
    asked = []
    composer.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    composer.locator("#id_caption").press_sequentially("worth keeping")

    composer.get_by_role("link", name="Photos", exact=True).click()

    expect(composer.locator("#id_caption")).to_have_value("worth keeping")
    assert asked == ["beforeunload"]


def log_in(page) -> None:
    page.get_by_label("E-mail address").fill("rules@example.com")
    page.get_by_label("Password").fill("a long enough pass phrase")
    page.locator("main button[type=submit]").first.click()
    expect(page.locator("h1")).to_have_text("New post")


def test_a_post_entered_before_the_session_ended_is_published_after_a_log_in(composer):
    take_sample(composer)
    composer.locator("#id_caption").fill("outlives the session")
    composer.get_by_label("Who can see this video").select_option("SELF_ONLY")
    composer.context.clear_cookies()
    publish_button(composer).click()
    expect(composer.get_by_text("You were logged out.")).to_be_visible()
    expect(composer.locator("#id_caption")).to_have_value("outlives the session")

    with composer.context.expect_page() as opened:
        composer.locator("[data-log-in]").get_by_role("link", name="Log in").click()
    log_in(opened.value)
    publish_button(composer).click()

    expect(composer).to_have_url(re.compile(r"/posts/[0-9a-f-]{36}/"), timeout=30_000)
    expect(composer.locator("h1")).to_have_text("outlives the session")


def test_a_log_in_meanwhile_in_another_tab_is_not_noticed_when_publishing(demo, signed_in, open_page):
    state, slug = signed_in
    composer = open_page(expects="status of 403", storage_state=state)  # the old token is refused once
    address = f"{demo.url}/w/{slug}/posts/new/"
    composer.goto(address)
    take_sample(composer)
    composer.get_by_label("Who can see this video").select_option("SELF_ONLY")
    composer.context.clear_cookies()
    other = composer.context.new_page()
    other.goto(address)
    log_in(other)

    publish_button(composer).click()

    expect(composer).to_have_url(re.compile(r"/posts/[0-9a-f-]{36}/"), timeout=30_000)


def test_the_page_of_a_post_fits_a_narrow_screen(composer):
    take_sample(composer)
    composer.locator("#id_caption").fill("narrow " + "unbroken" * 20)
    composer.get_by_label("Who can see this video").select_option("SELF_ONLY")
    publish_button(composer).click()
    expect(composer.get_by_role("heading", name="Published on TikTok")).to_be_visible(timeout=60_000)

    composer.set_viewport_size(NARROW)

    assert [fault for fault in composer.evaluate(FAULTS) if "wide" in fault] == []
