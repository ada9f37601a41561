"""What connections hands in for an export: the accounts, without any access to them."""

from __future__ import annotations

from collections.abc import Iterator

from accounts.export_contents import table
from accounts.export_parts import Media, MissingMediaError, Part
from accounts.models import User, Workspace
from connections.models import SocialConnection


def parts(*, workspace: Workspace, person: User | None) -> Iterator[Part]:
    """The connected accounts of a workspace, or those that `person` connected, and the copies of their pictures."""
    rows = SocialConnection.objects.filter(workspace=workspace)
    if person is not None:
        rows = rows.filter(connected_by=person)
    yield table(
        "connections",
        rows,
        "provider",
        "provider_account_id",
        "account_label",
        "account_type",
        "is_primary",
        "status",
        "scopes",
        "profile",
        "creator_info",
        "connected_by_id",
        "created_at",
        "connected_at",
        "disconnected_at",
    )
    for connection in rows.exclude(avatar="").order_by("pk").iterator():
        yield _picture(connection)


def _picture(connection: SocialConnection) -> Media:
    storage, name = connection.avatar.storage, str(connection.avatar.name)

    def blocks() -> Iterator[bytes]:
        try:
            with storage.open(name, "rb") as file:
                yield file.read()  # a thumbnail
        except OSError as error:
            raise MissingMediaError(name) from error

    try:
        size = storage.size(name)
    except OSError:
        size = 0  # counted as missing when it is read
    return Media(f"media/avatars/{connection.pk}.jpg", size, blocks)
