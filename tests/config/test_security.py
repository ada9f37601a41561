"""Headers, cookies, limits and redirects on every kind of page, with a server's settings."""

from __future__ import annotations

import re
from io import BytesIO

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image

from config import browser_rules, throttle
from tests.accounts.conftest import PASSWORD

pytestmark = pytest.mark.django_db

ELSEWHERE = [
    "https://elsewhere.example/",
    "//elsewhere.example/",
    "\\\\elsewhere.example",
    "/\\elsewhere.example",
    "///elsewhere.example",
    "http:///elsewhere.example",
    "https:elsewhere.example",
    "javascript:alert(1)",
    "\thttps://elsewhere.example",
    "https://testserver@elsewhere.example/",
    "https://testserver.elsewhere.example/",
]


@pytest.fixture
def on_a_server(settings):
    """https by a proxy, as the settings read it from BASE_URL and TRUST_PROXY_HEADERS (test_security_start)."""
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"


def log_in(client, **more):
    return client.post(
        reverse("account_login"), {"login": "alice@example.com", "password": PASSWORD, **more}, secure=True
    )


def policy(answer) -> dict[str, str]:
    pairs = (rule.split(" ", 1) for rule in answer["Content-Security-Policy"].split("; "))
    return dict(pairs)


PAGES = [
    "/",
    "/accounts/login/",
    "/accounts/signup/",
    "/profile/",
    "/w/acme/posts/",
    "/w/acme/connections/",
    "/accounts/2fa/",
    "/accounts/sessions/",
    "/w/acme/members/",
    "/admin/",
    "/nothing-here/",
    "/w/stranger/posts/",
    "/favicon.ico",
    "/accounts/tiktok/callback/",
    "/w/acme/audit/",
    "/w/acme/health/",
    "/healthz",
    "/webhooks/tiktok/",
]


@pytest.mark.parametrize("path", PAGES)
def test_every_kind_of_answer_carries_the_headers(on_a_server, alice, path):
    alice.is_staff = alice.is_superuser = True
    alice.save()
    browser = Client()
    log_in(browser)

    answer = browser.get(path, secure=True)

    rules = policy(answer)
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["object-src"] == "'none'"
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert answer["Strict-Transport-Security"] == "max-age=31536000"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in answer["Permissions-Policy"]


KEPT = {"/favicon.ico"}


@pytest.mark.parametrize("path", [path for path in PAGES if path not in KEPT])
def test_no_browser_keeps_a_page_for_whoever_comes_after_a_logout(on_a_server, alice, acme, path):
    alice.is_staff = alice.is_superuser = True
    alice.save()
    browser = Client()
    log_in(browser)

    answer = browser.get(path, secure=True)

    assert {"no-store", "private"} <= set(answer["Cache-Control"].split(", "))


def test_answer_in_plain_http_is_a_redirect_that_carries_the_policy(on_a_server, client):
    answer = client.get("/accounts/login/")

    assert answer.status_code == 301
    assert answer.url == "https://testserver/accounts/login/"
    assert policy(answer)["default-src"] == "'none'"


