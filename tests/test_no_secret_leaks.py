"""After runs with successes, refusals, crashes and an upload under way: no secret is to be found where none belongs.

Searched are a dump of the database, everything in Redis (task messages included), the logs of all processes at DEBUG,
every page of the admin, error pages with DEBUG off and on, exports of data and of the audit log, notices, e-mails to
others than the one who may know, the metrics, and what commands print.
"""

from __future__ import annotations

import io
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import requests
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib import admin
from django.core import mail, signing
from django.db import connection as database
from django.test import Client
from django.urls import NoReverseMatch, reverse

from accounts import exports
from accounts.models import AuditEvent, Membership, User
from connections.crypto import open_sealed
from connections.models import OAuthRequest, SocialConnection
from publishing import dispatch
from publishing.models import Delivery
from publishing.states import DeliveryState
from stack.leash import end, spawn
from stack.ports import hidden_port
from tests.accounts.conftest import PASSWORD
from tests.leaks import Secrets, dump_database, dump_redis, learn_settings, live_with_secrets
from tests.publishing.conftest import (  # noqa: F401  # fixtures
    connect,
    make_connection,
    make_delivery,
    make_video,
    sandbox,
    sandbox_process,
    tiktok,
)
from tests.publishing.processes import ROOT, beat, eventually, worker
from tests.sandbox.process import REDIRECT_URI

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack, pytest.mark.timeout(180)]
PUBLIC = {"privacy_level": "PUBLIC_TO_EVERYONE"}
METRICS_TOKEN = "a-token-for-the-monitor"


@pytest.fixture
def env(process_env, tiktok):  # noqa: F811
    """The environment of our processes, logging all they can."""
    return process_env | {
        "TIKTOK_CLIENT_KEY": django_settings.TIKTOK_CLIENT_KEY,
        "TIKTOK_CLIENT_SECRET": django_settings.TIKTOK_CLIENT_SECRET,
        "TIKTOK_API_URL": tiktok.url,
        "TIKTOK_AUTHORIZE_URL": f"{tiktok.url}/v2/auth/authorize/",
        "TIKTOK_REDIRECT_URI": REDIRECT_URI,
        "TIKTOK_SIGN_IN": "1",
        "BASE_URL": REDIRECT_URI.partition("/connections/")[0],
        "METRICS_TOKEN": METRICS_TOKEN,
        "LOG_LEVEL": "DEBUG",
    }


def _learn_all(secrets: Secrets) -> None:
    for row in SocialConnection.objects.exclude(access_token=""):
        secrets.learn("access token", open_sealed(row, "access_token"))
        secrets.learn("refresh token", open_sealed(row, "refresh_token"))
    for delivery in Delivery.objects.exclude(upload_url=""):
        query = parse_qs(urlsplit(open_sealed(delivery, "upload_url")).query)
        secrets.learn("upload token", query["upload_token"][0])


def _admin_pages(client: Client) -> Iterator[tuple[str, str]]:
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        urls = [reverse(f"{name}_changelist")]
        for pk in model._default_manager.values_list("pk", flat=True)[:20]:
            urls += [reverse(f"{name}_{page}", args=[pk]) for page in ("change", "history", "delete")]
        try:
            urls.append(reverse(f"{name}_add"))
        except NoReverseMatch:
            continue
        for url in urls:
            yield url, client.get(url, follow=True).content.decode()


