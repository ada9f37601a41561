"""The registry of providers: adding a platform is adding a folder and a line here."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from connections.providers.base import Provider


def _tiktok() -> Provider:
    from connections.providers.tiktok.provider import TikTokProvider

    return TikTokProvider.from_settings()


_FACTORIES: dict[str, Callable[[], Provider]] = {"tiktok": _tiktok}


@cache
def provider_for(name: str) -> Provider:
    """Return the provider called `name`, made once from settings. Raises LookupError for an unknown name.

    Tests that change settings call `provider_for.cache_clear()`.
    """
    if name not in _FACTORIES:
        raise LookupError(f"no provider is called {name!r}")
    return _FACTORIES[name]()


def provider_names() -> tuple[str, ...]:
    """Names of all providers, in the order of the registry."""
    return tuple(_FACTORIES)
