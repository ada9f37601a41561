"""What publishing does when connections or accounts tells of a change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.dispatch import receiver

from accounts.export_parts import Part
from accounts.models import User, Workspace
from accounts.signals import data_exporting, person_removing, workspace_emptying, workspace_stopping
from connections.models import SocialConnection
from connections.signals import connection_lost, connection_usable, publish_reported
from publishing import exporting
from publishing.removing import forget_person, remove_everything, stop_deliveries
from publishing.services import hold_open, resume_held
from publishing.waking import ask_about_drafts, look_again


@receiver(connection_usable)
def go_on(connection: SocialConnection, **_: Any) -> None:
    """Resume what waited for the account, and ask again about its drafts."""
    resume_held(connection)
    ask_about_drafts(connection)


@receiver(connection_lost)
def stop(connection: SocialConnection, **_: Any) -> None:
    """Hold what cannot be sent now."""
    hold_open(connection)


@receiver(publish_reported)
def ask_now(provider: str, publish_id: str, **_: Any) -> int:
    """Ask for the status of a publish job that the platform told something of; return how many rows are its."""
    return look_again(provider=provider, publish_id=publish_id)


@receiver(workspace_stopping)
def stop_all(workspace: Workspace, **_: Any) -> bool:
    """Cancel what is under way in a workspace that is being removed."""
    return stop_deliveries(workspace)


@receiver(workspace_emptying)
def empty(workspace: Workspace, **_: Any) -> bool:
    """Delete its videos, photos and posts."""
    return remove_everything(workspace)


@receiver(data_exporting)
def hand_in(workspace: Workspace, person: User | None, **_: Any) -> Iterable[Part]:
    """Hand in posts and files for an export."""
    return exporting.parts(workspace=workspace, person=person)


@receiver(person_removing)
def forget(user: User, **_: Any) -> None:
    """Take somebody who deletes their account out of the timelines."""
    forget_person(user)
