"""The last look before a process begins its work: `python -m config.startup`, and each worker's and beat's own start.

Runs every system check, those for deployment and for stored data included, and refuses to start on an error.
"""

from __future__ import annotations

import os

from django.core.checks import ERROR, CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured

REFUSAL = "Broadside does not start with these settings:"


def problems() -> list[CheckMessage]:
    """Return what stands against a start. Needs `django.setup()`. A database that is away is no reason."""
    found = run_checks(include_deployment_checks=True, databases=["default"])
    return [message for message in found if message.is_serious(ERROR) and not message.is_silenced()]


def refuse_insecure_start() -> None:
    """Raise SystemExit with the reasons, in an operator's words, if there are any."""
    found = problems()
    if found:
        lines = [f"- {one.msg} {one.hint or ''} ({one.id})" for one in found]
        raise SystemExit("\n".join([REFUSAL, *lines]))


def main() -> None:
    """Check and return, or end with status 1 and the reasons on stderr."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        django.setup()
    except ImproperlyConfigured as error:
        raise SystemExit(f"{REFUSAL}\n- {error}") from None
    refuse_insecure_start()


if __name__ == "__main__":
    main()