def test_no_token_and_no_upload_url_is_to_be_found_anywhere(
    acme,
    alice,
    connect,  # noqa: F811
    make_delivery,  # noqa: F811
    make_video,  # noqa: F811
    tiktok,  # noqa: F811
    env,
    tmp_path,
    caplog,
):
    caplog.set_level("DEBUG")
    secrets = Secrets()
    learn_settings(secrets)
    tiktok.settings(rate_limits_on=False, access_seconds=600)
    good, private = connect(acme), connect(acme, "demo.private")
    dead = connect(acme, "demo.quiet")
    _learn_all(secrets)
    tiktok.control("POST", "/creators/demo.public/tokens/expire", {"purpose": "access"})
    tiktok.control("POST", "/creators/demo.quiet/tokens/kill")
    tiktok.fault({"endpoint": "video_init"}, {"drop": "after"})
    tiktok.fault({"endpoint": "upload"}, {"status": 502, "html": True})
    tiktok.fault({"endpoint": "upload", "creator": "demo.public"}, {"drop": "mid_body", "after_bytes": 10})
    tiktok.fault({"endpoint": "upload", "creator": "demo.private"}, {"delay": 90.0})
    make_delivery(acme, connection=good, options=PUBLIC)
    make_delivery(acme, connection=dead, options=PUBLIC)
    crashing = make_delivery(
        acme, connection=good, options={"privacy_level": "SELF_ONLY", "no_such_option": 1}
    )
    in_flight = make_delivery(acme, connection=private, options={"privacy_level": "SELF_ONLY"})
    with beat(env, tmp_path), worker(env, tmp_path) as running:
        eventually(
            lambda: (
                Delivery.objects.filter(state=DeliveryState.PUBLISHED).exists()
                and Delivery.objects.filter(state=DeliveryState.HELD).exists()
                and crashing.attempts.filter(outcome__startswith="unexpected").exists()
                and Delivery.objects.filter(pk=in_flight.pk).exclude(upload_url="").exists()
            ),
            what="a success, a hold, a crash and an upload under way",
        )
        _learn_all(secrets)
        running.kill()
    Delivery.objects.filter(wake_at__isnull=False).update(lease_until=None, rung_at=None)
    assert dispatch.dispatch() > 0  # task messages that nobody takes
    operator = User.objects.create_superuser("operator@example.com", "a long enough pass phrase")
    client = Client()
    client.force_login(operator)
    pages = dict(_admin_pages(client))

    logs = "\n".join(path.read_text() for path in tmp_path.glob("*.log")) + caplog.text
    dump, broker = dump_database("--inserts").decode(), dump_redis()
    assert secrets.count("upload token") >= 1
    assert secrets.count("access token") >= 4
    assert "Traceback" in logs
    assert str(in_flight.pk) in dump
    assert "delivery_id" in broker
    assert len(pages) > 2 * len(list(apps.get_app_config("publishing").get_models()))
    assert secrets.found_in(dump) == []
    assert secrets.found_in(broker) == []
    assert secrets.found_in(logs) == []
    assert {url: names for url, page in pages.items() if (names := secrets.found_in(page))} == {}
    sealed = SocialConnection.objects.exclude(access_token="").values_list("access_token", flat=True)
    assert not any(str(value)[20:50] in page for value in sealed for page in pages.values())


class Web:
    """A browser on a real web process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = requests.Session()
        self.http.trust_env = False

    def get(self, path: str, **query: str) -> requests.Response:
        """Open a page."""
        return self.http.get(self.url + path, params=query, allow_redirects=False, timeout=30)

    def post(self, path: str, **form: str) -> requests.Response:
        """Send a form."""
        form |= {"csrfmiddlewaretoken": self.http.cookies.get("csrftoken") or ""}
        return self.http.post(self.url + path, data=form, allow_redirects=False, timeout=30)

    def log_in(self, user: User) -> None:
        """Log in with the password."""
        self.get("/accounts/login/")
        assert self.post("/accounts/login/", login=user.email, password=PASSWORD).status_code == 302


@contextmanager
def _web(env: dict[str, str], folder: Path) -> Iterator[Web]:
    port = hidden_port()
    env = env | {"BIND": f"127.0.0.1:{port}"}
    command = [sys.executable, "-m", "gunicorn", "-c", "config/gunicorn.py", "config.wsgi"]
    with (folder / "web.log").open("ab") as output:
        process = spawn(command, env=env, cwd=ROOT, output=output)
    web = Web(f"http://127.0.0.1:{port}")

    def is_up() -> bool:
        try:
            return web.get("/healthz").ok
        except requests.ConnectionError:
            return False

    try:
        eventually(is_up, what="the web process")
        yield web
    finally:
        end(process)


@contextmanager
def _tokens_cannot_be_stored() -> Iterator[None]:
    """A fault of the database's that no code expects, just when a token pair is in memory."""
    with database.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE social_connections ADD CONSTRAINT broken CHECK (provider = 'none') NOT VALID"
        )
    try:
        yield
    finally:
        with database.cursor() as cursor:
            cursor.execute("ALTER TABLE social_connections DROP CONSTRAINT broken")


