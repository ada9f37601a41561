"""Following a delivery from a terminal: a bar where there is a screen, plain lines where there is none."""

from __future__ import annotations

import time
from typing import Protocol

from django.utils import timezone

from publishing.models import Delivery
from publishing.presentation import Panel, describe
from publishing.states import WORKING, DeliveryState

BAR_WIDTH = 28
LOOK_EVERY_S = 0.5


class Screen(Protocol):
    """Where lines are written: Django's OutputWrapper, or a stand-in."""

    def write(self, msg: str = "", style_func: None = None, ending: str | None = None) -> None: ...

    def isatty(self) -> bool: ...

    def flush(self) -> None: ...


def watch_delivery(delivery: Delivery, screen: Screen) -> Panel:
    """Show how `delivery` gets on until it needs nobody's patience any more, and return how it stands then.

    Ends at published, in the inbox, failed, canceled and held. On a terminal one line is rewritten; elsewhere a line is
    written for each change of what is said.
    """
    said = ""
    while True:
        delivery = Delivery.objects.select_related("post__video", "connection").get(pk=delivery.pk)
        panel = describe(delivery, now=timezone.now())
        line = bar_line(panel) if screen.isatty() else plain_line(panel)
        if line != said:
            _show(screen, line, said)
            said = line
        if not (delivery.state in WORKING or delivery.state == DeliveryState.SCHEDULED):
            if screen.isatty():
                screen.write("")
            return panel
        time.sleep(LOOK_EVERY_S)


def _show(screen: Screen, line: str, before: str) -> None:
    if screen.isatty():
        screen.write("\r" + line.ljust(len(before)), ending="")
        screen.flush()
    else:
        screen.write(line)


def bar_line(panel: Panel) -> str:
    """One line with a bar: "Sending to TikTok [#####-----] 32.4 of 70.0 MB"."""
    bar = panel.bar
    if bar is None or not bar.total or bar.sent is None:
        return panel.headline
    filled = BAR_WIDTH * bar.sent // bar.total
    drawn = "#" * filled + "-" * (BAR_WIDTH - filled)
    return f"{panel.headline} [{drawn}] {bar.sent / 1e6:.1f} of {bar.total / 1e6:.1f} MB"


def plain_line(panel: Panel) -> str:
    """One line for a log: told in tenths, so that a long upload is ten lines and not a thousand."""
    bar = panel.bar
    if bar is None or not bar.total or bar.sent is None:
        return panel.headline
    return f"{panel.headline}: {10 * (10 * bar.sent // bar.total)} % of {bar.total / 1e6:.1f} MB"
