"""What connections does when accounts tells of a workspace's end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.dispatch import receiver
from django.utils import timezone

from accounts import admin_log
from accounts.export_parts import Part
from accounts.models import User, Workspace
from accounts.signals import data_exporting, workspace_disconnecting, workspace_emptying
from connections import exporting
from connections.errors import ProviderError
from connections.models import ConnectionStatus, SocialConnection
from connections.removals import forget_events
from connections.services import disconnect

REASON = "The workspace was deleted."
PATIENCE = timedelta(days=1)
"""So long a removal waits for a platform that cannot be told that the access ends."""


@receiver(workspace_disconnecting)
def give_up(workspace: Workspace, **_: Any) -> bool:
    """Disconnect every account; False while another process holds the tokens of one, or a platform is down.

    After PATIENCE the tokens go without the platform's answer: else its failure would keep somebody's data here.
    """
    started_at = workspace.removal_started_at
    insist = started_at is not None and timezone.now() < started_at + PATIENCE
    held = SocialConnection.objects.filter(workspace=workspace).exclude(status=ConnectionStatus.REVOKED)
    outcomes = [_is_disconnected(connection, insist) for connection in held.order_by("pk")]  # each is tried
    return all(outcomes)


def _is_disconnected(connection: SocialConnection, insist: bool) -> bool:
    try:
        disconnect(connection, reason=REASON, insist=insist)
    except ProviderError:
        return False
    return True


@receiver(workspace_emptying)
def remove_traces(workspace: Workspace, **_: Any) -> bool:
    """Delete the copies of pictures, and what platforms told of accounts that nobody else has.

    False if an account was connected meanwhile: its access must be given up first.
    """
    rows = SocialConnection.objects.filter(workspace=workspace)
    if rows.exclude(status=ConnectionStatus.REVOKED).exists():
        return False
    for connection in rows.exclude(avatar=""):
        connection.avatar.delete(save=False)
        SocialConnection.objects.filter(pk=connection.pk).update(avatar="")
    for connection in rows.iterator():
        forget_events(connection)
    admin_log.forget(SocialConnection, rows.values_list("pk", flat=True))
    return True


@receiver(data_exporting)
def hand_in(workspace: Workspace, person: User | None, **_: Any) -> Iterable[Part]:
    """Hand in the accounts for an export."""
    return exporting.parts(workspace=workspace, person=person)
