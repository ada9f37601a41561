"""One running demo and one Chromium for all browser tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
import requests
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.stack.conftest import RunningDemo, run_stack

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SHOTS = Path(__file__).resolve().parents[2] / "test-results"


class Demo(RunningDemo):
    """A running demo that also knows its local TikTok."""

    @property
    def sandbox_url(self) -> str:
        """Where the local TikTok listens."""
        lines = (self.data_dir / "demo.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)["TIKTOK_API_URL"]

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the local TikTok's control API."""
        answer = requests.request(method, f"{self.sandbox_url}/control/api{path}", json=body, timeout=20)
        answer.raise_for_status()
        return answer.json()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The whole demo, as `make demo` starts it, with fresh data."""
    running = Demo(tmp_path_factory.mktemp("demo") / "data")
    try:
        running.wait_ready()
        yield running
    finally:
        if running.process.poll() is None:
            running.process.terminate()
            running.process.communicate(timeout=20)
        run_stack("reset", DATA_DIR=str(running.data_dir))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Return an opener of pages, each with cookies of its own; script errors in any of them fail the test.

    `expects` is a part of those lines of the console that the test provokes.
    """
    contexts, errors = [], []

    def open_new(*, expects: str = "status of 422", **options: Any) -> Page:
        context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if _is_mistake(line, expects) else None)
        return page

    yield open_new
    for context in contexts:
        context.close()
    assert errors == []


def _is_mistake(line: ConsoleMessage, expected: str) -> bool:
    """Whether a console line tells of a mistake. A refused form (422) is logged as an error too, and is none."""
    return line.type == "error" and expected not in line.text


@pytest.fixture(scope="session")
def film_70mb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of some 70 MB: noise, which hardly compresses."""
    path = tmp_path_factory.mktemp("film") / "noise.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as media:
        stream: Any = media.add_stream("libx264", rate=30, options={"qp": "4", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 720, 1280, "yuv420p"
        for _ in range(33):
            frame = av.VideoFrame(720, 1280, "yuv420p")
            for plane in frame.planes:
                plane.update(os.urandom(plane.buffer_size))
            media.mux(stream.encode(frame))
        media.mux(stream.encode())
    assert 65_000_000 < path.stat().st_size < 90_000_000
    return path


@pytest.fixture
def shoot() -> Callable[[Page, str], None]:
    """Return a taker of screenshots at phone and desktop width, light and dark, into test-results/."""

    def take(page: Page, name: str) -> None:
        SHOTS.mkdir(exist_ok=True)
        size = page.viewport_size
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for width, height in ((390, 844), (1440, 900)):
                page.set_viewport_size({"width": width, "height": height})
                # Hiding the caret would take an inline style, which the page's policy forbids.
                page.screenshot(path=SHOTS / f"{name}-{width}-{scheme}.png", full_page=True, caret="initial")
        page.emulate_media(color_scheme="light")
        assert size is not None
        page.set_viewport_size(size)

    return take
