"""One sandbox for all tests of a session, put back to its start before each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.sandbox.client import ApiClient
from tests.sandbox.process import SandboxProcess, start_sandbox
from tests.sandbox.receivers import Receiver


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "quirk(*numbers): a trait of TikTok's protocol that this test holds the sandbox to"
    )


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """The process that the session's tests share."""
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def sandbox(sandbox_process: SandboxProcess) -> SandboxProcess:
    """The shared process with nothing issued, nothing posted and all settings as at its start."""
    sandbox_process.control("POST", "/reset")
    return sandbox_process


@pytest.fixture
def client_for(sandbox: SandboxProcess) -> Iterator[Callable[..., ApiClient]]:
    """Makes clients: by creator, and scopes if not all."""
    made: list[ApiClient] = []

    def make(creator: str = "demo.public", scopes: list[str] | None = None) -> ApiClient:
        made.append(ApiClient(sandbox, creator, scopes))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(sandbox: SandboxProcess, client_for: Callable[..., ApiClient]) -> ApiClient:
    """A client of an audited app for the public creator."""
    sandbox.settings(audited=True)
    return client_for()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server for webhooks and media."""
    running = Receiver()
    yield running
    running.close()
