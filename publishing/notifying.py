"""Telling people how a delivery ended: in the same transaction, so that neither stands without the other."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.urls import reverse

from accounts import audit
from accounts.models import Membership, NoticeKind, User
from accounts.notices import Message, creator_or_managers, tell
from connections.notifying import lost_key
from connections.permissions import can_manage_connections
from connections.providers import provider_for
from publishing.models import Delivery
from publishing.states import DeliveryState, HoldReason

_ENDS = {
    DeliveryState.PUBLISHED: "post.published",
    DeliveryState.IN_INBOX: "post.in_inbox",
    DeliveryState.FAILED: "post.failed",
}


def advance_and_tell(
    delivery: Delivery, to: DeliveryState, *, told_by: User | None = None, **changes: Any
) -> None:
    """Follow one edge, as `Delivery.advance` does, and tell whom it concerns, or do neither.

    `told_by` is the person whose doing it is: they need no notice. Raises what `advance` raises.
    """
    left_at = delivery.state_changed_at  # the stay that ends here: an edge out of it is followed once
    with transaction.atomic(), _as_it_was_on_error(delivery):
        delivery.advance(to, **changes)
        people = _people(delivery)
        if told_by is not None:
            people = [member for member in people if member.user_id != told_by.pk]
        _tell(delivery, people, event=left_at.isoformat())
        if told_by is None:
            _record(delivery)


def _record(delivery: Delivery) -> None:
    """Note in the audit log how it ended; a person's own deeds are noted where they are done."""
    action = _ENDS.get(DeliveryState(delivery.state))
    if action:
        audit.record(
            action,
            workspace=delivery.workspace_id,
            actor=None,
            post=delivery.post_id,
            delivery=delivery.pk,
            connection=delivery.connection_id,
            account=delivery.connection.display_name,
            user_id=delivery.post.created_by_id,
            platform_post_ids=delivery.platform_post_ids,
            code=delivery.reason_code,
        )


@contextmanager
def _as_it_was_on_error(delivery: Delivery) -> Iterator[None]:
    """Roll the object back with the row, so that its worker still knows its lease and can hand it back."""
    before = dict(delivery.__dict__)
    try:
        yield
    except BaseException:
        delivery.__dict__.clear()
        delivery.__dict__.update(before)
        raise


def _people(delivery: Delivery) -> list[Membership]:
    creator_id: uuid.UUID | None = delivery.post.created_by_id
    people = creator_or_managers(delivery.workspace_id, creator_id)
    if delivery.state in {DeliveryState.PUBLISHED, DeliveryState.IN_INBOX}:
        return [member for member in people if member.user_id == creator_id]
    return people


def _tell(delivery: Delivery, people: list[Membership], *, event: str) -> None:
    if delivery.state == DeliveryState.HELD and delivery.hold_reason == HoldReason.RECONNECT:
        for member in people:
            tell([member], _waits_for_account(delivery, member))
        return
    kind, title, body, next_step = _words(delivery)
    key = f"delivery:{delivery.pk}:{delivery.state}:{event}"
    path = reverse(
        "publishing:post_detail", kwargs={"slug": delivery.workspace.slug, "post_id": delivery.post_id}
    )
    tell(people, Message(kind, key, title, body, next_step, path=path, action="Open the post"))


def _waits_for_account(delivery: Delivery, member: Membership) -> Message:
    """One for all posts that wait for one account, and none to those who were told of the account itself."""
    name = delivery.connection.display_name
    slug = delivery.workspace.slug
    return Message(
        kind=NoticeKind.HELD,
        key=lost_key(delivery.connection),
        title=f"Your posts to {name} wait",
        body=delivery.reason_message,
        next_step="Reconnect the account. Your posts then go on by themselves."
        if can_manage_connections(member)
        else "Ask an owner or admin of the workspace to reconnect it. Your posts then go on by themselves.",
        path=reverse("connections:list", kwargs={"slug": slug}),
        action="Open the connections",
    )


def _words(delivery: Delivery) -> tuple[NoticeKind, str, str, str]:
    """What happened: kind, title, sentence, next step."""
    platform = provider_for(delivery.connection.provider).label
    name = _name(delivery)
    account = f"Account: {delivery.connection.display_name}."
    match delivery.state:
        case DeliveryState.PUBLISHED:
            return NoticeKind.PUBLISHED, f"Published on {platform}: {name}", account, ""
        case DeliveryState.IN_INBOX:
            return (
                NoticeKind.PUBLISHED,
                f"In the {platform} inbox: {name}",
                f"The draft is there, and not posted yet. {account}",
                f"Open {platform} → Inbox, {finishing(delivery)}.",
            )
        case DeliveryState.FAILED:
            body = delivery.reason_message or f"{platform} gave no reason."
            return NoticeKind.FAILED, f"Not published: {name}", body, delivery.reason_next_step
        case _:
            body = f"{HoldReason(delivery.hold_reason).label}. {delivery.reason_message}"
            return NoticeKind.HELD, f"Waiting for you: {name}", body, delivery.reason_next_step


def finishing(delivery: Delivery) -> str:
    """What is left to do on a draft in the app: photos bring their title and description along."""
    settings = "choose the settings" if delivery.post.is_photo else "add the caption and settings"
    return f"tap the notification, {settings}, then post"


def _name(delivery: Delivery) -> str:
    folded = " ".join(delivery.post.name.split())
    return folded if len(folded) <= 80 else folded[:79] + "…"
