"""`make audit`: is what is installed what was locked, unaltered, under known licences, and without known holes?

    python -m config.supply_chain [--installed dev] [--advisories all.zip]

Needs no network. Known holes are looked up in a file: the archive of advisories for PyPI that OSV publishes
(https://google.github.io/osv.dev/data/#data-dumps); a record's form: https://ossf.github.io/osv-schema/
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from packaging.markers import Marker
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parent.parent
LISTS: Final = ("app", "demo", "dev")
"""Each holds the ones before it."""

UNLOCKED: Final = frozenset({"pip", "setuptools", "wheel"})
"""What a virtual environment may bring along by itself."""

_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
_PIN = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,.-]+\])?==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>.+))?")
_CODE = {".py", ".so", ".pth"}


@dataclass(frozen=True)
class Pin:
    """One locked package."""

    version: str
    hashes: frozenset[str]
    is_wanted: bool = True
    """Whether it belongs on this machine, by its marker."""


def read_lock(path: Path) -> tuple[dict[str, Pin], list[str]]:
    """Return the packages of a locked list, and what is wrong with it."""
    pins: dict[str, Pin] = {}
    problems = []
    text = re.sub(r"\s*\\\n\s*", " ", path.read_text())
    for line in (line.split(" #")[0].strip() for line in text.splitlines()):
        if not line or line.startswith("#"):
            continue
        requirement, *options = re.split(r"\s+(?=--)", line)
        found = _PIN.fullmatch(requirement)
        if found is None:
            problems.append(f"{path.name}: {requirement!r} is no package with one exact version")
            continue
        name, hashes = canonicalize_name(found["name"]), frozenset(options)
        if not hashes or not all(map(_HASH.fullmatch, hashes)):
            problems.append(f"{path.name}: {name} is not held by SHA-256 hashes alone")
        is_wanted = not found["marker"] or Marker(found["marker"]).evaluate()
        pins[name] = Pin(found["version"], hashes, is_wanted)
    if not pins:
        problems.append(f"{path.name}: locks nothing")
    return pins, problems


def compare_lists(pins: dict[str, dict[str, Pin]]) -> Iterator[str]:
    """Tell where a wider list does not hold a narrower one as it is."""
    for narrow, wide in pairwise(LISTS):
        for name, pin in pins[narrow].items():
            if pins[wide].get(name) != pin:
                yield f"{wide}.txt: {name} is not as in {narrow}.txt"


def compare_installed(pins: dict[str, Pin], installed: Iterable[Distribution]) -> Iterator[str]:
    """Tell what is installed besides or instead of what is locked."""
    found: dict[str, str] = {canonicalize_name(one.metadata["Name"]): one.version for one in installed}
    for name, pin in pins.items():
        if pin.is_wanted and name not in found:
            yield f"{name} {pin.version} is locked and not installed"
        elif name in found and found[name] != pin.version:
            yield f"{name} is installed in version {found[name]}, locked is {pin.version}"
    for name in found.keys() - pins.keys() - UNLOCKED:
        yield f"{name} {found[name]} is installed and not locked"


def compare_files(installed: Iterable[Distribution], place: Path) -> Iterator[str]:
    """Tell which installed files are not as they came, are gone, or belong to no package. `place`: site-packages.

    A record's form: https://packaging.python.org/en/latest/specifications/recording-installed-packages/#the-record-file
    """
    known: set[Path] = set()
    for one in installed:
        for file in one.files or ():
            path = Path(str(file.locate())).resolve()
            known.add(path)
            if file.hash is None:
                continue
            if not path.exists():
                yield f"{one.metadata['Name']}: {file} is gone"
            elif _digest(path, file.hash.mode) != file.hash.value:
                yield f"{one.metadata['Name']}: {file} was altered"
    for path in place.rglob("*"):
        if path.suffix in _CODE and path.resolve() not in known:
            yield f"{path.relative_to(place)} belongs to no package"


def _digest(path: Path, mode: str) -> str:
    with path.open("rb") as file:
        return base64.urlsafe_b64encode(hashlib.file_digest(file, mode).digest()).rstrip(b"=").decode()


def compare_licences(installed: Iterable[Distribution], rules: dict[str, Any]) -> Iterator[str]:
    """Tell which packages come under terms that nobody agreed to. `rules`: requirements/licences.toml."""
    for one in installed:
        name = canonicalize_name(one.metadata["Name"])
        if not _is_allowed(rules["stated"].get(name) or _terms(one), rules):
            yield f"{name} {one.version} is under {_terms(one) or 'no stated licence'!r}"


def _terms(one: Distribution) -> str:
    told = one.metadata
    if "License-Expression" in told:
        return str(told["License-Expression"])
    classifiers = told.get_all("Classifier") or []
    kinds = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License ")]
    stated = str(told["License"]) if "License" in told else ""
    return " AND ".join(kinds) or stated.strip().partition("\n")[0]


def _is_allowed(terms: str, rules: dict[str, Any]) -> bool:
    """Whether each part of `A AND B` is allowed, and one of `A OR B`. No package of ours uses parentheses."""
    return bool(terms) and all(
        any(rules["same"].get(word.strip(), word.strip()) in rules["allowed"] for word in part.split(" OR "))
        for part in terms.split(" AND ")
    )


def compare_vendored(folder: Path) -> Iterator[str]:
    """Tell which scripts of others that we serve are not as they were published."""
    packages = json.loads((folder / "manifest.json").read_text())["packages"]
    listed = {name: digest for package in packages for name, digest in package["files"].items()}
    for name, digest in listed.items():
        path = folder / name
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            yield f"static/vendor/{name} is not what was published"
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != "manifest.json" and name not in listed:
            yield f"static/vendor/{name} is in no package of the manifest"


def known_holes(pins: dict[str, Pin], archive: Path) -> Iterator[str]:
    """Tell which locked versions an advisory of the archive names. Withdrawn ones do not count."""
    with zipfile.ZipFile(archive) as records:
        for entry in sorted(records.namelist()):
            record = json.loads(records.read(entry)) if entry.endswith(".json") else {}
            if record.get("withdrawn"):
                continue
            for affected in record.get("affected", ()):
                package = affected.get("package", {})
                name = canonicalize_name(package.get("name", ""))
                if (
                    package.get("ecosystem") == "PyPI"
                    and name in pins
                    and _affects(affected, pins[name].version)
                ):
                    words = record.get("summary") or record.get("details", "")[:100]
                    yield f"{name} {pins[name].version}: {record['id']} {words}".strip()


def _affects(affected: dict[str, Any], version: str) -> bool:
    if version in affected.get("versions", ()):
        return True
    ranges = [one for one in affected.get("ranges", ()) if one.get("type") == "ECOSYSTEM"]
    return any(_is_within(one.get("events", ()), Version(version)) for one in ranges)


def _is_within(events: Iterable[dict[str, str]], version: Version) -> bool:
    """Follow `introduced`, `fixed` and `last_affected` in the order of their versions."""
    is_open = False
    for kind, at in sorted(((k, v) for event in events for k, v in event.items()), key=_order):
        try:
            bound = Version(at)
        except InvalidVersion:
            continue
        if kind == "introduced" and version >= bound:
            is_open = True
        elif (kind == "fixed" and version >= bound) or (kind == "last_affected" and version > bound):
            is_open = False
    return is_open


def _order(event: tuple[str, str]) -> tuple[Version, bool]:
    kind, at = event
    try:
        return Version(at), kind != "introduced"
    except InvalidVersion:
        return Version("0"), False


def audit(*, installed: str, advisories: Path | None) -> Iterator[tuple[str, list[str]]]:
    """Yield each check's name and what it found. `installed` is the list that this environment was made from."""
    folder = ROOT / "requirements"
    lists = {name: read_lock(folder / f"{name}.txt") for name in LISTS}
    pins = {name: found for name, (found, _) in lists.items()}
    problems = [problem for _, found in lists.values() for problem in found]
    yield "locked lists: exact versions, hashes, no addresses", [*problems, *compare_lists(pins)]
    here = list(distributions())
    yield "installed packages are the locked ones", [*compare_installed(pins[installed], here)]
    yield "installed files are as they came", [*compare_files(here, Path(sysconfig.get_path("purelib")))]
    rules = tomllib.loads((folder / "licences.toml").read_text())
    yield "licences are known and allowed", [*compare_licences(here, rules)]
    yield "scripts of others are as published", [*compare_vendored(ROOT / "static" / "vendor")]
    if advisories is not None:
        yield "no locked version has a known hole", [*known_holes(pins["dev"], advisories)]


def main() -> None:
    """Print the checks. Exit status 1 if one found something."""
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__.splitlines()[0])
    parser.add_argument("--installed", choices=LISTS, default="dev", help="the list that is installed")
    parser.add_argument("--advisories", type=Path, metavar="ZIP", help="OSV's archive for PyPI")
    chosen = parser.parse_args()
    is_sound = True
    for name, problems in audit(installed=chosen.installed, advisories=chosen.advisories):
        sys.stdout.write(f"{'✗' if problems else '✓'} {name}\n")
        sys.stdout.writelines(f"    {problem}\n" for problem in problems)
        is_sound = is_sound and not problems
    if chosen.advisories is None:
        sys.stdout.write("- known holes not looked up: no --advisories given (docs/security.md)\n")
    sys.exit(not is_sound)


if __name__ == "__main__":
    main()
