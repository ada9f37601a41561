"""A workspace that is removed for good: its posts stop, its files and rows go, nobody else's do."""

from __future__ import annotations

import io
import uuid
from datetime import timedelta
from types import SimpleNamespace

import pytest
import responses
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.models import AuditEvent, Workspace
from accounts.removal import remove_due
from connections.models import ConnectionStatus, SocialConnection, WebhookEvent
from connections.providers import provider_for
from publishing.models import Delivery, Photo, Post, Video
from publishing.receiving import receive_stream
from publishing.states import DeliveryState
from publishing.videos import store_video
from tests.publishing.films import film

pytestmark = pytest.mark.django_db

REVOKE_URL = "https://open.tiktokapis.com/v2/oauth/revoke/"
GONE = "removed=1 waiting=0"
WAITS = "removed=0 waiting=1"


@pytest.fixture
def wire():
    """TikTok's wire, on which revoking works."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.post(REVOKE_URL, json={})
        yield mock


@pytest.fixture
def doomed(acme):
    """Acme, with its grace over."""
    Workspace.objects.filter(pk=acme.pk).update(delete_after=timezone.now() - timedelta(seconds=1))
    return acme


def files_of(workspace: Workspace) -> list[str]:
    """What is stored for a workspace."""
    found = []
    for folder in ("videos", "posters", "photos"):
        try:
            found += default_storage.listdir(f"{folder}/{workspace.pk}")[1]
        except FileNotFoundError:
            continue
    return found


def answers() -> list[str]:
    """What the platform said when the access was given up, as the one event that stays tells it."""
    return AuditEvent.objects.get(action="workspace.removed").details["revocations"]


def _die(*_: object, **__: object) -> None:
    raise OSError("killed")


def test_removal_leaves_no_row_no_file_and_no_access(doomed, rival, make_delivery, wire):
    delivery = make_delivery(doomed)
    video = delivery.post.video
    video.poster.save("poster.jpg", ContentFile(b"poster"), save=True)
    photo = Photo(
        workspace=doomed, original_name="p.jpg", content_type="image/jpeg", total_bytes=1, width=1, height=1
    )
    photo.file.save("p.jpg", ContentFile(b"photo"), save=True)
    delivery.connection.avatar.save("face.jpg", ContentFile(b"face"), save=True)
    face = delivery.connection.avatar.name
    other = make_delivery(rival)

    outcome = remove_due()

    assert outcome == GONE
    assert [model.objects.get() for model in (Delivery, Post, Video, SocialConnection)] == [
        other,
        other.post,
        other.post.video,
        other.connection,
    ]
    assert not Photo.objects.exists()
    assert (files_of(doomed), len(files_of(rival))) == ([], 1)
    assert not default_storage.exists(face)
    assert [call.request.url for call in wire.calls] == [REVOKE_URL]


def test_removal_deletes_what_the_platform_told_of_an_account_that_nobody_else_has(
    doomed, rival, make_connection, wire
):
    for account in ("-000theirs", "-000both"):
        make_connection(doomed, provider_account_id=account)
        WebhookEvent.objects.create(
            provider="tiktok",
            dedup_key=account,
            kind="authorization_removed",
            account_id=account,
            body=account,
        )
    make_connection(rival, provider_account_id="-000both")

    assert remove_due() == GONE

    assert WebhookEvent.objects.get().account_id == "-000both"


@pytest.mark.django_db(transaction=True)
def test_a_film_that_arrives_after_the_end_leaves_nothing(doomed, alice, wire):
    received = receive_stream(io.BytesIO(film()), name="late.mp4")
    assert remove_due() == GONE

    with pytest.raises(IntegrityError):
        store_video(workspace=doomed, user=alice, received=received, provider=provider_for("tiktok"))

    assert files_of(doomed) == []
    assert not Video.objects.exists()


def test_removal_cancels_what_waits_and_says_what_the_platform_answered(
    doomed, make_delivery, wire, monkeypatch
):
    make_delivery(doomed)
    with monkeypatch.context() as patch:
        patch.setattr("publishing.removing.transaction", SimpleNamespace(atomic=_die))
        remove_due()
    delivery_states = list(Delivery.objects.values_list("state", flat=True))

    remove_due()

    assert (delivery_states, answers()) == ([DeliveryState.CANCELED], ["revoked"])


def test_removal_waits_for_a_worker_to_stop(doomed, make_delivery, wire):
    delivery = make_delivery(doomed, state=DeliveryState.UPLOADING)
    Delivery.objects.claim(delivery.pk, lease=timedelta(minutes=5))

    outcome = remove_due()

    delivery.refresh_from_db()
    assert outcome == WAITS
    assert delivery.cancel_requested_at
    assert files_of(doomed)
    assert not wire.calls


def test_removal_does_not_wait_for_what_is_wholly_with_the_platform(doomed, make_delivery, wire):
    make_delivery(doomed, state=DeliveryState.PROCESSING, committed_at=timezone.now(), publish_id="v.1")

    assert remove_due() == GONE


def test_removal_waits_while_another_process_holds_the_tokens(doomed, make_connection, wire, monkeypatch):
    make_connection(doomed, refresh_lease_until=timezone.now() + timedelta(minutes=5))
    monkeypatch.setattr("connections.tokens.WAIT", timedelta(seconds=0))

    assert remove_due() == WAITS
    assert SocialConnection.objects.get().status == ConnectionStatus.ACTIVE


def test_removal_that_died_after_the_files_goes_on(doomed, make_delivery, wire, monkeypatch):
    make_delivery(doomed)

    with monkeypatch.context() as patch:
        patch.setattr("publishing.removing.transaction", SimpleNamespace(atomic=_die))
        assert remove_due() == WAITS
    assert files_of(doomed) == []
    assert Video.objects.exists()

    assert remove_due() == GONE


def test_removal_keeps_the_access_of_another_workspace_to_the_same_account(
    doomed, rival, make_connection, wire
):
    make_connection(doomed, provider_account_id="-000same")
    theirs = make_connection(rival, provider_account_id="-000same")

    assert remove_due() == GONE

    assert not wire.calls
    assert SocialConnection.objects.get() == theirs


def test_removal_waits_a_day_for_a_platform_that_cannot_be_told(doomed, make_connection):
    make_connection(doomed)
    with responses.RequestsMock() as wire:
        wire.post(REVOKE_URL, status=500)

        assert remove_due() == WAITS

    kept = SocialConnection.objects.get()
    assert (kept.status, bool(kept.access_token)) == (ConnectionStatus.ACTIVE, True)
    with responses.RequestsMock() as wire:
        wire.post(REVOKE_URL, json={})

        assert remove_due() == GONE

    assert answers() == ["revoked"]


def test_removal_goes_on_after_a_day_when_the_platform_cannot_be_told(doomed, make_connection):
    make_connection(doomed)
    Workspace.objects.update(removal_started_at=timezone.now() - timedelta(hours=25))
    with responses.RequestsMock() as wire:
        wire.post(REVOKE_URL, status=500)

        assert remove_due() == GONE

    assert answers() == ["failed"]


def test_a_workspaces_log_goes_with_it_and_one_event_stays(doomed, rival, alice, wire):
    for workspace in (doomed, rival):
        audit.record("workspace.renamed", workspace=workspace, actor=alice, was="Zaubernuss", now="x")

    remove_due()

    left = AuditEvent.objects.filter(workspace_id=doomed.pk)
    assert [event.action for event in left] == ["workspace.removed"]
    assert left[0].details["events"] == 1
    assert AuditEvent.objects.filter(workspace_id=rival.pk).count() == 1


def test_a_workspaces_log_stays_while_the_workspace_does(doomed, alice):
    Workspace.objects.update(removal_started_at=timezone.now())
    event = audit.record("workspace.renamed", workspace=doomed, actor=alice, was="x", now="y")
    removed = audit.record("workspace.removed", workspace=uuid.uuid4(), actor=None)
    personal = audit.record("account.removed", workspace=None, actor=None)

    for one in (event, removed, personal):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            one.delete()
