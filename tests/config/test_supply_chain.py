"""`make audit`: our own packages pass, and each way in which they could be wrong is found."""

from __future__ import annotations

import json
import zipfile
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from config.supply_chain import (
    LISTS,
    ROOT,
    Pin,
    compare_files,
    compare_installed,
    compare_licences,
    compare_lists,
    compare_vendored,
    known_holes,
    read_lock,
)

HASH = "--hash=sha256:" + "a" * 64
RULES = {"allowed": ["MIT", "Apache-2.0"], "same": {"MIT License": "MIT"}, "stated": {"odd": "MIT"}}


@pytest.fixture
def lock(tmp_path):
    """Return a function that writes a locked list and reads it."""

    def write(text: str) -> tuple[dict[str, Pin], list[str]]:
        path = tmp_path / "app.txt"
        path.write_text(text)
        return read_lock(path)

    return write


@pytest.fixture
def install(tmp_path):
    """Return a function that puts a package of one file where packages are."""

    def put(name: str, *headers: str, content: str = "x = 1\n") -> Distribution:
        place = tmp_path / "site"
        info = place / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (place / f"{name}.py").write_text(content)
        (info / "METADATA").write_text(
            "\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *headers])
        )
        # sha256 of "x = 1\n", url-safe base64 without padding
        digest = "sha256=nia_NpkRxFwkPGhBR7I_yeHc_PJX0pmhxjIBam_NM_Q"
        (info / "RECORD").write_text(f"{name}.py,{digest},6\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n")
        return PathDistribution(info)

    return put


@pytest.mark.parametrize("name", LISTS)
def test_our_lists_are_sound(name):
    pins, problems = read_lock(ROOT / "requirements" / f"{name}.txt")

    assert problems == []
    assert len(pins) > 40


def test_our_lists_hold_each_other():
    pins = {name: read_lock(ROOT / "requirements" / f"{name}.txt")[0] for name in LISTS}
    assert list(compare_lists(pins)) == []

    pins["demo"]["django"] = Pin("1.0", frozenset({HASH}))

    assert list(compare_lists(pins)) == [
        "demo.txt: django is not as in app.txt",
        "dev.txt: django is not as in demo.txt",
    ]


def test_a_lock_is_read_with_markers_extras_and_remarks(lock):
    pins, problems = lock(
        f"# by hand\nDjango_Allauth[mfa]==65.0 \\\n    {HASH} \\\n    {HASH}\n    # via -r app.in\n"
        f'old==1 ; python_version < "3" \\\n    {HASH}\n'
    )

    assert problems == []
    assert pins["django-allauth"] == Pin("65.0", frozenset({HASH}))
    assert not pins["old"].is_wanted


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("django==5.2", "django is not held by SHA-256 hashes alone"),
        ("django==5.2 --hash=md5:" + "a" * 32, "django is not held by SHA-256 hashes alone"),
        (f"django>=5.2 {HASH}", "'django>=5.2' is no package with one exact version"),
        (f"django @ https://example.com/django.whl {HASH}", "is no package with one exact version"),
        (f"https://example.com/django.whl {HASH}", "is no package with one exact version"),
        ("--index-url https://example.com/simple", "is no package with one exact version"),
        ("-e .", "'-e .' is no package with one exact version"),
        ("# nothing", "locks nothing"),
    ],
)
def test_an_unsafe_line_is_found(lock, line, problem):
    _, problems = lock(line + "\n")

    assert problem in problems[0]


def test_what_is_installed_besides_or_instead_of_the_lock_is_found(install):
    pins = {
        "right": Pin("1.0", frozenset()),
        "newer": Pin("2.0", frozenset()),
        "gone": Pin("3.0", frozenset()),
    }
    pins["elsewhere"] = Pin("1.0", frozenset(), is_wanted=False)

    found = set(compare_installed(pins, [install(name) for name in ("right", "newer", "stranger", "pip")]))

    assert found == {
        "newer is installed in version 1.0, locked is 2.0",
        "gone 3.0 is locked and not installed",
        "stranger 1.0 is installed and not locked",
    }


