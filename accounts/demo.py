"""People for a demo: an owner, a viewer and an operator, with a workspace."""

from __future__ import annotations

from dataclasses import dataclass

from allauth.account.models import EmailAddress
from django.db import transaction

from accounts.models import Membership, Role, User, Workspace
from accounts.scopes import System, system_scope
from accounts.workspaces import create_workspace

PASSWORD = "demo-broadside"  # noqa: S105 - printed for everybody to use
WORKSPACE_NAME = "Demo studio"
WORKSPACE_SLUG = "demo-studio"


@dataclass(frozen=True)
class Login:
    """One way into the demo."""

    email: str
    name: str
    what: str
    is_operator: bool = False


OWNER = Login("demo@broadside.local", "Demo Owner", f"owner of {WORKSPACE_NAME}")
VIEWER = Login("viewer@broadside.local", "Demo Viewer", f"viewer in {WORKSPACE_NAME}")
OPERATOR = Login("admin@broadside.local", "Demo Operator", "operator: /admin/", is_operator=True)
LOGINS = (OWNER, VIEWER, OPERATOR)


@system_scope(System.DEMO)
@transaction.atomic
def load_people() -> str:
    """Make the demo's logins and its workspace where they are missing; list the logins. May be called again."""
    people = {login: _load_user(login) for login in LOGINS}
    workspace = Workspace.objects.filter(slug=WORKSPACE_SLUG).first()
    if workspace is None:
        workspace = create_workspace(name=WORKSPACE_NAME, slug=WORKSPACE_SLUG, owner=people[OWNER])
    Membership.objects.get_or_create(workspace=workspace, user=people[OWNER], defaults={"role": Role.OWNER})
    Membership.objects.get_or_create(workspace=workspace, user=people[VIEWER], defaults={"role": Role.VIEWER})
    return "\n".join(f"{login.email:<24} {PASSWORD}   {login.what}" for login in LOGINS)


def _load_user(login: Login) -> User:
    user = User.objects.filter(email__iexact=login.email).first()
    if user is None:
        user = User.objects.create_user(
            login.email,
            PASSWORD,
            name=login.name,
            is_staff=login.is_operator,
            is_superuser=login.is_operator,
        )
    EmailAddress.objects.get_or_create(
        user=user, email=user.email, defaults={"primary": True, "verified": True}
    )
    return user