def test_icon_is_where_browsers_look_and_costs_no_query(on_a_server, client, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = client.get("/favicon.ico", secure=True)

    with Image.open(BytesIO(answer.content)) as icon:
        assert (icon.format, icon.size) == ("ICO", (48, 48))
    assert answer["Content-Type"] == "image/x-icon"
    assert answer["Cache-Control"] == "public, max-age=86400"
    assert not answer.cookies
    assert client.post("/favicon.ico", secure=True).status_code == 405


@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
def test_checks_from_inside_are_not_sent_to_https(on_a_server, client, path):
    assert client.get(path).status_code in {200, 404}


def test_error_page_of_a_crash_carries_the_policy(alice, monkeypatch):
    from accounts import views

    monkeypatch.setattr(views, "ProfileForm", None)
    browser = Client(raise_request_exception=False)
    browser.force_login(alice)

    answer = browser.get("/profile/")

    assert answer.status_code == 500
    assert policy(answer)["script-src"] == "'self'"


def test_cookies_are_for_https_this_host_and_no_script(on_a_server, alice):
    browser = Client()
    browser.get("/accounts/login/", secure=True)

    answer = log_in(browser)

    cookies = {**browser.cookies, **answer.cookies}
    assert {"__Host-sessionid", "__Host-csrftoken"} <= set(cookies)
    for cookie in cookies.values():
        assert cookie["secure"], cookie.key
        assert cookie["httponly"], cookie.key
        assert cookie["samesite"] == "Lax", cookie.key
        assert cookie["path"] == "/", cookie.key
        assert cookie["domain"] == "", cookie.key


def test_policy_lets_the_connect_form_go_to_the_platform_and_nowhere_else(client, settings):
    settings.TIKTOK_AUTHORIZE_URL = "http://127.0.0.1:8787/v2/auth/authorize/"
    settings.TIKTOK_REDIRECT_URI = "http://127.0.0.1:8000/connections/tiktok/callback/"
    answer = Client().get("/accounts/login/")

    assert policy(answer)["form-action"] == "'self' http://127.0.0.1:8787 http://127.0.0.1:8000"


def test_policy_takes_media_from_here_and_from_named_origins_only():
    plain = browser_rules.content_security_policy()
    named = browser_rules.content_security_policy(media_origins=["https://media.example/x", "javascript:1"])

    assert "; img-src 'self' blob:; media-src 'self' blob:;" in plain
    assert (
        "; img-src 'self' blob: https://media.example; media-src 'self' blob: https://media.example;" in named
    )


@pytest.mark.parametrize("target", ELSEWHERE)
def test_login_leads_to_no_other_site(alice, target):
    answer = log_in(Client(), next=target)

    assert answer.url == reverse("home")


@pytest.mark.parametrize("target", ELSEWHERE)
def test_already_logged_in_login_page_leads_to_no_other_site(alice, client, target):
    client.force_login(alice)

    answer = client.get(reverse("account_login"), {"next": target}, secure=True)

    assert answer.url == reverse("home")


@pytest.mark.parametrize("target", ELSEWHERE)
def test_logout_and_reauthentication_lead_to_no_other_site(alice, target):
    browser = Client()
    log_in(browser)

    again = browser.post(
        reverse("account_reauthenticate"), {"password": PASSWORD, "next": target}, secure=True
    )
    out = browser.post(reverse("account_logout"), {"next": target}, secure=True)

    assert "elsewhere" not in again.url
    assert "javascript" not in again.url
    assert out.url == "/"


@pytest.mark.parametrize("target", ELSEWHERE)
def test_connect_leads_back_to_no_other_site(acme, alice, client, target):
    from connections.models import OAuthRequest

    client.force_login(alice)

    client.post("/w/acme/connections/connect/tiktok/", {"next": target}, secure=True)

    assert OAuthRequest.objects.get().next_url == ""


def test_form_larger_than_any_of_ours_is_refused_unread(client, settings):
    body = b"login=" + b"a" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE

    answer = client.post(
        "/accounts/login/", body, content_type="application/x-www-form-urlencoded", secure=True
    )

    assert answer.status_code == 400


def test_form_of_too_many_fields_is_refused(client):
    answer = client.post("/accounts/login/", {f"field{number}": "" for number in range(1001)})

    assert answer.status_code == 400


def test_file_sent_to_a_page_that_takes_none_is_refused(client):
    answer = client.post("/accounts/login/", {"login": "a", "film": SimpleUploadedFile("a.mp4", b"0" * 1000)})

    assert answer.status_code == 400


# --- How often -------------------------------------------------------------------------------------------------------


def _is_held_up(answer) -> bool:
    return answer.status_code == 429 or "Too many" in answer.content.decode()


@pytest.mark.parametrize(
    ("path", "data", "limit"),
    [
        ("/accounts/login/", lambda n: {"login": f"n{n}@example.com", "password": "x"}, 10),
        ("/accounts/signup/", lambda n: {"name": "", "email": "", "password1": ""}, 20),
        ("/accounts/password/reset/", lambda n: {"email": f"n{n}@example.com"}, 20),
        ("/accounts/password/reset/key/x-y/", lambda n: {"password1": "x"}, 20),
        ("/accounts/2fa/webauthn/login/", lambda n: {"credential": "{}"}, 10),
    ],
)
def test_credential_page_can_be_sent_only_so_often_from_one_address(path, data, limit):
    browser = Client()

    answers = [browser.post(path, data(number)) for number in range(limit + 1)]

    assert _is_held_up(answers[-1])
    assert not any(map(_is_held_up, answers[:limit]))


def test_guessing_one_password_ends_after_five(alice):
    browser = Client()
    for _ in range(5):
        browser.post("/accounts/login/", {"login": alice.email, "password": "wrong"})

    answer = browser.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})

    assert "Too many failed log-ins" in answer.content.decode()
    assert browser.get("/profile/").status_code == 302


def test_guessing_ends_whatever_port_the_host_header_names(alice):
    for port in range(8001, 8006):
        form = {"login": alice.email.upper(), "password": "wrong"}
        Client(headers={"host": f"testserver:{port}"}).post("/accounts/login/", form)

    answer = Client().post("/accounts/login/", {"login": alice.email, "password": PASSWORD})

    assert "Too many failed log-ins" in answer.content.decode()


