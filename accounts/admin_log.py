"""Taking names out of the admin's own log: it keeps what a row was called, long after the row is gone.

Who did what and when stays, as it does in the audit log. Source:
https://docs.djangoproject.com/en/5.2/ref/contrib/admin/#logentry-objects
"""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q

GONE = "(removed)"


def forget(model: type[Model], keys: Iterable[object]) -> None:
    """Take the names of these rows out of it. They are about to go, or gone."""
    kind = ContentType.objects.get_for_model(model)
    rows = LogEntry.objects.filter(content_type=kind, object_id__in=[str(key) for key in keys])
    rows.update(object_repr=GONE, change_message="")


def forget_words(words: Iterable[str]) -> None:
    """Take the names of whatever rows hold one of `words` out of it, such as an e-mail address."""
    wanted = Q(pk__in=[])
    for word in filter(None, words):
        wanted |= Q(object_repr__icontains=word) | Q(change_message__icontains=word)
    LogEntry.objects.filter(wanted).update(object_repr=GONE, change_message="")
