"""Starting and steering a real sandbox process, for every test that wants TikTok on the other end of a socket."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import requests

ROOT = Path(__file__).resolve().parents[2]
CLIENT_KEY = "sbdemo0000000000"
CLIENT_SECRET = "sandbox-demo-secret"
REDIRECT_URI = "http://127.0.0.1:9/connections/tiktok/callback/"
START_SECONDS = 20.0


class SandboxProcess:
    """A running sandbox. `url` is its address, `control` its control API, `stop` ends it."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, data_dir: Path, log_path: Path) -> None:
        self.process = process
        self.url = url
        self.data_dir = data_dir
        self.log_path = log_path
        self.http = requests.Session()
        self.http.trust_env = False

    def control(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Call `/control/api<path>` and return its JSON. HTTPError: the call was refused."""
        answer = self.http.request(
            method, f"{self.url}/control/api{path}", json=body, params=query or None, timeout=10
        )
        if answer.status_code >= 400:
            raise requests.HTTPError(f"{method} {path}: {answer.status_code} {answer.text}", response=answer)
        return answer.json()

    def settings(self, **changes: Any) -> Any:
        """Change settings and return all."""
        return self.control("PATCH", "/settings", changes)

    def fault(self, match: dict[str, Any], action: dict[str, Any], times: int | None = 1) -> Any:
        """Add a fault rule."""
        return self.control("POST", "/faults", {"match": match, "action": action, "times": times})

    def posts(self, **query: str) -> Any:
        """The posts that stand."""
        return self.control("GET", "/posts", **query)

    def tokens(self, creator: str, scopes: list[str] | None = None) -> Any:
        """A token pair without a browser, in the form of the token endpoint's answer."""
        body: dict[str, Any] = {"creator": creator}
        if scopes is not None:
            body["scopes"] = scopes
        return self.control("POST", "/tokens", body)

    def consent(self, query: dict[str, str], creator: str, grant: list[str] | None = None) -> dict[str, str]:
        """Allow as `creator` what `query` asks for; return the parameters that come back to the redirect URI.

        `grant` None ticks every scope. Raises AssertionError where the browser is not sent back.
        """
        scopes = query.get("scope", "").split(",") if grant is None else grant
        form = [*query.items(), ("creator", creator), ("decision", "allow"), *(("grant", s) for s in scopes)]
        answer = requests.post(f"{self.url}/v2/auth/authorize/", data=form, allow_redirects=False, timeout=10)
        assert answer.status_code == 302, f"no redirect but {answer.status_code}: {answer.text[-600:]}"
        return dict(parse_qsl(urlsplit(answer.headers["Location"]).query, keep_blank_values=True))

    def wait_until_ready(self) -> None:
        """Return once the health page answers. RuntimeError: it ended or took too long."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if self.http.get(f"{self.url}/healthz", timeout=1).ok:
                    return
            except requests.ConnectionError:
                time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"The sandbox did not start: {self.log_path.read_text()}")

    def stop(self, *, kill: bool = False) -> int:
        """End the process (with SIGKILL if `kill`) and return its exit status; safe to call twice."""
        self.http.close()
        if self.process.poll() is None:
            (self.process.kill if kill else self.process.terminate)()
        try:
            return self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_sandbox(data_dir: Path | str, *, port: int | None = None, **flags: Any) -> SandboxProcess:
    """Start `python -m sandbox` on a free port and return it once it answers.

    `flags` are its command-line options with underscores: ``profile="demo"``, ``redirect_uri=[…]`` (a list repeats
    the option), ``discard_bodies=True``; ``settings={…}`` sets any setting.
    """
    data_dir = Path(data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    command = [sys.executable, "-m", "sandbox", "--port", str(port), "--data-dir", str(data_dir)]
    command += _options(flags)
    log_path = data_dir / "sandbox.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    sandbox = SandboxProcess(process, f"http://127.0.0.1:{port}", data_dir, log_path)
    sandbox.wait_until_ready()
    return sandbox


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _options(flags: dict[str, Any]) -> list[str]:
    options: list[str] = []
    for name, value in flags.pop("settings", {}).items():
        options += ["--set", f"{name}={json.dumps(value)}"]
    for name, value in flags.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            options.append(option)
        elif value is not False and value is not None:
            for item in value if isinstance(value, list | tuple) else [value]:
                options += [option, str(item)]
    return options