@pytest.mark.parametrize(
    ("path", "form"),
    [
        pytest.param("/accounts/password/reset/", {"email": "alice@example.com"}, id="reset"),
        pytest.param("/accounts/password/reset/", {"email": "nobody@example.com"}, id="reset of nobody"),
        pytest.param(
            "/accounts/signup/",
            {"email": "new@example.com", "password1": PASSWORD, "name": "N"},
            id="confirm",
        ),
        pytest.param(
            "/accounts/signup/",
            {"email": "alice@example.com", "password1": PASSWORD, "name": "N"},
            id="known",
        ),
    ],
)
@pytest.mark.parametrize("host", ["testserver:8001", "localhost:8001"])
def test_links_in_emails_lead_to_the_site_whatever_the_host_header_says(
    alice, mailoutbox, settings, host, path, form
):
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.BASE_URL = "https://broadside.example.com"

    Client(headers={"host": host}).post(path, form)

    links = re.findall(r"https?://\S+", str(mailoutbox[0].body))
    assert links
    assert all(link.startswith("https://broadside.example.com/accounts/") for link in links)


@pytest.mark.parametrize(
    ("path", "data", "limit"),
    [
        ("/accounts/reauthenticate/", {"password": "wrong"}, 5),
        ("/accounts/password/change/", {"oldpassword": "wrong"}, 5),
        ("/accounts/email/", {"email": "new@example.com", "action_add": ""}, 10),
    ],
)
def test_credential_page_inside_can_be_sent_only_so_often_by_one_person(alice, path, data, limit):
    browser = Client()
    log_in(browser)
    browser.post(reverse("account_reauthenticate"), {"password": PASSWORD}, secure=True)
    cache.clear()

    answers = [browser.post(path, data) for _ in range(limit + 1)]

    assert _is_held_up(answers[-1])
    assert not any(map(_is_held_up, answers[:limit]))


def test_connecting_is_limited_for_each_person(acme, alice, erin, client, settings):
    settings.USER_RATE_LIMITS = {"connect": 2, "post": 0}
    path = "/w/acme/connections/connect/tiktok/"
    client.force_login(alice)
    other = Client()
    other.force_login(erin)

    statuses = [client.post(path).status_code for _ in range(3)]
    refused = client.post(path)

    assert statuses == [302, 302, 429]
    assert 0 < int(refused["Retry-After"]) <= 3600
    assert "Too many tries" in refused.content.decode()
    assert "minute" in refused.content.decode()
    assert other.post(path).status_code == 403  # an editor may not connect, and spends nobody's limit


def test_posting_form_is_limited_by_sends_and_not_by_looks(acme, alice, client, settings):
    settings.USER_RATE_LIMITS = {"connect": 0, "post": 1}
    client.force_login(alice)

    sent = [client.post("/w/acme/posts/new/").status_code for _ in range(3)]

    assert sent == [
        422,
        422,
        429,
    ]  # between once and twice the limit the form itself refuses, and keeps what is in it
    assert client.get("/w/acme/posts/new/").status_code == 200


def test_limit_begins_anew_with_the_next_hour(alice, settings, monkeypatch):
    settings.USER_RATE_LIMITS = {"connect": 1, "post": 0}
    moment = 1_800_000_000.0
    monkeypatch.setattr(throttle.time, "time", lambda: moment)
    assert throttle.hit("connect", alice.pk) == 0
    assert throttle.hit("connect", alice.pk) == 3600

    moment += 3600
    assert throttle.hit("connect", alice.pk) == 0


# --- Redis is away ---------------------------------------------------------------------------------------------------


@pytest.fixture
def no_redis(settings):
    """A cache whose Redis does not answer: a port that nobody listens on."""
    from stack.ports import hidden_port

    away = {**settings.CACHES["default"], "LOCATION": f"redis://127.0.0.1:{hidden_port()}/0"}
    settings.CACHES = {"default": away}


def test_login_works_without_redis(no_redis, alice):
    browser = Client()

    answer = log_in(browser)

    assert answer.url == reverse("home")
    assert browser.get("/profile/").status_code == 200


def test_guessing_ends_without_redis_too(no_redis, alice):
    browser = Client()
    for _ in range(5):
        browser.post("/accounts/login/", {"login": alice.email, "password": "wrong"})

    answer = browser.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})

    assert "Too many failed log-ins" in answer.content.decode()


def test_cache_turns_back_to_redis_when_it_answers(settings):
    from config.cache import FallbackCache

    one = FallbackCache(settings.REDIS_URL, {"OPTIONS": {}})
    one._away_until = float("inf")
    one.set("a", 1)
    assert FallbackCache(settings.REDIS_URL, {"OPTIONS": {}}).get("a") is None

    one._away_until = 0
    one.set("a", 2)
    assert FallbackCache(settings.REDIS_URL, {"OPTIONS": {}}).get("a") == 2
