"""The world of the access table: built once for a module, and given back to each test as it was."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import responses
from django.conf import settings as configured
from django.db import transaction

from connections.providers import provider_for
from tests.access.world import World, build_world
from tests.connections.conftest import REVOKE_URL, TOKEN_URL, USER_URL, grant, user_info
from tests.publishing.pictures import picture
from tests.publishing.wire import creator_answer


@pytest.fixture(scope="module")
def built(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[World, Path]]:
    """The world and where its files are, in a transaction that ends with the module."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch, django_db_blocker.unblock(), transaction.atomic():
        patch.setattr(configured, "MEDIA_ROOT", str(folder))
        yield build_world(), folder
        transaction.set_rollback(True)


@pytest.fixture
def world(built: tuple[World, Path], db: None, settings: Any, tmp_path: Path) -> Iterator[World]:
    """The world as it was built, whatever other tests did to it: `db` undoes each test by itself."""
    world, folder = built
    shutil.copytree(folder, tmp_path / "media", copy_function=os.link)
    settings.MEDIA_ROOT = str(tmp_path / "media")
    settings.TIKTOK_SIGN_IN = False
    settings.METRICS_TOKEN = "the token of the metrics"
    settings.TIKTOK_PULL_URL_PREFIX = "https://testserver/media/pull/"
    provider_for.cache_clear()
    yield world
    provider_for.cache_clear()


@pytest.fixture(autouse=True)
def platform() -> Iterator[responses.RequestsMock]:
    """TikTok's wire, where all goes well."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as wire:
        wire.post(configured.TIKTOK_API_URL + "/v2/post/publish/creator_info/query/", json=creator_answer())
        wire.get("https://p16.example/avatar.jpeg", body=picture(), content_type="image/jpeg")
        wire.get(USER_URL, json=user_info())
        wire.get("https://p16.tiktokcdn.example/avatar.jpeg", body=picture(), content_type="image/jpeg")
        wire.post(TOKEN_URL, json=grant(scope=",".join(configured.TIKTOK_SCOPES)))
        wire.post(REVOKE_URL, json={})
        yield wire
