"""The servers under the tests are what they claim to be."""

import pytest
from django.db import connection

pytestmark = pytest.mark.django_db


def test_application_role_obeys_row_level_security():
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")

        assert cursor.fetchone() == (False, False)


def test_cast_has_its_roles(alice, erin, vic, mallory, acme, rival):
    roles = {
        m.user.email: (m.workspace.slug, m.role) for m in [*acme.memberships.all(), *rival.memberships.all()]
    }

    assert roles == {
        "alice@example.com": ("acme", "owner"),
        "erin@example.com": ("acme", "editor"),
        "vic@example.com": ("acme", "viewer"),
        "mallory@example.com": ("rival", "owner"),
    }
