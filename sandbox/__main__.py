"""``python -m sandbox``: options in, server out."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from pathlib import Path
from typing import Any

from sandbox.app import Sandbox
from sandbox.control import parse_value
from sandbox.models import App
from sandbox.server import serve
from sandbox.settings import PROFILES, SettingError
from sandbox.world import World

DEFAULT_KEY = "sbdemo0000000000"
DEFAULT_SECRET = "sandbox-demo-secret"  # noqa: S105  # guards nothing but this stand-in


def parser() -> argparse.ArgumentParser:
    """The command line. Options of the app can also come from SANDBOX_* variables."""
    env = os.environ.get
    p = argparse.ArgumentParser(prog="python -m sandbox", description="A local stand-in for TikTok.")
    p.add_argument("--host", default="127.0.0.1", help="address to listen on")
    p.add_argument("--port", type=int, default=int(env("SANDBOX_PORT", "8787")))
    p.add_argument(
        "--fd", type=int, help="number of an open, listening socket to use instead of --host and --port"
    )
    p.add_argument("--data-dir", type=Path, default=Path(env("SANDBOX_DATA_DIR", ".data/sandbox")))
    p.add_argument(
        "--base-url", default=env("SANDBOX_BASE_URL", ""), help="how clients reach us; default: as they did"
    )
    p.add_argument("--profile", choices=sorted(PROFILES), default=env("SANDBOX_PROFILE", "strict"))
    p.add_argument("--client-key", default=env("SANDBOX_CLIENT_KEY", DEFAULT_KEY))
    p.add_argument("--client-secret", default=env("SANDBOX_CLIENT_SECRET", DEFAULT_SECRET))
    p.add_argument("--app-name", default=env("SANDBOX_APP_NAME", "Demo app"))
    p.add_argument("--platform", choices=["desktop", "web"], default=env("SANDBOX_PLATFORM", "desktop"))
    p.add_argument(
        "--redirect-uri", action="append", default=[], help="repeatable; none means any loopback address"
    )
    p.add_argument("--webhook-url", default=env("SANDBOX_WEBHOOK_URL", ""))
    p.add_argument("--verified-domain", action="append", default=[], help="repeatable, for PULL_FROM_URL")
    p.add_argument("--verified-prefix", action="append", default=[], help="repeatable, for PULL_FROM_URL")
    p.add_argument("--discard-bodies", action="store_true", help="count and hash uploaded bytes, keep none")
    p.add_argument("--no-hash", action="store_true", help="do not hash uploaded bytes")
    p.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any setting, repeatable")
    return p


def main() -> int:
    """Run the stand-in; 1 if it could not start."""
    options = parser().parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    options.data_dir.mkdir(parents=True, exist_ok=True)
    try:
        world = World(options.data_dir, profile=options.profile, flags=_flags(options), apps=[_app(options)])
    except SettingError as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return 2
    world.base_url = options.base_url.rstrip("/")
    try:
        listening = None if options.fd is None else socket.socket(fileno=options.fd)
    except OSError:
        sys.stderr.write(f"sandbox: --fd {options.fd} is not an open socket\n")
        return 2
    host, port = listening.getsockname()[:2] if listening else (options.host, options.port)
    address = options.base_url or f"http://{host}:{port}"
    sys.stdout.write(f"sandbox on {address} (profile {options.profile})\n")
    sys.stdout.flush()
    return 0 if serve(Sandbox(world), host=host, port=port, listening=listening) else 1


def env_list(name: str) -> list[str]:
    """A comma-separated variable."""
    return [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]


def _app(options: argparse.Namespace) -> App:
    return App(
        client_key=options.client_key,
        client_secret=options.client_secret,
        name=options.app_name,
        platform=options.platform,
        redirect_uris=options.redirect_uri or env_list("SANDBOX_REDIRECT_URIS"),
        webhook_url=options.webhook_url,
        verified_domains=options.verified_domain,
        verified_prefixes=options.verified_prefix,
    )


def _flags(options: argparse.Namespace) -> dict[str, Any]:
    flags = dict(parse_value(item) for item in options.set)
    if options.discard_bodies:
        flags["keep_bodies"] = False
    if options.no_hash:
        flags["hash_bodies"] = False
    return flags


if __name__ == "__main__":
    sys.exit(main())
