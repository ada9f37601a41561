"""What a provider says about an account, cached on its row with its age."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.utils import timezone

from connections.avatars import copy_avatar
from connections.clients import call
from connections.models import SocialConnection
from connections.providers.base import CreatorInfo, Profile

PROFILE_AGE = timedelta(hours=24)


def creator_info_for(
    connection: SocialConnection, *, force: bool = False, max_age: timedelta = timedelta(minutes=1)
) -> CreatorInfo:
    """Return what the creator may choose right now, from the row if it is younger than `max_age` and not `force`.

    Reloads `connection` when it asks. Raises ProviderError.
    """
    fetched_at = connection.creator_info_fetched_at
    if not force and fetched_at and timezone.now() - fetched_at < max_age and connection.creator_info:
        return _creator_from_json(connection.creator_info)
    asked_at = timezone.now()
    info = call(connection, lambda client: client.fetch_creator())
    connection.creator_info, connection.creator_info_fetched_at = _creator_to_json(info), asked_at
    connection.save(update_fields=["creator_info", "creator_info_fetched_at"])
    if not connection.avatar:
        copy_avatar(connection, info.avatar_url)
    return info


def profile_for(
    connection: SocialConnection, *, force: bool = False, max_age: timedelta = PROFILE_AGE
) -> Profile:
    """Return the account's public profile, from the row if it is younger than `max_age` and not `force`.

    Copies the avatar too, since its URL expires. Reloads `connection` when it asks. Raises ProviderError.
    """
    fetched_at = connection.profile_fetched_at
    if not force and fetched_at and timezone.now() - fetched_at < max_age and connection.profile:
        return _profile_from_json(connection.profile)
    asked_at = timezone.now()
    profile = call(connection, lambda client: client.fetch_profile())
    connection.profile, connection.profile_fetched_at = dataclasses.asdict(profile), asked_at
    connection.save(update_fields=["profile", "profile_fetched_at"])
    copy_avatar(connection, profile.avatar_url)
    return profile


def _creator_to_json(info: CreatorInfo) -> dict[str, Any]:
    values = dataclasses.asdict(info) | {"privacy_levels": list(info.privacy_levels)}
    duration = values.pop("max_duration")
    return values | {"max_duration_s": duration.total_seconds() if duration is not None else None}


def _creator_from_json(stored: Mapping[str, Any]) -> CreatorInfo:
    values = dict(stored)
    seconds = values.pop("max_duration_s", None)
    return CreatorInfo(
        **values | {"privacy_levels": tuple(values["privacy_levels"])},
        max_duration=timedelta(seconds=seconds) if seconds is not None else None,
    )


def _profile_from_json(stored: Mapping[str, Any]) -> Profile:
    known = {field.name for field in dataclasses.fields(Profile)}
    return Profile(**{name: value for name, value in stored.items() if name in known})
