"""What a faked wire cannot show: real connections that break, stall, or answer too early."""

from __future__ import annotations

import socket
import ssl
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from connections.errors import (
    ConfigurationError,
    RejectedError,
    ResponseError,
    TransportError,
    UnreachableError,
    UploadExpiredError,
    UploadRangeError,
)
from connections.providers.base import Chunk
from connections.providers.tiktok.http import MAX_ANSWER_BYTES, Http
from connections.providers.tiktok.oauth import App
from connections.providers.tiktok.provider import TikTokProvider
from tests.connections.providers.tiktok import wire

BLOCK = b"x" * (1 << 20)
QUICK = {"connect_timeout": 1.0, "read_timeout": 0.3}


def provider_at(url, *, http=None):
    app = App("key", wire.CLIENT_SECRET, "http://127.0.0.1:8000/cb/", (), f"{url}/authorize/", url)
    provider = TikTokProvider(app)
    if http is not None:
        provider._http = provider._upload_http = http
    return provider


def client_at(url, *, http=None):
    return provider_at(url, http=http).client(access_token=wire.ACCESS_TOKEN, scopes=["user.info.basic"])


def send(url, *, blocks, size, http=None, path="/upload/?upload_token=secretsecret"):
    return provider_at(url, http=http).send_chunk(
        upload_url=url + path,
        chunk=Chunk(index=0, first=0, last=size - 1),
        total_bytes=size,
        content_type="video/mp4",
        blocks=blocks,
    )


def endless_blocks(seen):
    while True:
        seen.append(1)
        yield BLOCK


def self_signed(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    return path


# --- the chunk --------------------------------------------------------------------------------------------------------


def test_send_chunk_sends_the_very_bytes_with_a_length_and_unchunked():
    requests = []

    def serve(connection):
        requests.append(wire.read_request(connection))
        connection.sendall(wire.http(201))

    with wire.serving(serve) as server:
        receipt = send(server.url, blocks=[b"a" * 700_000, b"b", b"c" * 299_999], size=1_000_000)

    head, body = requests[0]
    lines = head.lower().splitlines()
    assert lines[0] == "put /upload/?upload_token=secretsecret http/1.1"
    assert {"content-length: 1000000", "content-range: bytes 0-999999/1000000"} <= set(lines)
    assert not any(line.startswith(("transfer-encoding", "authorization", "expect")) for line in lines)
    assert body == b"a" * 700_000 + b"b" + b"c" * 299_999
    assert receipt.is_complete


def test_memory_does_not_grow_with_the_chunk():
    def serve(connection):
        _, body = wire.read_head(connection)
        left = 128 * len(BLOCK) - len(body)
        buffer = bytearray(1 << 16)
        while left > 0:
            left -= connection.recv_into(buffer)
        connection.sendall(wire.http(201))

    with wire.serving(serve) as server:
        tracemalloc.start()
        send(server.url, blocks=(bytes(len(BLOCK)) for _ in range(128)), size=128 * len(BLOCK))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < 8 * len(BLOCK)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, UploadExpiredError), (416, UploadRangeError), (400, RejectedError), (500, TransportError)],
)
def test_an_early_answer_counts_though_the_server_hangs_up_while_we_send(status, kind):
    def serve(connection):
        wire.read_head(connection)
        connection.sendall(wire.http(status, Connection="close"))

    with wire.serving(serve) as server, pytest.raises(kind) as caught:
        send(server.url, blocks=endless_blocks([]), size=1 << 32)

    assert caught.value.http_status == status


def test_an_early_success_is_not_believed():
    def serve(connection):
        wire.read_head(connection)
        connection.sendall(wire.http(201, Connection="close"))

    with wire.serving(serve) as server, pytest.raises(TransportError):
        send(server.url, blocks=endless_blocks([]), size=1 << 32)


def test_a_reset_in_the_middle_is_transport():
    def serve(connection):
        wire.read_head(connection)
        connection.recv(1 << 20)
        wire.reset(connection)

    with wire.serving(serve) as server, pytest.raises(TransportError) as caught:
        send(server.url, blocks=endless_blocks([]), size=1 << 32)

    assert not caught.value.nothing_happened


def test_a_connection_that_closes_without_an_answer_is_transport():
    with wire.serving(wire.read_request) as server, pytest.raises(TransportError) as caught:
        send(server.url, blocks=[b"abc"], size=3)

    assert not caught.value.nothing_happened


