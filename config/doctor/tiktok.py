"""TikTok: credentials, whether its server answers, the clocks, and the address to register in its portal.

Rules for redirect URIs: https://developers.tiktok.com/doc/login-kit-web
and https://developers.tiktok.com/doc/login-kit-desktop
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.urls import reverse

from config.doctor.findings import Finding, broken, fine, note

REAL_HOST = ".tiktokapis.com"
LOOPBACK = {"127.0.0.1", "localhost"}
LONGEST_URI = 511
SKEW_SECONDS = 60
PORTAL = "https://developers.tiktok.com/apps"


def check_tiktok() -> Iterator[Finding]:
    """Everything that can be told without a user's consent."""
    yield from _credentials()
    yield from _server(datetime.now(UTC))
    yield from _redirect_uri(settings.TIKTOK_REDIRECT_URI)
    yield _pkce(settings.TIKTOK_REDIRECT_URI, settings.TIKTOK_PKCE)
    if settings.TIKTOK_SIGN_IN:
        yield from _sign_in(f"{settings.BASE_URL}{reverse('tiktok_callback')}")
    yield _webhook(f"{settings.BASE_URL}{reverse('webhook', args=['tiktok'])}")


def is_real() -> bool:
    """Whether the API is TikTok's own, not a stand-in."""
    return f".{urlsplit(settings.TIKTOK_API_URL).hostname}".endswith(REAL_HOST)


def _credentials() -> Iterator[Finding]:
    missing = [name for name in ("TIKTOK_CLIENT_KEY", "TIKTOK_CLIENT_SECRET") if not getattr(settings, name)]
    if missing:
        yield broken(
            f"{' and '.join(missing)} not set: no account can be connected",
            f"Copy them from your app's page at {PORTAL} (docs/connect-tiktok.md).",
        )
        return
    key = settings.TIKTOK_CLIENT_KEY
    kind = "of a sandbox in TikTok's portal" if key.startswith("sb") and is_real() else "set"
    yield fine(f"Client key {key[:4]}… and secret are {kind}")


def _server(now: datetime) -> Iterator[Finding]:
    url = settings.TIKTOK_API_URL
    authorize_is_real = f".{urlsplit(settings.TIKTOK_AUTHORIZE_URL).hostname}".endswith(".tiktok.com")
    if authorize_is_real != is_real():
        yield broken(
            f"Consent is asked at {settings.TIKTOK_AUTHORIZE_URL}, but the API is {url}",
            "Set TIKTOK_AUTHORIZE_URL and TIKTOK_API_URL both, or neither.",
        )
    try:
        answer = requests.get(url, timeout=(5, 10), allow_redirects=False)
    except requests.RequestException as error:
        yield broken(
            f"{url} cannot be reached ({type(error).__name__})",
            "Check the network, the proxy and TIKTOK_API_URL.",
        )
        return
    yield fine(f"{url} answers" + ("" if is_real() else " (a stand-in for TikTok, not the real one)"))
    yield from _clock(answer.headers.get("Date", ""), now)


def _clock(date_header: str, now: datetime) -> Iterator[Finding]:
    try:
        skew = abs((parsedate_to_datetime(date_header) - now).total_seconds())
    except (TypeError, ValueError):
        return
    if skew > SKEW_SECONDS:
        yield note(
            f"This machine's clock and TikTok's differ by {skew:.0f} s",
            "Switch time synchronization on: tokens seem to expire early or late.",
        )
    else:
        yield fine("This machine's clock agrees with TikTok's")


def _redirect_uri(uri: str) -> Iterator[Finding]:
    platform, problems = judge_redirect_uri(uri)
    for problem, advice in problems:
        yield broken(f"The redirect URI {uri} is refused by TikTok: {problem}", advice)
    if not problems:
        yield fine(f"Redirect URI, to be registered exactly like this under Login Kit, {platform}: {uri}")
    if not uri.startswith(f"{settings.BASE_URL}/"):
        yield note(
            f"The redirect URI is not below BASE_URL ({settings.BASE_URL})",
            "People come back to another address than they left from, where they are not logged in.",
        )


def _sign_in(uri: str) -> Iterator[Finding]:
    platform, problems = judge_redirect_uri(uri)
    for problem, _ in problems:
        yield broken(f"People cannot log in by {uri}: {problem}", "Change BASE_URL, or set TIKTOK_SIGN_IN=0.")
    if not problems:
        yield fine(f"Redirect URI for logging in, to be registered too, {platform}: {uri}")


def judge_redirect_uri(uri: str) -> tuple[str, list[tuple[str, str]]]:
    """The platform of TikTok's portal that `uri` belongs to (Web or Desktop), and each broken rule with what to do."""
    parts = urlsplit(uri)
    platform = "Desktop" if parts.hostname in LOOPBACK else "Web"
    fix = "Change TIKTOK_REDIRECT_URI (or BASE_URL, which it follows)."
    rules = [
        (not parts.hostname or parts.scheme not in {"http", "https"}, "it is not an absolute web address"),
        (platform == "Web" and parts.scheme != "https", "anything but this very machine must be https"),
        (platform == "Desktop" and not _has_port(uri), "a loopback address must name its port"),
        ("?" in uri, "it has a query string"),
        ("#" in uri, "it has a fragment"),
        (len(uri) > LONGEST_URI, f"it is {len(uri)} characters long, and must stay under 512"),
    ]
    return platform, [(words, fix) for is_broken, words in rules if is_broken]


def _has_port(uri: str) -> bool:
    try:
        return urlsplit(uri).port is not None
    except ValueError:
        return False


def _pkce(uri: str, chosen: str) -> Finding:
    is_loopback = urlsplit(uri).hostname in LOOPBACK
    is_used = chosen == "on" or (chosen == "auto" and is_loopback)
    if is_loopback and not is_used:
        return note("PKCE is off, and TikTok asks Desktop apps for it", "Set TIKTOK_PKCE=auto.")
    return fine(f"PKCE is {'used' if is_used else 'not used'} (TIKTOK_PKCE={chosen})")


def _webhook(url: str) -> Finding:
    """The address that TikTok tells what became of a post. Source: https://developers.tiktok.com/doc/webhooks-overview"""
    parts = urlsplit(url)
    if is_real() and (parts.scheme != "https" or parts.hostname in LOOPBACK):
        return fine(
            f"No webhooks: TikTok sends them to public https addresses only, not to {url}. Broadside asks instead"
        )
    return fine(f"Webhook URL, to be pasted into the app's page at TikTok if you want events at once: {url}")
