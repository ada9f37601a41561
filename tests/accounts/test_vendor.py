"""What we ship of others."""

from __future__ import annotations

import hashlib
import json

from config.settings import BASE_DIR

VENDOR = BASE_DIR / "static" / "vendor"


def listed() -> dict[str, str]:
    packages = json.loads((VENDOR / "manifest.json").read_text())["packages"]
    return {name: digest for package in packages for name, digest in package["files"].items()}


def test_vendored_files_are_those_that_were_published():
    found = {name: hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() for name in listed()}

    assert found == listed()


def test_nothing_is_vendored_unlisted():
    files = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()}

    assert files - {"manifest.json"} == set(listed())


def test_every_package_states_name_version_and_licence():
    for package in json.loads((VENDOR / "manifest.json").read_text())["packages"]:
        assert {"name", "version", "licence", "files"} <= package.keys()
        assert any("LICENSE" in name for name in package["files"])
