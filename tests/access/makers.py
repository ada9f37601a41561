"""What stands in an address: for each parameter of a route, a value that belongs to the side that is visited."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal.auth import WebAuthn
from allauth.usersessions.models import UserSession
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData

from accounts.models import User
from tests.access.routes import Parameter, Route
from tests.access.world import Visit


def register_key(user: User) -> Authenticator:
    """Give `user` a passkey; no private key belongs to it."""
    public = ES256.from_cryptography_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    known = AttestedCredentialData.create(bytes(16), user.pk.bytes, public)
    seen = AuthenticatorData.create(bytes(32), AuthenticatorData.FLAG(0x45), 0, known)
    credential = {
        "id": websafe_encode(user.pk.bytes),
        "rawId": websafe_encode(user.pk.bytes),
        "type": "public-key",
        "response": {
            "clientDataJSON": websafe_encode(
                json.dumps(
                    {"type": "webauthn.create", "challenge": "", "origin": "https://testserver"}
                ).encode()
            ),
            "attestationObject": websafe_encode(AttestationObject.create("none", seen, {})),
        },
        "clientExtensionResults": {"credProps": {"rk": True}},
    }
    return WebAuthn.add(user, "A key", credential).instance


def begin_session(user: User) -> UserSession:
    """Log `user` in with another browser."""
    client = Client()
    client.force_login(user)
    key = client.session.session_key
    return UserSession.objects.update_or_create(
        session_key=key, defaults={"user": user, "ip": "127.0.0.1", "user_agent": "Another browser"}
    )[0]


MAKERS: dict[str, Callable[[Visit], Any]] = {
    "w/<slug:slug>": lambda visit: visit.side.slug,
    "w/<slug:slug>/members/<uuid:membership_id>": lambda visit: visit.side.bystander.pk,
    "w/<slug:slug>/invitations/<uuid:invitation_id>": lambda visit: visit.side.invitation.pk,
    "w/<slug:slug>/notices/<uuid:notice_id>": lambda visit: visit.side.notices[visit.role].pk,
    "w/<slug:slug>/settings/data/<uuid:export_id>": lambda visit: visit.side.export.pk,
    "w/<slug:slug>/connections/<uuid:pk>": lambda visit: visit.side.connection.pk,
    "w/<slug:slug>/posts/<uuid:post_id>": lambda visit: visit.side.post.pk,
    "w/<slug:slug>/deliveries/<uuid:delivery_id>": lambda visit: visit.side.delivery.pk,
    "w/<slug:slug>/videos/<uuid:video_id>": lambda visit: visit.side.video.pk,
    "w/<slug:slug>/photos/<uuid:photo_id>": lambda visit: visit.side.photo.pk,
    "w/<slug:slug>/connections/connect/<slug:provider>": lambda visit: "tiktok",
    "connections/<slug:provider>": lambda visit: "tiktok",
    "webhooks/<slug:provider>": lambda visit: "tiktok",
    "profile/data/<uuid:export_id>": lambda visit: visit.side.own_exports[visit.role].pk,
    "accounts/2fa/webauthn/keys/<int:pk>": lambda visit: register_key(visit.own_user).pk,
    "accounts/sessions/<int:session_id>": lambda visit: begin_session(visit.own_user).pk,
}
"""By the path up to the parameter. What is no key of a row but a secret or a name is `given` by the table instead."""


def value_for(parameter: Parameter, visit: Visit, route: Route) -> Any:
    """A value for `parameter`. Raises LookupError if nobody has said what it is the key of."""
    if parameter.name in visit.values:
        return visit.values[parameter.name]
    if parameter.place not in MAKERS:
        raise LookupError(f"{route}: tests/access/makers.py has no maker for {parameter.place}")
    return MAKERS[parameter.place](visit)
