"""Profile, creator info and avatar: cached with an age, read anew when asked."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests
from django.core.files.storage import default_storage
from django.utils import timezone
from PIL import Image

from connections.avatars import AvatarError, copy_avatar, download, thumbnail
from connections.errors import TransportError
from connections.models import SocialConnection
from connections.profiles import creator_info_for, profile_for
from tests.connections.conftest import (
    AVATAR_URL,
    CREATOR_URL,
    USER_URL,
    creator_info,
    picture,
    user_info,
)

pytestmark = pytest.mark.django_db


def calls_to(wire, url):
    return sum(call.request.url.startswith(url) for call in wire.calls)


def test_creator_info_is_asked_once_in_a_minute(acme, make_connection, account):
    row = make_connection(acme)

    first = creator_info_for(row)
    again = creator_info_for(SocialConnection.objects.get(pk=row.pk))

    assert again == first
    assert again.max_duration == timedelta(minutes=5)
    assert again.is_stitch_disabled is True
    assert calls_to(account, CREATOR_URL) == 1


def test_creator_info_is_asked_again_when_it_is_old_or_forced(acme, make_connection, account):
    row = make_connection(acme)
    creator_info_for(row)
    creator_info_for(row, force=True)
    SocialConnection.objects.update(creator_info_fetched_at=timezone.now() - timedelta(seconds=61))
    row.refresh_from_db()

    creator_info_for(row)

    assert calls_to(account, CREATOR_URL) == 3


def test_a_creator_without_a_known_limit_survives_the_cache(acme, make_connection, tiktok):
    row = make_connection(acme)
    answer = creator_info()
    answer["data"].pop("max_video_post_duration_sec")
    tiktok.post(CREATOR_URL, json=answer)

    assert creator_info_for(row).max_duration is None
    assert creator_info_for(SocialConnection.objects.get(pk=row.pk)).max_duration is None


def test_the_profile_is_asked_once_a_day(acme, make_connection, account):
    row = make_connection(acme)

    first = profile_for(row)
    again = profile_for(SocialConnection.objects.get(pk=row.pk))

    assert again == first
    assert again.username == "noramoves"
    assert again.follower_count == 1200
    assert calls_to(account, USER_URL) == 1


def test_a_profile_that_cannot_be_read_leaves_the_stored_one(acme, make_connection, tiktok):
    row = make_connection(acme, profile={"account_id": "a", "username": "before"})
    tiktok.get(USER_URL, status=500)

    with pytest.raises(TransportError):
        profile_for(row, force=True)

    row.refresh_from_db()
    assert row.username == "before"


def test_a_read_profile_does_not_write_over_a_refreshed_token(acme, make_connection, account):
    row = make_connection(acme)
    stale = SocialConnection.objects.get(pk=row.pk)
    SocialConnection.objects.update(token_generation=5)

    profile_for(stale)

    row.refresh_from_db()
    assert row.token_generation == 5


def test_the_avatar_is_stored_small_and_the_old_one_removed(acme, make_connection, account):
    row = make_connection(acme)
    profile_for(row)
    old = row.avatar.name

    profile_for(row, force=True)

    row.refresh_from_db()
    assert row.avatar.name != old
    assert not default_storage.exists(old)
    with row.avatar.open() as file, Image.open(file) as image:
        assert (image.format, image.size) == ("JPEG", (256, 256))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"status": 404}, id="gone"),
        pytest.param({"body": b"<svg onload=alert(1)>"}, id="no picture"),
        pytest.param({"body": b""}, id="nothing"),
        pytest.param({"body": picture()[:200]}, id="cut off"),
        pytest.param({"body": picture() + bytes(1_000_000)}, id="over 1 MB"),
        pytest.param({"body": requests.ConnectTimeout("t")}, id="timeout"),
        pytest.param({"body": picture(size=(4097, 1))}, id="too many pixels"),
    ],
)
def test_an_avatar_that_cannot_be_used_keeps_the_old_one_and_is_no_error(
    acme, make_connection, tiktok, answer
):
    row = make_connection(acme, avatar="avatars/old.jpg")
    tiktok.get(USER_URL, json=user_info())
    tiktok.get(AVATAR_URL, **answer)

    profile_for(row)

    row.refresh_from_db()
    assert row.avatar.name == "avatars/old.jpg"
    assert row.username == "noramoves"


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x.example/a.png", "data:image/png;base64,xx", "/a"]
)
def test_only_web_addresses_are_downloaded(url):
    with pytest.raises(AvatarError):
        download(url)


def test_a_redirect_to_another_scheme_is_not_followed(tiktok, acme, make_connection):
    tiktok.get(AVATAR_URL, status=302, headers={"Location": "file:///etc/passwd"})

    assert copy_avatar(make_connection(acme), AVATAR_URL) is False


def test_an_avatars_address_is_not_logged(acme, make_connection, tiktok, caplog):
    caplog.set_level("DEBUG", logger="connections")
    tiktok.get(f"{AVATAR_URL}?x-signature=secret", status=403)

    copy_avatar(make_connection(acme), f"{AVATAR_URL}?x-signature=secret")

    assert "avatar not copied" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_common_pictures_become_thumbnails(kind):
    assert thumbnail(picture(kind)).startswith(b"\xff\xd8")


def test_a_gif_is_refused():
    with pytest.raises(AvatarError):
        thumbnail(picture("GIF"))
