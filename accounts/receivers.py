"""What the audit log hears by signal: sign-ins and the like from allauth, and what operators do in the admin."""

from __future__ import annotations

import json
import uuid
from typing import Any

from allauth.account import signals as allauth
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.models import EmailAddress
from allauth.mfa import signals as mfa
from allauth.mfa.models import Authenticator
from allauth.socialaccount import signals as social
from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.signals import user_logged_out, user_login_failed
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpRequest

from accounts import audit
from accounts.models import User, Workspace

_STEPS = {"password": "password", "socialaccount": "TikTok", "password_reset": "link in an e-mail"}
_IN_ADMIN = {ADDITION: "admin.added", CHANGE: "admin.changed", DELETION: "admin.deleted"}


@receiver(allauth.user_logged_in)
def signed_in(request: HttpRequest, user: User, **_: Any) -> None:
    """Somebody is in, all steps done."""
    audit.record_for_person("sign_in", user=user, actor=user, request=request, steps=_steps(request, user))


def _steps(request: HttpRequest, user: User) -> list[str]:
    """By what they came in, in order: a password, TikTok, a code, a key."""
    return [
        str(_STEPS.get(one["method"], one.get("type"))) for one in get_authentication_records(request, user)
    ]


@receiver(user_logged_out)
def signed_out(request: HttpRequest, user: User | None, **_: Any) -> None:
    """Somebody went."""
    if user is not None:
        audit.record_for_person("sign_out", user=user, actor=user, request=request)


@receiver(user_login_failed)
def sign_in_failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """A wrong password. What was typed is not kept, for people type passwords into the wrong field."""
    user = _owner_of(str(credentials.get("email") or credentials.get("username") or ""))
    if user is None:
        audit.record("sign_in.failed", workspace=None, actor=None, request=request, account="unknown")
    else:
        audit.record_for_person("sign_in.failed", user=user, actor=None, request=request, user_id=user.pk)


@receiver(mfa.authentication_failed)
def second_step_failed(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    """A wrong code, after a right password."""
    kind = str(authenticator.type)
    audit.record_for_person(
        "sign_in.failed", user=user, actor=None, request=request, user_id=user.pk, step=kind
    )


def _owner_of(email: str) -> User | None:
    user = User.objects.filter(email__iexact=email).first() if email else None
    if user is None and email:
        address = (
            EmailAddress.objects.select_related("user").filter(email__iexact=email, verified=True).first()
        )
        user = address.user if address else None
    return user


@receiver([allauth.password_changed, allauth.password_set])
def password_changed(request: HttpRequest, user: User, **_: Any) -> None:
    """Somebody set another password, logged in."""
    audit.record_for_person("password.changed", user=user, actor=user, request=request)


@receiver(allauth.password_reset)
def password_reset(request: HttpRequest, user: User, **_: Any) -> None:
    """Somebody set another password by a link in an e-mail."""
    audit.record_for_person("password.reset", user=user, actor=user, request=request)


@receiver(allauth.password_reset)
def forget_unproven_links(request: HttpRequest, user: User, **_: Any) -> None:
    """Unlink what was linked before anybody proved that the address is theirs: it may be a stranger's way in.

    Who opens an account on somebody else's address cannot use it until that person confirms it, and shall not then.
    """
    if EmailAddress.objects.filter(user=user, verified=True).exists():
        return
    for account in SocialAccount.objects.filter(user=user):
        _record_link(
            "sign_in_method.unlinked", request, user, account, reason="the address was not confirmed"
        )
        account.delete()


@receiver(social.social_account_added)
def method_linked(request: HttpRequest, sociallogin: SocialLogin, **_: Any) -> None:
    """Somebody can log in with TikTok too."""
    _record_link("sign_in_method.linked", request, sociallogin.user, sociallogin.account)


@receiver(allauth.user_signed_up)
def signed_up(request: HttpRequest, user: User, sociallogin: SocialLogin | None = None, **_: Any) -> None:
    """Somebody is new here, and may have come by TikTok."""
    if sociallogin is not None:
        _record_link("sign_in_method.linked", request, user, sociallogin.account)


@receiver(social.social_account_removed)
def method_unlinked(request: HttpRequest, socialaccount: SocialAccount, **_: Any) -> None:
    """Somebody no longer logs in with it."""
    _record_link("sign_in_method.unlinked", request, socialaccount.user, socialaccount)


def _record_link(
    action: str, request: HttpRequest, user: User, account: SocialAccount, **details: str
) -> None:
    """The platform is kept, and not the name that the person has there: it would outlive them."""
    audit.record_for_person(
        action, user=user, actor=user, request=request, method=account.provider, **details
    )


@receiver(allauth.email_changed)
def email_changed(
    request: HttpRequest, user: User, from_email_address: EmailAddress | None, **_: Any
) -> None:
    """Somebody logs in with another address now, or confirmed the one of their sign-up: allauth says both by this."""
    action = "email.changed" if from_email_address else "email.confirmed"
    audit.record_for_person(action, user=user, actor=user, request=request)


@receiver(mfa.authenticator_added)
def second_step_added(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    """Somebody set up an app, a key or recovery codes."""
    _record_step("second_step.added", request, user, authenticator)


@receiver(mfa.authenticator_removed)
def second_step_removed(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    """Somebody took one away."""
    _record_step("second_step.removed", request, user, authenticator)


@receiver(mfa.authenticator_reset)
def recovery_codes_renewed(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    """Somebody made new recovery codes; the old ones ended."""
    _record_step("second_step.codes_renewed", request, user, authenticator)


def _record_step(action: str, request: HttpRequest, user: User, authenticator: Authenticator) -> None:
    audit.record_for_person(
        action, user=user, actor=user, request=request, kind=str(authenticator.type), step=authenticator.pk
    )


@receiver(post_save, sender=LogEntry)
def done_in_admin(instance: LogEntry, created: bool, **_: Any) -> None:
    """An operator changed something. The names of the fields are kept, not what stands in them."""
    if not created:
        return
    kind = instance.content_type
    audit.record(
        _IN_ADMIN[instance.action_flag],
        workspace=_workspace_of(instance),
        actor=instance.user if isinstance(instance.user, User) else None,
        kind=f"{kind.app_label}.{kind.model}" if kind else "",
        object=instance.object_id or "",
        fields=_fields(instance),
    )


def _workspace_of(entry: LogEntry) -> uuid.UUID | None:
    """Whose it is, so that its people see what operators do there; None for what belongs to no workspace."""
    try:
        thing = entry.get_edited_object()
    except (ObjectDoesNotExist, ValidationError, AttributeError):  # gone by now, or of an app that is gone
        return None
    found = thing.pk if isinstance(thing, Workspace) else getattr(thing, "workspace_id", None)
    return found if isinstance(found, uuid.UUID) else None


def _fields(entry: LogEntry) -> list[str]:
    try:
        parts = json.loads(entry.change_message or "[]")
    except ValueError:
        return []  # a message of an action's own words
    found = [part.get("changed", {}).get("fields", []) for part in parts if isinstance(part, dict)]
    return [str(name) for names in found for name in names]
