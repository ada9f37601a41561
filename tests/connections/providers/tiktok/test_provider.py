from __future__ import annotations

import pytest

from connections.providers import provider_for, provider_names
from connections.providers.base import Provider, PublishMode
from connections.providers.tiktok.provider import TikTokProvider
from tests.connections.providers.tiktok.wire import CLIENT_SECRET


@pytest.fixture
def tiktok_settings(settings):
    settings.TIKTOK_CLIENT_KEY = "sb99"
    settings.TIKTOK_CLIENT_SECRET = CLIENT_SECRET
    settings.TIKTOK_REDIRECT_URI = "http://127.0.0.1:8000/connections/tiktok/callback/"
    settings.TIKTOK_AUTHORIZE_URL = "http://127.0.0.1:9000/v2/auth/authorize/"
    settings.TIKTOK_API_URL = "http://127.0.0.1:9000"
    settings.TIKTOK_SCOPES = ["user.info.basic", "video.upload"]
    settings.TIKTOK_PKCE = "auto"
    settings.TIKTOK_UPLOAD_HOSTS = [".tiktokapis.com"]
    provider_for.cache_clear()
    yield settings
    provider_for.cache_clear()


def test_the_registry_makes_tiktok_from_the_settings(tiktok_settings):
    provider: Provider = provider_for("tiktok")

    assert provider_names() == ("tiktok",)
    assert isinstance(provider, TikTokProvider)
    assert provider.redirect_uri == tiktok_settings.TIKTOK_REDIRECT_URI
    assert provider.requested_scopes == ("user.info.basic", "video.upload")
    assert provider.uses_pkce
    assert (
        provider.authorizer()
        .authorize_url(state="s", code_verifier=None)
        .startswith("http://127.0.0.1:9000/v2/auth/authorize/?client_key=sb99&")
    )


@pytest.mark.parametrize(
    ("key", "secret", "expected"), [("k", "s", True), ("", "s", False), ("k", "", False), ("", "", False)]
)
def test_is_configured_needs_key_and_secret(make_provider, key, secret, expected):
    assert make_provider(client_key=key, client_secret=secret).is_configured is expected


def test_no_secret_is_shown(provider):
    assert CLIENT_SECRET not in repr(provider._app)


@pytest.mark.parametrize(
    ("text", "length"), [("", 0), ("abc", 3), ("é", 1), ("👋", 2), ("👨‍👩‍👧", 8), ("a\nb", 3), ("\ud800", 1)]
)
def test_caption_length_counts_utf16_code_units(provider, text, length):
    assert provider.caption_length(text) == length


def test_the_limits_are_tiktoks(provider):
    assert (provider.caption_limit, provider.max_video_bytes) == (2200, 4 * 1024**3)


def test_every_scope_and_privacy_level_has_a_label_for_people(provider):
    assert set(provider.requested_scopes) <= set(provider.scope_labels)
    assert set(provider.publish_scopes) == set(PublishMode)
    assert set(provider.publish_scopes.values()) <= set(provider.scope_labels)
    assert provider.required_scopes <= set(provider.scope_labels)
    assert list(provider.privacy_labels.values()) == ["Everyone", "Friends", "Followers", "Only me"]
    assert provider.posting_rules.public_levels <= set(provider.privacy_labels)


@pytest.mark.parametrize(
    ("username", "post_id", "url"),
    [
        ("creator", "7345678901234567891", "https://www.tiktok.com/@creator/video/7345678901234567891"),
        ("a.b_c", "", "https://www.tiktok.com/@a.b_c"),
        ("x/../y?z", "1", "https://www.tiktok.com/@x%2F..%2Fy%3Fz/video/1"),
        ("", "1", ""),
    ],
)
def test_post_url_leads_to_the_post_or_to_the_profile_until_there_is_an_id(provider, username, post_id, url):
    assert provider.post_url(username, post_id) == url


def test_links_follow_the_place_where_people_sign_in(make_provider):
    provider = make_provider(authorize_url="http://127.0.0.1:9000/v2/auth/authorize/")

    assert provider.profile_url("creator") == "http://127.0.0.1:9000/@creator"
