"""The access table of what allauth serves: signing up, logging in and out, passwords, second steps, sessions."""

from __future__ import annotations

from tests.access import preparing as given
from tests.access.table import (
    ADDRESS,
    AUDIT,
    AWAY,
    KEY,
    LOGIN,
    MEMBERSHIP,
    NO_METHOD,
    SHOWN,
    THEN_LOGIN,
    USER,
    WORKSPACE,
    Deed,
    Entry,
    anyone,
    does,
    entry,
    logged_in,
    page,
    typed,
    visitor,
)

_UNKNOWN = visitor(405, others=405)
_AS_FORM = visitor(LOGIN, others=SHOWN)
"""PUT to a form of Django's is a POST without a body: the form comes back."""

LOG_IN: list[Entry] = [
    # In and out
    entry(
        "accounts/login/",
        get=visitor(200, others=AWAY),
        post=does(visitor(302, others=AWAY), body=given.right_password, touches=(USER,)),
        put=visitor(SHOWN, others=AWAY),
        other=visitor(405, others=AWAY),
    ),
    entry(
        "accounts/logout/",
        get=visitor(AWAY, others=200),
        post=does(visitor(AWAY, others=302), AUDIT),
        other=_UNKNOWN,
    ),
    entry(
        "accounts/signup/",
        get=visitor(200, others=AWAY),
        post=does(visitor(302, others=AWAY), USER, ADDRESS, WORKSPACE, MEMBERSHIP, body=given.sign_up),
        put=visitor(SHOWN, others=AWAY),
        other=visitor(405, others=AWAY),
    ),
    page("accounts/inactive/", anyone(200)),
    entry(
        "accounts/reauthenticate/",
        get=logged_in(200),
        post=does(logged_in(302), body=given.password_again),
        put=_AS_FORM,
        other=NO_METHOD,
    ),
    entry(
        "accounts/login/code/confirm/",
        get=visitor(LOGIN, others=AWAY),
        post=visitor(LOGIN, others=AWAY),
        other=visitor(LOGIN, others=AWAY),
    ),
    # Addresses
    entry(
        "accounts/email/",
        get=logged_in(200),
        post=does(logged_in(302), ADDRESS, body=given.another_address),
        put=visitor(LOGIN, others=AWAY),
        other=NO_METHOD,
    ),
    page("accounts/confirm-email/", anyone(200)),
    entry(
        r"accounts/^confirm-email/(?P<key>[-:\w]+)/$",
        given=given.address_unconfirmed,
        case="of the owner",
        get=Deed(anyone(200), touches=frozenset({AUDIT})),  # whoever else is logged in is logged out
        post=does((THEN_LOGIN, THEN_LOGIN, THEN_LOGIN, THEN_LOGIN, THEN_LOGIN, 302, THEN_LOGIN), ADDRESS),
        other=_UNKNOWN,
    ),
    entry(
        r"accounts/^confirm-email/(?P<key>[-:\w]+)/$",
        given=given.key_made_up,
        case="made up",
        get=anyone(200),
        post=anyone(404),
    ),
    # Passwords
    entry(
        "accounts/password/change/",
        get=logged_in(200),
        post=does(logged_in(302), USER, body=given.another_password),
        put=_AS_FORM,
        other=NO_METHOD,
    ),
    entry(
        "accounts/password/set/",
        case="where there is one",
        get=visitor(LOGIN, others=AWAY),
        post=visitor(LOGIN, others=AWAY),
        put=visitor(LOGIN, others=AWAY),
        other=visitor(LOGIN, others=AWAY),
    ),
    entry(
        "accounts/password/set/",
        given=given.without_password,
        case="where there is none",
        get=logged_in(200),
        post=does(
            logged_in(302),
            USER,
            body=typed(password1=given.NEW_PASSWORD, password2=given.NEW_PASSWORD),
        ),
    ),
    entry(
        "accounts/password/reset/",
        get=anyone(200),
        post=does(anyone(302), body=typed(email="bystander@acme.example.com")),
        put=anyone(SHOWN),
        other=anyone(405),
    ),
    page("accounts/password/reset/done/", anyone(200)),
    entry(
        "accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        given=given.link_of_reset,
        case="by the link",
        get=Deed(anyone(200), touches=frozenset({AUDIT})),
        post=does(
            anyone(302),
            USER,
            body=typed(password1=given.NEW_PASSWORD, password2=given.NEW_PASSWORD),
        ),
        put=Deed(anyone(200), touches=frozenset({AUDIT})),
        other=Deed(anyone(405), spends=frozenset({AUDIT})),
    ),
    entry(
        "accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        given=given.key_made_up,
        case="made up",
        get=anyone(SHOWN),
        post=Deed(anyone(SHOWN), typed(password1=given.NEW_PASSWORD, password2=given.NEW_PASSWORD)),
    ),
    page("accounts/password/reset/key/done/", anyone(200)),
    # The second step
    page("accounts/2fa/", logged_in(200)),
    entry(
        "accounts/2fa/authenticate/",
        get=visitor(LOGIN, others=AWAY),
        post=visitor(LOGIN, others=AWAY),
        other=visitor(LOGIN, others=AWAY),
    ),
    entry(
        "accounts/2fa/reauthenticate/",
        get=visitor(LOGIN, others=AWAY),
        post=visitor(LOGIN, others=AWAY),
        other=visitor(LOGIN, others=AWAY),
    ),
    entry(
        "accounts/2fa/totp/activate/",
        get=logged_in(200),
        post=does(logged_in(302), KEY),
        put=_AS_FORM,
        other=NO_METHOD,
        given=given.app_offered,
    ),
    entry(
        "accounts/2fa/totp/deactivate/",
        get=logged_in(200),
        post=does(logged_in(302), KEY),
        put=Deed(logged_in(302), changes=frozenset({KEY}), touches=frozenset({AUDIT})),
        other=NO_METHOD,
        given=given.app_set_up,
        case="with an app",
    ),
    entry("accounts/2fa/totp/deactivate/", get=logged_in(404), post=logged_in(404), case="without an app"),
    page(
        "accounts/2fa/recovery-codes/", Deed(logged_in(200), touches=frozenset({KEY})), given=given.app_set_up
    ),
    entry(
        "accounts/2fa/recovery-codes/generate/",
        get=logged_in(200),
        post=does(logged_in(302), KEY),
        put=does(logged_in(302), KEY),
        other=NO_METHOD,
        given=given.app_set_up,
    ),
    entry(
        "accounts/2fa/recovery-codes/download/",
        get=Deed(logged_in(200), touches=frozenset({KEY})),
        post=Deed(logged_in(405), spends=frozenset({KEY})),  # they are noted as seen before the method is
        other=Deed(logged_in(405), spends=frozenset({KEY})),
        given=given.app_set_up,
    ),
    page("accounts/2fa/webauthn/", logged_in(200)),
    entry(
        "accounts/2fa/webauthn/add/",
        get=logged_in(200),
        post=Deed(logged_in(SHOWN), given.key_of_nobody),
        put=_AS_FORM,
        other=NO_METHOD,
    ),
    entry(
        "accounts/2fa/webauthn/reauthenticate/",
        get=visitor(LOGIN, others=AWAY),
        post=Deed(visitor(LOGIN, others=AWAY), given.key_of_nobody),
        other=visitor(LOGIN, others=AWAY),
    ),
    entry(
        "accounts/2fa/webauthn/keys/<int:pk>/remove/",
        get=(LOGIN, 404, 200, 200, 200, 200, 404),
        post=does((LOGIN, 404, 302, 302, 302, 302, 404), KEY, AUDIT),
        other=NO_METHOD,
    ),
    entry(
        "accounts/2fa/webauthn/keys/<int:pk>/edit/",
        get=(LOGIN, 404, 200, 200, 200, 200, 404),
        post=does((LOGIN, 404, 302, 302, 302, 302, 404), KEY, body=typed(name="Renamed")),
        put=(LOGIN, 404, SHOWN, SHOWN, SHOWN, SHOWN, 404),
        other=NO_METHOD,
    ),
    entry(
        "accounts/2fa/webauthn/login/",
        get=visitor(LOGIN, others=AWAY),
        post=Deed(visitor(LOGIN, others=AWAY), given.key_of_nobody),
        put=visitor(LOGIN, others=AWAY),
        other=visitor(405, others=AWAY),
    ),
    # Sessions
    entry(
        "accounts/sessions/",
        get=logged_in(200),
        post=does(logged_in(302)),
        put=visitor(LOGIN, others=AWAY),
        other=NO_METHOD,
    ),
    # With the platform's log-in
    entry(
        "accounts/tiktok/login/",
        given=given.sign_in_on,
        case="switched on",
        get=visitor(LOGIN, others=AWAY),
        post=visitor(302, others=AWAY),
        other=anyone(405),
    ),
    entry("accounts/tiktok/login/", case="switched off", get=anyone(404), post=anyone(404)),
    entry(
        "accounts/tiktok/link/",
        given=given.sign_in_on,
        case="switched on",
        get=NO_METHOD,
        post=logged_in(302),
        other=NO_METHOD,
    ),
    entry("accounts/tiktok/link/", case="switched off", get=logged_in(404), post=logged_in(404)),
    entry(
        "accounts/tiktok/callback/",
        given=given.sign_in_on,
        case="without a log-in under way",
        get=Deed(anyone(400), spends=frozenset({AUDIT})),
        post=anyone(405),
        other=anyone(405),
    ),
    entry("accounts/tiktok/callback/", case="switched off", get=anyone(404)),
    entry(
        "accounts/tiktok/signup/",
        given=given.sign_in_on,
        case="without a log-in under way",
        get=anyone(LOGIN),
        post=anyone(LOGIN),
        other=anyone(LOGIN),
    ),
    entry("accounts/tiktok/signup/", case="switched off", get=anyone(404), post=anyone(404)),
    entry(
        "accounts/sign-in-methods/",
        given=given.sign_in_on,
        case="switched on",
        get=logged_in(200),
        post=logged_in(SHOWN),
        put=_AS_FORM,
        other=NO_METHOD,
    ),
    entry("accounts/sign-in-methods/", case="switched off", get=logged_in(404), post=logged_in(404)),
]