def test_installed_files_that_came_so_are_fine(install, tmp_path):
    assert list(compare_files([install("whole")], tmp_path / "site")) == []


def test_altered_lost_and_added_files_are_found(install, tmp_path):
    packages = [install("altered", content="x = 2\n"), install("lost")]
    (tmp_path / "site" / "lost.py").unlink()
    (tmp_path / "site" / "added.pth").write_text("import os")

    assert list(compare_files(packages, tmp_path / "site")) == [
        "altered: altered.py was altered",
        "lost: lost.py is gone",
        "added.pth belongs to no package",
    ]


@pytest.mark.parametrize(
    ("headers", "is_fine"),
    [
        (["License-Expression: MIT"], True),
        (["License-Expression: GPL-2.0-only OR Apache-2.0"], True),
        (["License-Expression: GPL-2.0-only AND Apache-2.0"], False),
        (["Classifier: License :: OSI Approved :: MIT License"], True),
        (["Classifier: License :: Other/Proprietary License"], False),
        (["License: MIT"], True),
        ([], False),
    ],
)
def test_licences_are_judged(install, headers, is_fine):
    problems = list(compare_licences([install("package", *headers)], RULES))

    assert (problems == []) == is_fine


def test_a_licence_may_be_stated_for_a_package(install):
    assert list(compare_licences([install("odd", "License: see the file")], RULES)) == []


def test_vendored_scripts_are_compared_with_the_manifest(tmp_path):
    (tmp_path / "a.js").write_text("altered")
    (tmp_path / "b.js").write_text("of nobody")
    manifest = {"packages": [{"files": {"a.js": "0" * 64, "c.js": "0" * 64}}]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))

    assert list(compare_vendored(tmp_path)) == [
        "static/vendor/a.js is not what was published",
        "static/vendor/c.js is not what was published",
        "static/vendor/b.js is in no package of the manifest",
    ]
    assert list(compare_vendored(ROOT / "static" / "vendor")) == []


def _archive(folder: Path, affected: object, **more: object) -> Path:
    path = folder / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "X-1.json", json.dumps({"id": "X-1", "summary": "a hole", "affected": affected} | more)
        )
    return path


@pytest.mark.parametrize(
    ("affected", "is_holed"),
    [
        ({"versions": ["5.2.18", "5.2.19"]}, True),
        ({"versions": ["5.2.18"]}, False),
        ({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "5.2.20"}]}]}, True),
        ({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "5.2.19"}]}]}, False),
        (
            {
                "ranges": [
                    {"type": "ECOSYSTEM", "events": [{"introduced": "5.2"}, {"last_affected": "5.2.19"}]}
                ]
            },
            True,
        ),
        ({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "6.0"}]}]}, False),
        (
            {
                "ranges": [
                    {
                        "type": "ECOSYSTEM",
                        "events": [{"introduced": "0"}, {"fixed": "4.2"}, {"introduced": "5.2.19"}],
                    }
                ]
            },
            True,
        ),
        ({"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}, False),
    ],
)
def test_known_holes_are_found_by_version(tmp_path, affected, is_holed):
    package = {"package": {"ecosystem": "PyPI", "name": "Django"}}

    found = list(
        known_holes({"django": Pin("5.2.19", frozenset())}, _archive(tmp_path, [affected | package]))
    )

    assert found == (["django 5.2.19: X-1 a hole"] if is_holed else [])


@pytest.mark.parametrize(
    ("package", "more"),
    [
        ({"ecosystem": "npm", "name": "django"}, {}),
        ({"ecosystem": "PyPI", "name": "django-other"}, {}),
        ({"ecosystem": "PyPI", "name": "django"}, {"withdrawn": "2026-01-01T00:00:00Z"}),
    ],
)
def test_advisories_on_other_things_and_withdrawn_ones_do_not_count(tmp_path, package, more):
    archive = _archive(tmp_path, [{"package": package, "versions": ["5.2.19"]}], **more)

    assert list(known_holes({"django": Pin("5.2.19", frozenset())}, archive)) == []
