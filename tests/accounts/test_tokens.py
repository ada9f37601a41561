"""The design tokens: readable in both schemes, and the only place for colours."""

from __future__ import annotations

import re

import pytest

from config.settings import BASE_DIR

CSS = BASE_DIR / "static" / "css"
TEXT = 4.5  # https://www.w3.org/TR/WCAG22/#contrast-minimum
PART = 3.0  # https://www.w3.org/TR/WCAG22/#non-text-contrast
PAIRS = [
    *[
        (ink, paper, TEXT)
        for ink in ("ink", "ink-soft", "ink-faint")
        for paper in ("paper", "sheet", "sunken")
    ],
    *[("ink-faint", "neutral-wash", TEXT), ("ink-soft", "neutral-wash", TEXT)],
    *[("accent", paper, TEXT) for paper in ("paper", "sheet", "sunken", "accent-wash")],
    *[(f"{tone}", f"{tone}-wash", TEXT) for tone in ("success", "warning", "danger")],
    *[("ink", f"{tone}-wash", TEXT) for tone in ("accent", "success", "warning", "danger")],
    *[("danger", paper, TEXT) for paper in ("paper", "sheet")],
    ("on-accent", "accent", TEXT),
    ("on-accent", "accent-strong", TEXT),
    ("on-danger", "danger", TEXT),
    ("on-danger", "danger-strong", TEXT),
    ("on-ink", "ink", TEXT),
    ("rule-strong", "sheet", PART),
    ("accent", "neutral-wash", PART),
]


def colours(scheme: str) -> dict[str, str]:
    text = (CSS / "tokens.css").read_text()
    light, dark = text.split("@media (prefers-color-scheme: dark)")
    found = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", light))
    return found | (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", dark)) if scheme == "dark" else {})


def luminance(colour: str) -> float:
    """Relative luminance: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_measured_as_the_standard_says():
    assert round(contrast("#000000", "#ffffff"), 2) == 21
    assert round(contrast("#777777", "#ffffff"), 2) == 4.48


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("front", "back", "least"), PAIRS)
def test_colours_can_be_read(scheme, front, back, least):
    palette = colours(scheme)

    assert contrast(palette[front], palette[back]) >= least


def test_only_the_tokens_name_colours():
    for path in sorted(CSS.glob("*.css")):
        text = "" if path.name == "tokens.css" else path.read_text()
        assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?!\s*{)|rgba?\(|hsla?\(", text) == [], path.name


def test_every_token_in_use_is_defined():
    defined = set(re.findall(r"(--[a-z0-9-]+):", (CSS / "tokens.css").read_text()))

    used = {
        name for path in CSS.glob("*.css") for name in re.findall(r"var\((--[a-z0-9-]+)", path.read_text())
    }

    assert used - defined == set()
