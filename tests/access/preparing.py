"""What must be true before a request of the table, and the valid bodies that it sends."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY, TOTP, generate_totp_secret, hotp_value
from allauth.mfa.totp.internal.auth import format_hotp_value as code_of
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Group
from django.utils import timezone

from accounts import invitations
from accounts.models import Invitation, NoticeKind, PersonExport, Workspace, WorkspaceExport
from config import heartbeat
from connections.models import WebhookEvent
from connections.providers import provider_for
from publishing.models import Delivery, WorkspaceQuota
from publishing.photos import sign_kept_photo
from publishing.pull_urls import pull_url
from publishing.states import DeliveryState, HoldReason
from publishing.videos import sign_kept_video
from tests.access.makers import begin_session
from tests.access.world import PASSWORD, Prepare, Visit, begin_connect, new_key
from tests.connections.webhook_wire import completed, sign

STATE = "the state that the platform brings back"
NEW_PASSWORD = "a horse of another colour"

# --- Workspaces and people --------------------------------------------------------------------------------------------


def deletion_requested(visit: Visit) -> None:
    """The workspace is to be deleted."""
    later = timezone.now() + timedelta(days=14)
    Workspace.objects.filter(pk=visit.side.workspace.pk).update(delete_after=later)


def exports_under_way(visit: Visit) -> None:
    """The visitor and the workspace have asked for an export."""
    WorkspaceExport.objects.create(workspace=visit.side.workspace)
    if visit.user is not None:
        PersonExport.objects.create(user=visit.user)


def invitation_opened(visit: Visit) -> None:
    """The browser came by the link of an invitation that was sent to the stranger."""
    stranger = visit.world.user("stranger")
    assert stranger
    Invitation.objects.filter(pk=visit.side.invitation.pk).update(email=stranger.email)
    session = visit.client.session
    session[invitations.SESSION_KEY] = invitations.hash_of(visit.side.token)
    session.save()


def link_of_invitation(visit: Visit) -> None:
    """The address holds the invitation's token."""
    visit.values["token"] = visit.side.token


def all_switches_off(visit: Visit) -> dict[str, Any]:
    """No kind of notice is wanted but one."""
    return {f"{NoticeKind.FAILED.value}-site": "on"}


def own_address(visit: Visit) -> dict[str, Any]:
    """The person's address, to confirm."""
    return {"email": visit.user.email if visit.user else ""}


# --- Connections ------------------------------------------------------------------------------------------------------


def connect_begun(visit: Visit) -> None:
    """The person began a connect to the workspace in this browser, and comes back from the platform."""
    if visit.user is not None:
        key = visit.client.session.session_key
        assert key
        begin_connect(visit.side, visit.user, key, state=STATE)
    visit.body |= {"state": STATE, "code": "the platform's code"}


def spare_connection(visit: Visit) -> None:
    """It is about the connection that is not the primary one."""
    visit.values["pk"] = visit.side.spare_connection.pk


def webhook_signed(visit: Visit) -> None:
    """The platform reports, with its signature."""
    visit.body["raw"] = completed(client_key=settings.TIKTOK_CLIENT_KEY)
    visit.headers["Tiktok-Signature"] = sign(visit.body["raw"], secret=settings.TIKTOK_CLIENT_SECRET)


def webhook_unsigned(visit: Visit) -> None:
    """Somebody reports in the platform's place."""
    visit.body["raw"] = completed(client_key=settings.TIKTOK_CLIENT_KEY)


# --- Posts ------------------------------------------------------------------------------------------------------------


def video_post(visit: Visit) -> dict[str, Any]:
    """The posting page, filled in, with the video that is kept."""
    return {
        "connection": str(visit.side.connection.pk),
        "submission_key": new_key(),
        "kept_video": sign_kept_video(visit.side.kept_video),
        "mode": "direct",
        "caption": "Hello",
        "privacy_level": "SELF_ONLY",
    }


def photo_post(visit: Visit) -> dict[str, Any]:
    """The posting page for photos, filled in, with the photo that is kept."""
    return {
        "connection": str(visit.side.connection.pk),
        "submission_key": new_key(),
        "kept": [sign_kept_photo(visit.side.kept_photo)],
        "mode": "direct",
        "title": "Hello",
        "privacy_level": "SELF_ONLY",
    }


def failed(visit: Visit) -> None:
    """The delivery has failed."""
    _delivery(visit).update(state=DeliveryState.FAILED, wake_at=None)


def unconfirmed(visit: Visit) -> None:
    """The delivery waits for a person's word."""
    _delivery(visit).update(
        state=DeliveryState.HELD,
        hold_reason=HoldReason.UNCONFIRMED,
        held_from=DeliveryState.PROCESSING,
        wake_at=None,
    )


def _delivery(visit: Visit) -> Any:
    return Delivery.objects.filter(pk=visit.side.delivery.pk)


def address_to_fetch(visit: Visit) -> None:
    """The address is one that we gave to the platform."""
    pulled = visit.side.pulled
    assert pulled.pull_requested_at
    url = pull_url(pulled, visit.side.photo, requested_at=pulled.pull_requested_at)
    prefix = provider_for("tiktok").pull_url_prefix
    visit.values["token"], visit.values["name"] = url.removeprefix(prefix).split("/")


