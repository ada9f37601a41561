"""Keeping connections fresh while nobody looks, so that a post need not wait for a refresh or fail for want of one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.core.cache import cache

from accounts.scopes import System, system_scope, workspace_scope
from connections.errors import ProviderError
from connections.models import SocialConnection
from connections.profiles import PROFILE_AGE, profile_for
from connections.tokens import fresh_access_token

log = logging.getLogger(__name__)

AHEAD = timedelta(minutes=10)
REFRESH_LIMIT = 200  # of one run; the next one, a minute later, takes the rest
PROFILE_LIMIT = 20
PROFILE_PAUSE_S = 3600  # an account whose profile cannot be read is not asked again each minute
FAILURE_LIMIT = 5  # in a row: then the platform is down, and the rest would only wait for time-outs


def run(*, now: datetime) -> str:
    """Refresh what expires soon and re-read old profiles; return what was done. One failure stops no other."""
    with system_scope(System.UPKEEP):
        expiring = SocialConnection.objects.expiring(now + AHEAD).order_by("access_expires_at")
        ending = list(expiring[:REFRESH_LIMIT])
    refreshed, failed = _each(ending, fresh_access_token)
    with system_scope(System.UPKEEP):
        aged = list(SocialConnection.objects.with_profile_before(now - PROFILE_AGE)[: 5 * PROFILE_LIMIT])
    untried = [row for row in aged if cache.add(f"profile-tried:{row.pk}", 1, timeout=PROFILE_PAUSE_S)]
    profiles, profiles_failed = _each(untried[:PROFILE_LIMIT], profile_for)
    outcome = f"tokens={refreshed} failed={failed} profiles={profiles} failed={profiles_failed}"
    if refreshed or failed or profiles or profiles_failed:
        log.info("upkeep %s", outcome)
    return outcome


def _each(
    connections: list[SocialConnection], action: Callable[[SocialConnection], object]
) -> tuple[int, int]:
    """Run `action` on each; return how many worked and how many did not. The provider's log lines say why."""
    worked = failed = in_a_row = 0
    for connection in connections:
        if in_a_row == FAILURE_LIMIT:
            break
        try:
            with workspace_scope(connection.workspace_id):
                action(connection)
            worked, in_a_row = worked + 1, 0
        except ProviderError as error:
            failed += 1
            in_a_row = in_a_row + 1 if error.may_work_later else 0
            log.warning(
                "upkeep failed workspace=%s connection=%s error=%s code=%s",
                connection.workspace_id,
                connection.pk,
                type(error).__name__,
                error.code,
            )
    return worked, failed