def _connect(web: Web, tiktok, secrets: Secrets) -> requests.Response:  # noqa: F811
    web.get("/w/acme/connections/")
    answer = web.post("/w/acme/connections/connect/tiktok/")
    query = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
    request = OAuthRequest.objects.order_by("-created_at")[0]
    secrets.learn("oauth state", query["state"])
    secrets.learn("pkce verifier", open_sealed(request, "code_verifier"))
    back = tiktok.consent(query, "demo.public")
    secrets.learn("oauth code", back["code"])
    return web.get("/connections/tiktok/callback/", **back)


def _sign_in(web: Web, tiktok, secrets: Secrets) -> requests.Response:  # noqa: F811
    web.get("/accounts/login/")
    query = dict(parse_qsl(urlsplit(web.post("/accounts/tiktok/login/").headers["Location"]).query))
    secrets.learn("sign-in state", query["state"])
    back = tiktok.consent(query, "demo.quiet")
    secrets.learn("oauth code", back["code"])
    web.get("/accounts/tiktok/callback/", **back)
    secrets.learn("session", web.http.cookies[django_settings.SESSION_COOKIE_NAME])
    return web.get("/accounts/tiktok/signup/")


def _fetch_what_is_not_wanted(web: Web, secrets: Secrets) -> int:
    """The address of a file whose post is not being fetched: signed by us, and so not to be told in a log.

    Returns the status. (The page itself tells the asker's own address with DEBUG on.)
    """
    token = signing.dumps([str(uuid.uuid4()), str(uuid.uuid4()), "moment"], salt="publishing.pull")
    secrets.learn("pull token", token)
    return web.get(f"/media/pull/{token}/file.mp4").status_code


def _exported(owner: Membership) -> Iterator[tuple[str, str]]:
    """What people take away: the archives of a person's and a workspace's data."""
    exports.request_person_export(user=owner.user)
    exports.request_workspace_export(actor=owner)
    exports.build_due()
    for export in (exports.newest_of_person(owner.user), exports.newest_of_workspace(owner)):
        assert export is not None
        path = Path(django_settings.MEDIA_ROOT, export.file_name)
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
            for name in archive.namelist():
                yield f"{export} {name}", archive.read(name).decode(errors="replace")