def address_forged(visit: Visit) -> None:
    """The address is made up."""
    visit.values |= {"token": "forged", "name": "file.mp4"}


# --- Operation --------------------------------------------------------------------------------------------------------


def worker_alive(visit: Visit) -> None:
    """A worker has just given a sign of life."""
    heartbeat.record_worker("host:1")


def metrics_token(visit: Visit) -> None:
    """The request shows the token of the metrics."""
    visit.headers["Authorization"] = f"Bearer {settings.METRICS_TOKEN}"


# --- Log-in -----------------------------------------------------------------------------------------------------------


def right_password(visit: Visit) -> dict[str, Any]:
    """The log-in page, filled in rightly."""
    return {"login": visit.side.owner.email, "password": PASSWORD}


def sign_up(visit: Visit) -> dict[str, Any]:
    """The sign-up page, filled in."""
    return {"name": "New", "email": "new@example.com", "password1": NEW_PASSWORD}


def another_address(visit: Visit) -> dict[str, Any]:
    """A new address for the account."""
    return {"email": "another@example.com", "action_add": ""}


def another_password(visit: Visit) -> dict[str, Any]:
    """The old password and a new one."""
    return {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}


def without_password(visit: Visit) -> None:
    """The account has no password yet; whoever is logged in stays so."""
    if visit.user is not None:
        visit.user.set_unusable_password()
        visit.user.save()
        visit.client.force_login(visit.user)


def address_unconfirmed(visit: Visit) -> None:
    """The owner's address waits for confirmation, and the link from the e-mail is followed."""
    address = EmailAddress.objects.get(user=visit.side.owner)
    EmailAddress.objects.filter(pk=address.pk).update(verified=False)
    visit.values["key"] = EmailConfirmationHMAC(address).key


def link_of_reset(visit: Visit) -> None:
    """The bystander asked for a new password and follows the link, whose key the session then holds."""
    user = visit.side.bystander.user
    visit.values |= {"uidb36": user_pk_to_url_str(user), "key": "set-password"}
    session = visit.client.session
    session["_password_reset_key"] = default_token_generator.make_token(user)
    session.save()


def app_set_up(visit: Visit) -> None:
    """The person has an authenticator app and recovery codes."""
    if visit.user is not None:
        TOTP.activate(visit.user, generate_totp_secret())
        RecoveryCodes.activate(visit.user)


def app_offered(visit: Visit) -> None:
    """The page with the key to type was shown; the code of the app is typed."""
    secret = generate_totp_secret()
    session = visit.client.session
    session[SECRET_SESSION_KEY] = secret
    session.save()
    visit.body["code"] = code_of(hotp_value(secret, int(time.time() // 30)))


def no_key_yet(visit: Visit) -> None:
    """The person has no second step."""
    Authenticator.objects.filter(user=visit.user).delete()


def key_of_nobody(visit: Visit) -> dict[str, Any]:
    """A key's answer that cannot be right. Real ones are tried with a browser's own keys, in tests/browser."""
    return {"credential": json.dumps({})}


def password_again(visit: Visit) -> dict[str, Any]:
    """The password, typed once more."""
    return {"password": PASSWORD}


def key_made_up(visit: Visit) -> None:
    """The link was never sent."""
    visit.values |= {"uidb36": "1", "key": "made-up"}


def sign_in_on(visit: Visit) -> None:
    """Signing in with the platform is switched on."""
    settings.TIKTOK_SIGN_IN = True


# --- The admin --------------------------------------------------------------------------------------------------------


def row_of(model: str) -> Prepare:
    """It is about some row of `model`."""

    def prepare(visit: Visit) -> None:
        Group.objects.get_or_create(name="Support")
        kind = apps.get_model(model.replace("/", "."))
        if kind is WebhookEvent:
            kind.objects.create(provider="tiktok", dedup_key="one", kind="publish", body="{}")
        elif kind is Authenticator:
            RecoveryCodes.activate(visit.side.owner)
        elif kind is UserSession:
            begin_session(visit.side.owner)
        elif kind is SocialAccount:
            kind.objects.create(user=visit.side.owner, provider="tiktok", uid="-000owner")
        elif kind is WorkspaceQuota:
            kind.objects.create(workspace=visit.side.workspace, allowed_bytes=1)
        visit.values["object_id"] = kind._default_manager.order_by("pk")[0].pk

    return prepare


def page_of_nothing(visit: Visit) -> None:
    """It leads to the page of a row that has none."""
    visit.values |= {"content_type_id": "0", "object_id": "0"}


def password_of_bystander(visit: Visit) -> None:
    """It is about somebody's password."""
    visit.values["id"] = visit.side.bystander.user_id


def password_by_operator(visit: Visit) -> dict[str, Any]:
    """A new password, set by an operator."""
    return {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD, "usable_password": "true"}


def app_of_admin(visit: Visit) -> None:
    """One app's pages. The pattern lists the apps itself."""
    visit.values["app_label"] = "accounts"


def page_that_is_not(visit: Visit) -> None:
    """An address that leads nowhere."""
    visit.values["url"] = "nowhere/"
