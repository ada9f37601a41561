"""What connections does when accounts tells of a workspace's end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.dispatch import receiver

from accounts.export_parts import Part
from accounts.models import User, Workspace
from accounts.signals import data_exporting, workspace_disconnecting, workspace_emptying
from connections import exporting
from connections.errors import ProviderError
from connections.models import ConnectionStatus, SocialConnection
from connections.services import disconnect

REASON = "The workspace was deleted."


@receiver(workspace_disconnecting)
def give_up(workspace: Workspace, **_: Any) -> bool:
    """Disconnect every account; False while another process holds the tokens of one."""
    held = SocialConnection.objects.filter(workspace=workspace).exclude(status=ConnectionStatus.REVOKED)
    outcomes = [_is_disconnected(connection) for connection in held.order_by("pk")]  # each is tried
    return all(outcomes)


def _is_disconnected(connection: SocialConnection) -> bool:
    try:
        disconnect(connection, reason=REASON)
    except ProviderError:
        return False
    return True


@receiver(workspace_emptying)
def remove_pictures(workspace: Workspace, **_: Any) -> bool:
    """Delete the copies of pictures. False if an account was connected meanwhile: its access must be given up first."""
    rows = SocialConnection.objects.filter(workspace=workspace)
    if rows.exclude(status=ConnectionStatus.REVOKED).exists():
        return False
    for connection in rows.exclude(avatar=""):
        connection.avatar.delete(save=False)
        SocialConnection.objects.filter(pk=connection.pk).update(avatar="")
    return True


@receiver(data_exporting)
def hand_in(workspace: Workspace, person: User | None, **_: Any) -> Iterable[Part]:
    """Hand in the accounts for an export."""
    return exporting.parts(workspace=workspace, person=person)