def test_a_server_that_stops_reading_times_out_and_no_more_blocks_are_read_meanwhile():
    done = threading.Event()
    seen: list[int] = []

    def serve(connection):
        wire.read_head(connection)
        done.wait(timeout=20)

    with wire.serving(serve) as server:
        with pytest.raises(TransportError):
            send(
                server.url,
                blocks=endless_blocks(seen),
                size=1 << 32,
                http=Http(connect_timeout=0.3, read_timeout=0.3),
            )
        done.set()

    assert 0 < len(seen) < 64  # what the kernel's buffers take, not 4096 MiB


def test_a_torn_body_after_a_201_is_still_a_201():
    def serve(connection):
        wire.read_request(connection)
        connection.sendall(b"HTTP/1.1 201 X\r\nContent-Length: 400\r\n\r\nnu")

    with wire.serving(serve) as server:
        assert send(server.url, blocks=[b"abc"], size=3).is_complete


class _SourceFailure(Exception):
    pass


@pytest.mark.parametrize(
    "failure",
    [
        _SourceFailure("gone"),
        OSError(5, "I/O error"),
        BrokenPipeError(32, "x"),
        ConnectionResetError(104, "x"),
        TimeoutError(),
    ],
)
def test_what_the_blocks_raise_comes_through_unchanged_and_the_connection_is_closed(failure):
    received = []
    connected = threading.Event()

    def serve(connection):
        _, body = wire.read_head(connection)
        connected.set()
        while part := connection.recv(1000):  # ends when the client hangs up
            body += part
        received.append(body)

    def blocks() -> Iterator[bytes]:
        yield b"ab"
        assert connected.wait(timeout=10)
        raise failure

    with wire.serving(serve) as server, pytest.raises(type(failure)) as caught:
        send(server.url, blocks=blocks(), size=1000)

    assert caught.value is failure
    assert failure.__cause__ is None
    assert failure.__context__ is None
    assert received == [b"ab"]


@pytest.mark.parametrize("blocks", [[b"abc"], [b"abcd", b"ef"], []])
def test_blocks_that_do_not_add_up_are_a_value_error(blocks):
    with (
        wire.serving(wire.read_request) as server,
        pytest.raises(ValueError, match="the chunk's 5 bytes"),
    ):
        send(server.url, blocks=blocks, size=5)


def test_chunks_share_one_connection_while_the_server_keeps_it():
    def serve(connection):
        while wire.read_request(connection)[0]:
            connection.sendall(wire.http(201))

    with wire.serving(serve) as server:
        provider = provider_at(server.url)
        for _ in range(3):
            provider.send_chunk(
                upload_url=f"{server.url}/upload/",
                chunk=Chunk(index=0, first=0, last=2),
                total_bytes=3,
                content_type="video/mp4",
                blocks=[b"abc"],
            )
        provider._upload_http.close()

    assert server.connection_count == 1


def test_a_cut_connection_is_not_used_again():
    answers = iter([wire.http(403), wire.http(201)])

    def serve(connection):
        answer = next(answers)
        if b"403" in answer:
            wire.read_head(connection)
        else:
            wire.read_request(connection)
        connection.sendall(answer)

    with wire.serving(serve) as server:
        provider = provider_at(server.url)
        with pytest.raises(UploadExpiredError):
            provider.send_chunk(
                upload_url=f"{server.url}/upload/",
                chunk=Chunk(index=0, first=0, last=(1 << 32) - 1),
                total_bytes=1 << 32,
                content_type="video/mp4",
                blocks=endless_blocks([]),
            )
        receipt = provider.send_chunk(
            upload_url=f"{server.url}/upload/",
            chunk=Chunk(index=0, first=0, last=2),
            total_bytes=3,
            content_type="video/mp4",
            blocks=[b"abc"],
        )

    assert receipt.is_complete
    assert server.connection_count == 2


# --- the other calls --------------------------------------------------------------------------------------------------


def test_a_refused_connection_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    with pytest.raises(UnreachableError) as caught:
        client_at(url).fetch_profile()

    assert caught.value.nothing_happened


def test_a_name_that_does_not_resolve_is_unreachable(monkeypatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    with pytest.raises(UnreachableError):
        client_at("https://open.tiktokapis.invalid").fetch_profile()


def test_a_certificate_that_nobody_vouches_for_stops_us_before_anything_is_sent(tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))

    def serve(connection):
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1000)

    with wire.serving(serve) as server, pytest.raises(UnreachableError) as caught:
        client_at(server.url.replace("http:", "https:")).fetch_profile()

    assert "certificate" in str(caught.value)


