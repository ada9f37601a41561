"""A walk over every page with the real policy in force: nothing on any of them is held back by it.

The browser's own word counts: `securitypolicyviolation` on each page, and its console.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Page, expect

from stack.options import BASE_DIR
from tests.browser.test_main_job import connect, publish_button, sign_up, take_sample
from tests.stack.conftest import bare_env, start_demo  # noqa: F401  # fixture

pytestmark = [pytest.mark.browser, pytest.mark.enable_socket, pytest.mark.timeout(420)]

LISTEN = """document.addEventListener("securitypolicyviolation", (event) =>
  window.tellViolation(`${location.pathname}: ${event.violatedDirective} held back ${event.blockedURI} ` +
    `(${event.sourceFile}:${event.lineNumber} ${event.sample})`));"""
PUBLIC = ("/", "/accounts/login/", "/accounts/password/reset/", "/accounts/inactive/")
INNER = (
    "/posts/",
    "/posts/new/",
    "/posts/new/photos/",
    "/posts/…/",
    "/connections/",
    "/notices/",
    "/health/",
    "/members/",
    "/settings/",
    "/settings/transfer/",
    "/settings/delete/",
    "/settings/data/",
    "/audit/",
    "/profile/",
    "/profile/data/",
    "/workspaces/",
)
ERRORS = {"/nothing-here/": 404, "/invitation/": 404, "/accounts/password/reset/key/x-y/": 200}
PASSWORD = "demo-broadside"
INSIDE = re.compile(r"/w/|/workspaces/")


@pytest.fixture
def listen(open_page):
    """Return an opener of pages and the list of what their policy held back."""
    found: list[str] = []

    def open_listening(**options) -> Page:
        page = open_page(**options)
        page.expose_function("tellViolation", lambda line: found.append(line))
        page.add_init_script(LISTEN)
        return page

    return open_listening, found


def log_in(page: Page, url: str, email: str = "demo@broadside.local") -> None:
    page.goto(f"{url}/accounts/login/")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main button[type=submit]").click()


def confirm_password(page: Page) -> None:
    if "/reauthenticate/" in page.url:
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Go on").click()


def make_operator(demo, email: str) -> None:
    env = bare_env(DATA_DIR=str(demo.data_dir), DJANGO_SUPERUSER_PASSWORD=PASSWORD)
    del env["ENV_FILE"]  # so that manage.py finds the running demo's settings
    argv = [sys.executable, "manage.py", "createsuperuser", "--no-input", "--email", email]
    subprocess.run(argv, cwd=BASE_DIR, env=env, check=True, capture_output=True)


def walk(page: Page, start: str, *, within: str, skip: str = r"$^") -> set[str]:
    """Visit what is linked from `start` below `within`, one page of each kind; return the kinds seen."""
    waiting: list[str] = [start]
    seen: set[str] = set()
    while waiting and len(seen) < 120:
        url = waiting.pop(0)
        kind = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\b\d+\b", "…", urlsplit(url).path)
        if kind in seen or re.search(skip, url):
            continue
        seen.add(kind)
        answer = page.goto(url)
        assert answer is not None, url
        assert answer.ok, f"{answer.status} {url}"
        links = page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)")
        waiting += [link.split("#")[0] for link in links if link.startswith(within)]
    return seen


def test_policy_holds_back_what_is_smuggled_in(demo, chromium):
    page = chromium.new_page()
    found: list[str] = []
    page.expose_function("tellViolation", lambda line: found.append(line))
    page.add_init_script(LISTEN)
    page.goto(f"{demo.url}/accounts/login/")

    page.evaluate(
        """() => {
          document.body.insertAdjacentHTML("beforeend", '<img src="/none.png" onerror="window.bitten = 1">');
          const script = document.createElement("script");
          script.textContent = "window.bitten = 2";
          document.body.append(script);
          const far = document.createElement("img");
          far.src = "https://elsewhere.example/a.png";
          document.body.append(far);
        }"""
    )

    page.wait_for_function("() => document.images.length >= 2")
    assert page.evaluate("window.bitten") is None
    assert any("script-src" in line for line in found)
    assert any("img-src" in line for line in found)
    page.close()


def test_no_page_of_the_product_breaks_the_policy(demo, listen, film_70mb):
    open_listening, found = listen
    page = open_listening()
    for path in PUBLIC:
        page.goto(demo.url + path)
    slug = sign_up(page, demo, name="Policy", email="policy@example.com")
    connect(page, demo, slug)

    page.goto(f"{demo.url}/w/{slug}/posts/new/")
    page.locator("input[type=file][name=video]").set_input_files(film_70mb)
    page.wait_for_function("() => document.querySelector('[data-local-preview] video').readyState > 0")
    page.goto(f"{demo.url}/w/{slug}/posts/new/")
    take_sample(page)
    page.wait_for_function("() => document.querySelector('#composer video[src]').readyState > 0")
    page.get_by_label("Who can see this video").select_option(label="Everyone")
    publish_button(page).click()
    expect(page.locator(".badge", has_text="Published")).to_be_visible(timeout=40_000)
    page.goto(f"{demo.url}/w/{slug}/members/")
    page.get_by_label("E-mail address").fill("guest@example.com")
    page.get_by_role("button", name="Send invitation").click()
    expect(page.locator("main")).to_contain_text("Confirm your own e-mail address first")
    for path in ("email/", "password/change/", "sessions/", "2fa/", "2fa/totp/activate/", "reauthenticate/"):
        page.goto(f"{demo.url}/accounts/{path}")
    seen = walk(
        page,
        f"{demo.url}/profile/",
        within=demo.url,
        skip=r"/admin/|/accounts/|/media/|\.\w{3}$|/file/|/export",
    )

    assert found == []
    kinds = " ".join(seen)
    for part in INNER:
        assert f"/w/{slug}{part}" in seen or part in seen, f"{part} is in none of {kinds}"


def test_no_error_page_breaks_the_policy(demo, chromium):
    page = chromium.new_page()  # its console tells of the status, which is no mistake here
    found: list[str] = []
    page.expose_function("tellViolation", lambda line: found.append(line))
    page.add_init_script(LISTEN)
    for path, status in ERRORS.items():
        answer = page.goto(demo.url + path)
        assert answer is not None
        assert answer.status == status, path
    page.close()

    assert found == []


def test_admin_works_under_the_policy(demo, listen):
    open_listening, found = listen
    make_operator(demo, "operator@example.com")
    page = open_listening()
    page.goto(f"{demo.url}/admin/")
    log_in(page, demo.url, "operator@example.com")
    page.wait_for_url(lambda url: "/accounts/login" not in url)

    seen = walk(page, f"{demo.url}/admin/", within=f"{demo.url}/admin/", skip=r"\?|/logout/|/jsi18n/")

    assert len(seen) > 15
    page.goto(f"{demo.url}/admin/accounts/workspace/")
    page.locator("#result_list tbody th a").first.click()
    page.locator(".add-row a").first.click()  # an inline row, made by script
    page.locator(".select2-selection").last.click()  # and its list, loaded by script
    expect(page.locator(".select2-results")).to_be_visible()
    assert found == []


def test_second_step_and_passkey_work_under_the_policy(demo, listen):
    open_listening, found = listen
    url = demo.url.replace("127.0.0.1", "localhost")  # browsers take no passkey for a bare address
    make_operator(demo, "keys@example.com")
    page = open_listening()
    page.goto(f"{url}/accounts/login/")
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    devices.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    log_in(page, url, "keys@example.com")
    page.wait_for_url(INSIDE)

    page.goto(f"{url}/accounts/2fa/webauthn/add/")
    confirm_password(page)
    page.get_by_label("Name").fill("Laptop")
    page.get_by_label("Log in with it alone").check()
    page.get_by_role("button", name="Add").click()
    expect(page.locator("main")).to_contain_text("Recovery codes")
    page.goto(f"{url}/accounts/2fa/webauthn/")
    expect(page.locator("main")).to_contain_text("Laptop")
    expect(page.locator("main")).to_contain_text("Logs in alone")

    page.goto(f"{url}/accounts/2fa/totp/activate/")
    expect(page.locator(".qr-code svg path")).to_be_visible()
    secret = page.locator(".copy code").inner_text()
    page.get_by_role("textbox", name="Code").fill(
        format_hotp_value(hotp_value(secret, int(time.time() // 30)))
    )
    page.get_by_role("button", name="Turn on").click()
    page.goto(f"{url}/accounts/2fa/")
    expect(page.locator("main")).to_contain_text("On")

    page.goto(f"{url}/accounts/sessions/")
    expect(page.locator("main")).to_contain_text("Chrome on Linux")

    page.goto(f"{url}/accounts/logout/")
    page.locator("main").get_by_role("button", name="Log out").click()
    page.goto(f"{url}/accounts/login/")
    page.get_by_role("button", name="Use a passkey instead").click()
    page.wait_for_url(INSIDE)

    page.goto(f"{url}/accounts/logout/")
    page.locator("main").get_by_role("button", name="Log out").click()
    log_in(page, url, "keys@example.com")
    page.get_by_role("button", name="Use a passkey or security key").click()
    page.wait_for_url(INSIDE)

    for name in ("totp/deactivate/", "webauthn/"):
        page.goto(f"{url}/accounts/2fa/{name}")
        confirm_or_key(page)
        page.get_by_role("button", name="Turn off").click() if name.startswith("totp") else remove_key(page)
    assert found == []


def test_signing_in_with_tiktok_works_under_the_policy(listen, start_demo, tmp_path):  # noqa: F811
    mails = tmp_path / "mails"
    demo = start_demo(TIKTOK_SIGN_IN="1", EMAIL_URL=f"filemail:///{mails}").wait_ready()
    open_listening, found = listen
    page = open_listening()

    def by_tiktok() -> None:
        page.goto(f"{demo.url}/accounts/login/")
        page.get_by_role("button", name="Continue with TikTok").click()
        page.wait_for_url(re.compile(r"/v2/auth/authorize/"))
        page.get_by_text("Public creator", exact=True).click()
        page.get_by_role("button", name="Allow").click()

    by_tiktok()
    page.wait_for_url(re.compile(r"/accounts/tiktok/signup/"))
    page.get_by_label("E-mail address").fill("creator@example.com")
    page.get_by_role("button", name="Create account").click()
    expect(page.locator("main")).to_contain_text("Check your e-mail")
    text = "".join(path.read_text() for path in mails.iterdir())
    page.goto(re.findall(r"http\S+/confirm-email/\S+", text)[0])
    page.get_by_role("button", name="Yes, confirm it").click()
    by_tiktok()
    page.wait_for_url(INSIDE)

    page.goto(f"{demo.url}/accounts/sign-in-methods/")
    expect(page.locator("main")).to_contain_text("Public creator")
    page.get_by_role("button", name="Unlink Public creator").click()
    expect(page.locator("main")).to_contain_text("Set a password first")
    assert found == []


def confirm_or_key(page: Page) -> None:
    if "/webauthn/reauthenticate/" in page.url:
        page.get_by_role("button", name="Use a passkey or security key").click()
        page.wait_for_url(lambda url: "reauthenticate" not in url)
    confirm_password(page)


def remove_key(page: Page) -> None:
    page.get_by_role("link", name="Remove").click()
    confirm_or_key(page)
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("main")).to_contain_text("No passkeys yet")
