"""Every door that takes a `next` leads to a page of ours, whatever stands in it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
import responses
from allauth.account.models import EmailAddress
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from allauth.socialaccount.models import SocialAccount
from django.core import mail
from django.test import Client, RequestFactory
from django.urls import reverse

from config.redirects import LONGEST, is_ours
from connections.models import OAuthRequest
from connections.providers import provider_for
from stack.options import BASE_DIR
from tests.accounts.conftest import PASSWORD
from tests.connections.conftest import TOKEN_URL, USER_URL, enveloped, grant

pytestmark = pytest.mark.django_db

SECRET = "JBSWY3DPEHPK3PXP"
NASTY = [
    "https://elsewhere.example/",
    "http://elsewhere.example/",
    "//elsewhere.example/",
    "///elsewhere.example",
    "////elsewhere.example",
    "/\\elsewhere.example",
    "\\\\elsewhere.example",
    "/\t/elsewhere.example",
    "\t//elsewhere.example",
    " //elsewhere.example",
    "\x00//elsewhere.example",
    "/\n/elsewhere.example",
    "http:///elsewhere.example",
    "https:elsewhere.example",
    "https:/elsewhere.example",
    "HTTPS://ELSEWHERE.EXAMPLE",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "ftp://testserver/",
    "http://testserver/profile/",
    "https://testserver@elsewhere.example/",
    "https://testserver:x@elsewhere.example/",
    "https://testserver.elsewhere.example/",
    "https://elsewhere.example\\@testserver/",
    "https://elsewhere.example#@testserver/",
    "https://elsewhere.example?@testserver/",
    "https://testserver:8443/",
    "https://127.0.0.1/",
    "https://localhost/",
    "https://[::1]/",
    "https://elsewhere。example/",
    "/" + "a" * LONGEST,
]


@pytest.fixture(autouse=True)
def doors(alice, settings) -> Iterator[None]:
    """Alice may come in by every way there is."""
    settings.TIKTOK_SIGN_IN = True
    settings.TIKTOK_CLIENT_KEY, settings.TIKTOK_CLIENT_SECRET = "the-key", "the-secret"
    settings.ACCOUNT_RATE_LIMITS = {}
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=True)
    provider_for.cache_clear()
    yield
    provider_for.cache_clear()


def post(browser: Client, path: str, **data: str) -> Any:
    return browser.post(path, data, secure=True)


def log_in(browser: Client, **more: str) -> Any:
    return post(browser, reverse("account_login"), login="alice@example.com", password=PASSWORD, **more)


def inside() -> Client:
    browser = Client()
    log_in(browser)
    post(browser, reverse("account_reauthenticate"), password=PASSWORD)
    return browser


def code() -> str:
    return format_hotp_value(hotp_value(SECRET, int(time.time() // 30)))


# Each takes the user and the target, and returns the answer that sends the browser on.


def by_log_in(user, target):
    return log_in(Client(), next=target)


def by_log_in_with_a_query(user, target):
    path = f"{reverse('account_login')}?{RequestFactory().get('/', {'next': target}).META['QUERY_STRING']}"
    return post(Client(), path, login=user.email, password=PASSWORD)


def by_log_in_page_when_inside(user, target):
    return inside().get(reverse("account_login"), {"next": target}, secure=True)


def by_sign_up(user, target):
    form = {"name": "N", "email": "n@example.com", "password1": "a long new phrase 7", "next": target}
    return post(Client(), reverse("account_signup"), **form)


def by_sign_up_page_when_inside(user, target):
    return inside().get(reverse("account_signup"), {"next": target}, secure=True)


def by_second_step(user, target):
    TOTP.activate(user, SECRET)
    browser = Client()
    log_in(browser, next=target)
    return post(browser, reverse("mfa_authenticate"), code=code())


def by_tiktok(user, target):
    SocialAccount.objects.create(user=user, provider="tiktok", uid="-000creator")
    browser = Client()
    left = post(browser, reverse("tiktok_login"), next=target)
    state = dict(parse_qsl(urlsplit(left.url).query))["state"]
    with responses.RequestsMock() as wire:
        wire.post(TOKEN_URL, json=grant(scope="user.info.basic"))
        wire.get(USER_URL, json=enveloped({"user": {"open_id": "-000creator", "display_name": "N"}}))
        return browser.get(reverse("tiktok_callback"), {"code": "c", "state": state}, secure=True)


def by_log_out(user, target):
    return post(inside(), reverse("account_logout"), next=target)


def by_password_asked_again(user, target):
    return post(inside(), reverse("account_reauthenticate"), password=PASSWORD, next=target)


def by_code_asked_again(user, target):
    browser = inside()
    TOTP.activate(user, SECRET)
    return post(browser, reverse("mfa_reauthenticate"), code=code(), next=target)


def by_new_password(user, target):
    form = {"oldpassword": PASSWORD, "password1": "a long new phrase 7", "password2": "a long new phrase 7"}
    return post(inside(), reverse("account_change_password"), **form, next=target)


def by_first_password(user, target):
    browser = inside()
    user.set_unusable_password()
    user.save()
    browser.force_login(user)
    form = {"password1": "a long new phrase 7", "password2": "a long new phrase 7"}
    return post(browser, reverse("account_set_password"), **form, next=target)


def by_recovery_codes(user, target):
    browser = inside()
    TOTP.activate(user, SECRET)
    RecoveryCodes.activate(user)
    return post(browser, reverse("mfa_generate_recovery_codes"), next=target)


def by_confirmed_address(user, target):
    browser = inside()
    post(browser, reverse("account_email"), email="new@example.com", action_add="", next=target)
    link = urlsplit(re.findall(r"http\S+", str(mail.outbox[-1].body))[0]).path
    return post(browser, link, next=target)


def by_reset_password(user, target):
    return post(Client(), reverse("account_reset_password"), email=user.email, next=target)


def by_admin(user, target):
    user.is_staff = user.is_superuser = True
    user.save()
    return inside().get("/admin/login/", {"next": target}, secure=True)


def by_admin_log_in(user, target):
    user.is_staff = user.is_superuser = True
    user.save()
    browser = Client()
    sent = browser.get("/admin/login/", {"next": target}, secure=True)
    asked = dict(parse_qsl(urlsplit(sent.url).query))["next"]
    answer = log_in(browser, next=asked)
    return browser.get(answer.url, secure=True) if answer.url.startswith("/admin/") else answer


DOORS: list[Callable[[Any, str], Any]] = [
    by_log_in,
    by_log_in_with_a_query,
    by_log_in_page_when_inside,
    by_sign_up,
    by_sign_up_page_when_inside,
    by_second_step,
    by_tiktok,
    by_log_out,
    by_password_asked_again,
    by_code_asked_again,
    by_new_password,
    by_first_password,
    by_recovery_codes,
    by_confirmed_address,
    by_reset_password,
    by_admin,
    by_admin_log_in,
]
UNMOVED = {by_recovery_codes, by_admin}
"""Those with one place to go to, whatever `next` says."""


def leads_here(location: str) -> bool:
    """As browsers read it: they take a backslash for a slash, and drop tabs and line ends."""
    read = re.sub(r"[\t\r\n]", "", location).strip("\x00 ").replace("\\", "/")
    parts = urlsplit(urljoin("https://testserver/here", read))
    return (parts.scheme, parts.netloc) == ("https", "testserver") and not read.startswith("//")


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
@pytest.mark.parametrize("target", ["/\\elsewhere.example", "https://localhost/"])
def test_door_leads_to_no_other_site(alice, door, target):
    answer = door(alice, target)

    assert answer.status_code == 302
    assert leads_here(answer.url), answer.url
    assert answer.url != target


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_door_still_leads_to_a_page_of_ours(alice, door):
    answer = door(alice, "/workspaces/?a=b")

    assert leads_here(answer.url)
    assert (answer.url == "/workspaces/?a=b") is (door not in UNMOVED)


@pytest.mark.parametrize("target", NASTY)
def test_log_in_refuses_every_form_of_another_site(alice, target):
    assert by_log_in(alice, target).url == reverse("home")


@pytest.mark.parametrize("target", NASTY)
def test_connect_refuses_every_form_of_another_site(alice, target):
    browser = inside()

    post(browser, "/w/acme/connections/connect/tiktok/", next=target)

    assert OAuthRequest.objects.get().next_url == ""


@pytest.mark.parametrize("target", NASTY)
def test_no_nasty_form_is_ours(target):
    assert not is_ours(RequestFactory().get("/", secure=True), target)


@pytest.mark.parametrize(
    "target", ["/", "/w/acme/posts/?state=failed#x", "https://testserver/profile/", "?page=2"]
)
def test_address_on_the_host_that_was_asked_is_ours(target):
    assert is_ours(RequestFactory().get("/", secure=True), target)


@pytest.mark.parametrize(
    "path", ["//elsewhere.example/profile", "/\\elsewhere.example/profile", "///profile"]
)
def test_path_that_looks_like_another_site_is_not_redirected_to(client, path):
    answer = client.get("/", PATH_INFO=path, secure=True)

    assert answer.status_code == 404 or leads_here(answer.url)


def test_every_next_that_our_code_reads_is_judged():
    """Whoever reads `next` by hand has to ask is_ours; allauth asks the adapter, which does."""
    reads = re.compile(r"""\b(GET|POST)(\.get\(|\[)["']next["']""")
    found = [
        str(path.relative_to(BASE_DIR))
        for app in ("accounts", "config", "connections", "publishing")
        for path in (BASE_DIR / app).rglob("*.py")
        if reads.search(path.read_text())
    ]

    assert found == ["connections/views.py"]