def test_a_server_without_tls_is_not_trusted():
    def serve(connection):
        connection.recv(1000)
        connection.sendall(wire.http(200))

    with wire.serving(serve) as server, pytest.raises(TransportError):
        client_at(server.url.replace("http:", "https:")).fetch_profile()


@pytest.mark.parametrize(
    "part", [b"", b"HTTP/1.1 200 X\r\nContent-Le", b"HTTP/1.1 200 X\r\nContent-Length: 90\r\n\r\n{"]
)
def test_an_answer_that_stalls_times_out(part):
    done = threading.Event()

    def serve(connection):
        wire.read_request(connection)
        connection.sendall(part)
        done.wait(timeout=20)

    with wire.serving(serve) as server:
        with pytest.raises(TransportError) as caught:
            client_at(server.url, http=Http(**QUICK)).fetch_profile()
        done.set()

    assert not caught.value.nothing_happened


def test_an_answer_that_drips_does_not_hold_us_for_ever():
    hung_up = threading.Event()

    def serve(connection):
        wire.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            if hung_up.wait(0.05):
                return
            connection.sendall(b" ")

    with wire.serving(serve) as server:
        with pytest.raises(TransportError):
            client_at(server.url, http=Http(**QUICK)).fetch_profile()
        hung_up.set()


def test_all_waits_for_one_answer_end_together():
    hung_up = threading.Event()
    late_pieces = []

    def serve(connection):
        wire.read_request(connection)
        hung_up.wait(1.5)
        connection.sendall(b"HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\n")
        if not hung_up.wait(1.5):  # no single wait is as long as the time-out
            late_pieces.append(b"{}")
            connection.sendall(b"{")

    with wire.serving(serve) as server:
        with pytest.raises(TransportError):
            client_at(server.url, http=Http(connect_timeout=0.2, read_timeout=2.0)).fetch_profile()
        hung_up.set()

    assert late_pieces == []


def test_a_slow_answer_costs_the_next_request_no_time():
    def serve(connection):
        while wire.read_request(connection)[0]:
            connection.sendall(wire.http_json(200, wire.ok({"user": {"open_id": "-000abcDEF_1"}})))

    http = Http(connect_timeout=1.0, read_timeout=5.0)
    with wire.serving(serve) as server:
        client_at(server.url, http=http).fetch_profile()
        [pool] = http._session.get_adapter("http://").poolmanager.pools._container.values()
        idle = pool.pool.get_nowait()
        patience = idle.sock.gettimeout()
        idle.close()
        http.close()

    assert patience == 5.0


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 X\r\nContent-Length: 500\r\n\r\n" + b'{"data":', id="torn body"),
        pytest.param(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", id="torn chunk"),
        pytest.param(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{", id="bad chunk length"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", id="no HTTP"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_broken_answer_is_transport(answer):
    def serve(connection):
        wire.read_request(connection)
        connection.sendall(answer)

    with wire.serving(serve) as server, pytest.raises(TransportError) as caught:
        client_at(server.url, http=Http(**QUICK)).fetch_profile()

    assert not caught.value.nothing_happened


def test_an_endless_answer_is_cut_off():
    def serve(connection):
        wire.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 X\r\n\r\n")
        for _ in range(MAX_ANSWER_BYTES // len(BLOCK) + 40):
            connection.sendall(BLOCK)

    with wire.serving(serve) as server, pytest.raises(ResponseError, match="larger"):
        client_at(server.url).fetch_profile()


def test_environment_proxies_netrc_and_cookies_do_not_count(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    heads = []

    def serve(connection):
        while head := wire.read_request(connection)[0]:
            heads.append(head.lower())
            body = b'{"data":{"user":{"open_id":"o"}},"error":{"code":"ok"}}'
            connection.sendall(wire.http(200, body, Set_Cookie="sid=1; Path=/"))

    with wire.serving(serve) as server:
        http = Http()
        client_at(server.url, http=http).fetch_profile()
        client_at(server.url, http=http).fetch_profile()
        http.close()

    assert len(heads) == 2
    assert not any("cookie" in head or "basic" in head.split("\r\n", 1)[1] for head in heads)


def test_a_token_that_fits_no_header_is_reported_without_it():
    provider = provider_at("http://127.0.0.1:9")

    for token in ("act.a\r\nX-Evil: 1", "act.\u20ac"):
        with pytest.raises(ConfigurationError) as caught:
            provider.client(access_token=token, scopes=["user.info.basic"]).fetch_profile()
        assert "act." not in str(caught.value)
