"""One sandbox for all tests of a session, put back to its start before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.process import SandboxProcess, start_sandbox


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