def _printed(env: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *words], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("debug", ["0", "1"])
def test_no_secret_of_a_person_or_a_connect_is_to_be_found_anywhere(
    debug,
    acme,
    alice,
    erin,
    vic,
    connect,  # noqa: F811
    tiktok,  # noqa: F811
    env,
    tmp_path,
    caplog,
    settings,
):
    caplog.set_level("DEBUG")
    settings.METRICS_TOKEN = METRICS_TOKEN
    env |= {"DEBUG": debug}
    secrets, pages = Secrets(), {}
    learn_settings(secrets)
    secrets.learn("metrics token", METRICS_TOKEN)
    browser = live_with_secrets(secrets, workspace=acme, owner=alice, settling=erin, forgetful=vic)
    known = connect(acme, "demo.private")
    carol = User.objects.create_user("carol@example.com", PASSWORD, name="Carol")
    Membership.objects.create(workspace=acme, user=carol, role="owner")
    with _web(env, tmp_path) as web:
        web.log_in(carol)
        secrets.learn("session", web.http.cookies[settings.SESSION_COOKIE_NAME])
        with _tokens_cannot_be_stored():
            pages["500 of a connect"] = _connect(web, tiktok, secrets)
            tiktok.control("POST", "/creators/demo.private/tokens/expire", {"purpose": "access"})
            pages["500 of a refresh"] = web.post(f"/w/acme/connections/{known.pk}/test/")
        assert {answer.status_code for answer in pages.values()} == {500}
        pages["done"] = _connect(web, tiktok, secrets)
        assert pages["done"].status_code == 302, pages["done"].text[:300]
        for path in (
            "/w/acme/connections/",
            "/w/acme/members/",
            "/w/acme/audit/",
            "/profile/",
            "/accounts/2fa/",
        ):
            pages[path] = web.get(path)
            assert pages[path].status_code in {200, 302}, path
        pages["400"] = web.get("/connections/tiktok/callback/", state="of-nobody", code="of-nothing")
        pages["403"] = requests.post(f"{web.url}/accounts/login/", data={"password": PASSWORD}, timeout=30)
        pages["404"] = web.get("/w/rival/members/")
        assert _fetch_what_is_not_wanted(web, secrets) == 404
        pages["audit.csv"] = web.post("/w/acme/audit/export/")
        assert pages["audit.csv"].text.count("\n") > 3
        monitor = {"Authorization": f"Bearer {METRICS_TOKEN}"}
        pages["metrics"] = requests.get(f"{web.url}/metrics", headers=monitor, timeout=30)
        assert pages["metrics"].status_code == 200
        visitor = Web(web.url)
        pages["sign-up"] = _sign_in(visitor, tiktok, secrets)
        assert pages["sign-up"].status_code == 200
        own = [one.http.cookies[settings.SESSION_COOKIE_NAME] for one in (web, visitor)]
    _learn_all(secrets)
    texts = {name: f"{answer.headers} {answer.text}" for name, answer in pages.items()}
    texts = {
        name: text.replace(own[0], "the reader's own").replace(own[1], "the visitor's own")
        for name, text in texts.items()
    }
    texts |= dict(_exported(Membership.objects.select_related("user", "workspace").get(user=carol)))
    operator = User.objects.create_superuser("operator@example.com", "a long enough pass phrase")
    browser.force_login(operator)
    texts |= dict(_admin_pages(browser))
    texts["logs"] = "\n".join(path.read_text() for path in tmp_path.glob("*.log"))
    # urllib3 tells what this test itself asks for, as the browser that it plays
    messages = [one for one in caplog.records if not one.name.startswith("urllib3")]
    texts["messages to logs in this process"] = "\n".join(map(caplog.handler.format, messages))
    texts["database"] = dump_database("--inserts").decode()
    texts["redis"] = dump_redis()
    for words in (["doctor"], ["check", "--deploy"], ["rotate_encryption_keys"]):
        texts[" ".join(words)] = _printed(env, *words)
    links = ("/invitation/", "/password/reset/key/")
    others = [one for one in mail.outbox if not any(link in one.body for link in links)]
    texts["e-mails"] = "\n".join(f"{one.to} {one.subject} {one.body}" for one in others)

    kinds = {"session": 5, "oauth code": 3, "pkce verifier": 2, "access token": 2, "recovery code": 10}
    assert {kind: secrets.count(kind) for kind in kinds} == kinds
    assert texts["logs"].count("Traceback") >= 2
    assert "violates check constraint" in texts["logs"]
    assert ("Traceback" in texts["500 of a connect"]) == (debug == "1")
    assert AuditEvent.objects.count() > 3
    assert others
    assert {place: found for place, text in texts.items() if (found := secrets.found_in(text))} == {}
