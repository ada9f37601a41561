"""The worker's own upload code against curl: `python -m benchmarks.upload_speed [--size BYTES] [--rounds N]`.

Both send the same chunks of one file over one kept-alive connection to the same sink, in turn, over plain HTTP and
over TLS. CPU seconds are those of the sending process: ours without the start of Python, since a worker runs for long.
"""

from __future__ import annotations

import argparse
import datetime
import ipaddress
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.running import machine

if TYPE_CHECKING:
    from connections.providers.base import ChunkPlan
    from connections.providers.tiktok.provider import TikTokProvider


def main() -> None:
    """Print throughput and CPU seconds of both, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    os.environ |= {"DJANGO_SETTINGS_MODULE": "config.settings", "DEBUG": "1", "ENV_FILE": os.devnull}
    import django

    django.setup()
    with tempfile.TemporaryDirectory(prefix="broadside-benchmark-") as name:
        folder = Path(name)
        _write_file(folder / "video", given.size)
        for scheme in ("http", "https"):
            _compare(folder, scheme, given.size, given.rounds)
    print(machine())


def _compare(folder: Path, scheme: str, size: int, rounds: int) -> None:
    certificate = _make_certificate(folder) if scheme == "https" else []
    with _sink(certificate) as port:
        provider = _provider(f"{scheme}://127.0.0.1:{port}", certificate)
        plan = provider.plan_chunks(size)
        parts = _split(folder, plan)
        url = f"{scheme}://127.0.0.1:{port}/upload/"
        ours, curls = [], []
        for number in range(rounds + 1):
            mine, other = (
                _send_ours(provider, plan, url, folder / "video"),
                _send_curl(plan, url, parts, certificate),
            )
            if number:  # the first round warms both up
                ours.append(mine)
                curls.append(other)
    print(f"{scheme}: {plan.count} chunks, {size / 1e6:.0f} MB, median of {rounds} rounds")
    speeds, cpus = [], []
    for label, runs in (("ours", ours), ("curl", curls)):
        seconds, cpu = statistics.median(run[0] for run in runs), statistics.median(run[1] for run in runs)
        speeds.append(size / seconds / 1e6)
        cpus.append(cpu)
        print(f"  {label}: {size / seconds / 1e6:7.0f} MB/s, {cpu:.2f} CPU seconds")
    print(f"  ours / curl: throughput {speeds[0] / speeds[1]:.2f}, CPU {cpus[0] / cpus[1]:.2f}")


def _send_ours(provider: TikTokProvider, plan: ChunkPlan, url: str, path: Path) -> tuple[float, float]:
    from django.core.files.storage import FileSystemStorage

    from publishing.blocks import read_blocks

    storage = FileSystemStorage(location=path.parent)
    started, cpu = time.perf_counter(), time.process_time()
    for chunk in plan.chunks():
        provider.send_chunk(
            upload_url=url,
            chunk=chunk,
            total_bytes=plan.total_bytes,
            content_type="video/mp4",
            blocks=read_blocks(storage, path.name, first=chunk.first, size=chunk.size),
        )
    return time.perf_counter() - started, time.process_time() - cpu


def _send_curl(plan: ChunkPlan, url: str, parts: list[Path], certificate: list[str]) -> tuple[float, float]:
    words: list[str] = ["curl", "--silent", "--show-error", "--fail"]
    for chunk, part in zip(plan.chunks(), parts, strict=True):
        words += ["--cacert", certificate[0]] if certificate else []
        words += ["-H", "Expect:", "-H", "Content-Type: video/mp4", "-o", os.devnull]
        words += [
            "-H",
            f"Content-Range: bytes {chunk.first}-{chunk.last}/{plan.total_bytes}",
            "-T",
            str(part),
            url,
        ]
        words.append("--next")
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(words[:-1], check=True)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _provider(api_url: str, certificate: list[str]) -> TikTokProvider:
    import requests.adapters

    from connections.providers.tiktok.oauth import App
    from connections.providers.tiktok.provider import TikTokProvider

    if certificate:  # trust the sink's own certificate, as curl is told to
        requests.adapters.DEFAULT_CA_BUNDLE_PATH = certificate[0]
    app = App(
        client_key="k",
        client_secret="s",  # noqa: S106
        redirect_uri="http://127.0.0.1:1/",
        scopes=(),
        authorize_url="http://127.0.0.1:1/",
        api_url=api_url,
    )
    return TikTokProvider(app)


@contextmanager
def _sink(certificate: list[str]) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "benchmarks.sink", str(port), *certificate]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101
        process.stdout.readline()
        try:
            yield port
        finally:
            process.terminate()


def _write_file(path: Path, size: int) -> None:
    block = os.urandom(1_000_000)
    with path.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
        file.write(block[: size % len(block)])


def _split(folder: Path, plan: ChunkPlan) -> list[Path]:
    parts = [folder / f"part{chunk.index:04}" for chunk in plan.chunks()]
    with (folder / "video").open("rb") as file:
        for chunk, part in zip(plan.chunks(), parts, strict=True):
            part.write_bytes(file.read(chunk.size))
    return parts


def _make_certificate(folder: Path) -> list[str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sink")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return [str(folder / "certificate.pem"), str(folder / "key.pem")]


if __name__ == "__main__":
    main()
