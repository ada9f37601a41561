"""The suite's stack on this test session's own servers and database."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.stack import Stack, environment
from tests.publishing.conftest import tiktok  # noqa: F401  # fixture
from tests.sandbox.conftest import sandbox, sandbox_process  # noqa: F401  # fixtures
from tests.sandbox.process import SandboxProcess


@pytest.fixture
def stack(process_env: dict[str, str], tiktok: SandboxProcess, tmp_path: Path) -> Stack:  # noqa: F811
    """Workers and beats on this test's database, and a local TikTok without caps."""
    env = process_env | environment(tiktok.url) | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    stack = Stack(env, tmp_path, tiktok)
    stack.fresh()
    return stack
