"""The product runs with the locked packages alone: what the tests' own packages bring along is out of reach here."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest

from config.supply_chain import ROOT, read_lock

IMPORTS = """
import sys
from importlib.abc import MetaPathFinder

class Refuse(MetaPathFinder):
    refused = frozenset(sys.argv[1].split(","))

    def find_spec(self, name, path=None, target=None):
        if name in self.refused:
            raise ModuleNotFoundError(f"No module named {name!r} in the lock", name=name)

sys.meta_path.insert(0, Refuse())
import config.wsgi, config.urls
from django.urls import get_resolver
from config.celery import app
get_resolver().url_patterns
app.loader.import_default_modules()
app.connection_for_read()
app.Worker
app.Beat
import celery.concurrency.thread, gunicorn.app.wsgiapp
"""


def _imported_from_elsewhere(lock: str) -> set[str]:
    """Top-level modules here that no package of the list brings."""
    pins, _ = read_lock(ROOT / "requirements" / lock)
    locked = {name.lower().replace("_", "-") for name in pins}
    return {
        module
        for module, distributions in packages_distributions().items()
        if not {name.lower().replace("_", "-").replace(".", "-") for name in distributions} & locked
    }


@pytest.mark.enable_socket
def test_web_worker_and_beat_import_nothing_that_is_not_locked():
    elsewhere = _imported_from_elsewhere("app.txt")
    assert "pytest" in elsewhere

    result = subprocess.run(
        [sys.executable, "-c", IMPORTS, ",".join(sorted(elsewhere))],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 0, result.stderr
