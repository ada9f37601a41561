"""Much going on in a workspace: something of every kind that a page of another one might count or list."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from accounts import audit
from accounts.models import Invitation, Role, WorkspaceExport
from connections.models import ConnectionStatus, SocialConnection
from publishing.models import Attempt, Post
from publishing.states import DeliveryState, HoldReason
from tests.access.world import Side, add_member, make_connection, make_delivery, make_photo, make_video


def grow(side: Side) -> None:
    """Add members, invitations, connections and posts in every state to `side`, and empty none."""
    add_member(side, "Another", Role.EDITOR)
    _invite_another(side)
    _connect_more(side)
    make_video(side, "more")
    make_photo(side, "more")
    for state in DeliveryState:
        _send(side, state)
    WorkspaceExport.objects.create(workspace=side.workspace, requested_by=side.owner)
    audit.record("workspace.renamed", workspace=side.workspace, actor=side.owner, was="one", now="another")


def _invite_another(side: Side) -> None:
    Invitation.objects.create(
        workspace=side.workspace,
        email=f"another@{side.slug}.example.com",
        role=Role.VIEWER,
        token_hash="f" * 64,
        invited_by=side.owner,
        expires_at=timezone.now() + timedelta(days=7),
    )


def _connect_more(side: Side) -> None:
    make_connection(side, "lost", status=ConnectionStatus.NEEDS_REAUTH)
    ending = make_connection(side, "ending")
    soon = timezone.now() + timedelta(days=2)
    SocialConnection.objects.filter(pk=ending.pk).update(refresh_expires_at=soon)
    gone = make_connection(side, "gone")
    SocialConnection.objects.filter(pk=gone.pk).update(
        status=ConnectionStatus.REVOKED, access_token="", refresh_token="", disconnected_at=timezone.now()
    )


def _send(side: Side, state: DeliveryState) -> None:
    post = Post.objects.create(
        workspace=side.workspace, video=side.video, caption=f"{state} of {side.slug}", created_by=side.owner
    )
    long_ago = timezone.now() - timedelta(hours=1)
    reason = HoldReason.RECONNECT if state == DeliveryState.HELD else ""
    delivery = make_delivery(
        side, post, state=state, hold_reason=reason, wake_at=long_ago, state_changed_at=long_ago
    )
    Attempt.objects.create(
        workspace=side.workspace,
        delivery=delivery,
        step="status",
        outcome=f"another_{state}",
        finished_at=timezone.now(),
    )
