"""The session's servers, a clean Redis for each test, and the cast: acme (alice, erin, vic) and rival (mallory)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytest
import redis

from tests import embedded

if TYPE_CHECKING:
    from accounts.models import Role, User, Workspace

DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup", "live_server"}


def _needs_servers(item: pytest.Item) -> bool:
    return bool(item.get_closest_marker("django_db")) or bool(
        DATABASE_FIXTURES & set(getattr(item, "fixturenames", ()))
    )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the servers if a collected test needs them; the sandbox's own tests do not."""
    if (
        embedded.services
        and not session.config.option.collectonly
        and any(map(_needs_servers, session.items))
    ):
        embedded.services.start()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Let each of the processes that share the tests out among them have servers of its own."""
    os.environ.pop(embedded.MARK, None)


def pytest_unconfigure() -> None:
    """Leave nothing running and nothing on disk, however the session ended."""
    if embedded.services:
        embedded.services.stop()


@pytest.fixture(scope="session")
def servers() -> embedded.Services:
    """The running Postgres and Redis, for a test that needs them without Django's database."""
    assert embedded.services
    embedded.services.start()
    return embedded.services


@pytest.fixture(scope="session", autouse=True)
def _looking_from_outside() -> Iterator[None]:
    """Let tests and their threads see every workspace's rows; requests and tasks begin without a scope, as always."""
    from celery import Task

    from accounts import scopes
    from accounts.scopes import NOTHING, Scope, entered

    run = Task.__call__

    def run_without_a_scope(task: Task, *args: object, **kwargs: object) -> object:
        with entered(NOTHING):
            return run(task, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        everything = Scope(system="tests")
        patch.setattr(scopes, "_scope", ContextVar("scope", default=everything))
        patch.setattr(Task, "__call__", run_without_a_scope)
        yield


@pytest.fixture(autouse=True)
def _empty_redis() -> None:
    if embedded.services and embedded.services.are_running:
        with redis.Redis.from_url(embedded.services.redis.url) as client:
            client.flushall()


@pytest.fixture(autouse=True)
def _media_root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    if _needs_servers(request.node):
        request.getfixturevalue("settings").MEDIA_ROOT = tmp_path_factory.mktemp("media")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> None:
    """Let the tests that commit empty the tables after them: TRUNCATE is refused on the audit log."""
    from django.db import connection

    with django_db_blocker.unblock(), connection.cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute("DROP TRIGGER IF EXISTS audit_keeps_table ON accounts_auditevent")


@pytest.fixture
def process_env(transactional_db: None, settings: object) -> dict[str, str]:
    """The environment for a process of ours that shall work on this test's database, Redis and media."""
    from django.db import connection

    url, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    media = str(settings.MEDIA_ROOT)  # type: ignore[attr-defined]
    return os.environ | {
        "DATABASE_URL": f"{url}/{connection.settings_dict['NAME']}",
        "MEDIA_ROOT": media,
        "BASE_URL": "http://127.0.0.1:8000",  # a machine of one's own, where plain http may start
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONUNBUFFERED": "1",
    }


def _member(workspace: Workspace, name: str, role: Role) -> User:
    from accounts.models import Membership, User

    user = User.objects.create_user(f"{name}@example.com", "correct horse battery", name=name.title())
    Membership.objects.create(workspace=workspace, user=user, role=role)
    return user


@pytest.fixture
def acme(db: None) -> Workspace:
    """The workspace that most tests look at."""
    from accounts.models import Workspace

    return Workspace.objects.create(name="Acme", slug="acme")


@pytest.fixture
def alice(acme: Workspace) -> User:
    """Owner of acme."""
    from accounts.models import Role

    return _member(acme, "alice", Role.OWNER)


@pytest.fixture
def erin(acme: Workspace) -> User:
    """Editor in acme."""
    from accounts.models import Role

    return _member(acme, "erin", Role.EDITOR)


@pytest.fixture
def vic(acme: Workspace) -> User:
    """Viewer in acme."""
    from accounts.models import Role

    return _member(acme, "vic", Role.VIEWER)


@pytest.fixture
def rival(db: None) -> Workspace:
    """The other tenant."""
    from accounts.models import Workspace

    return Workspace.objects.create(name="Rival", slug="rival")


@pytest.fixture
def mallory(rival: Workspace) -> User:
    """Owner of rival; has no business in acme."""
    from accounts.models import Role

    return _member(rival, "mallory", Role.OWNER)
