"""Addresses that somebody else names: which may be used, and that the connection goes where was looked."""

from __future__ import annotations

import ast
import datetime
import http.server
import socket
import ssl
import threading
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings as configured

from config.outside_urls import (
    FetchError,
    ForbiddenUrlError,
    Origin,
    check_url,
    fetch,
    is_public,
    parse_origin,
)
from tests.connections.conftest import resolve_examples

PUBLIC = "93.184.215.14"


# --- The form ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://p16.tiktokcdn.com/a.jpeg?x=1", Origin("https", "p16.tiktokcdn.com", 443)),
        ("HTTPS://P16.TikTokCDN.com:443/", Origin("https", "p16.tiktokcdn.com", 443)),
        ("http://127.0.0.1:8787/avatar", Origin("http", "127.0.0.1", 8787)),
        ("http://sandbox:8787", Origin("http", "sandbox", 8787)),
        ("https://[2606:2800:220:1::1]/x", Origin("https", "2606:2800:220:1::1", 443)),
    ],
)
def test_parse_origin_reads_plain_addresses(url, origin):
    assert parse_origin(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/avatar.png",
        "//evil.example/a",
        "ftp://evil.example/a",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "data:image/png;base64,xx",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "https://:443/",
        "https://user@evil.example/",
        "https://user:secret@evil.example/",
        "https://p16.tiktokcdn.com@127.0.0.1/",
        "https://@127.0.0.1/",
        "https://evil.example\\@p16.tiktokcdn.com/",
        "https://p16.tiktokcdn.com\\.evil.example/",
        "https://evil.example:0/",
        "https://evil.example:65536/",
        "https://evil.example:80a/",
        "https://evil.example:-1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://017700000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.1/",
        "https://1.2.3.4.5/",
        "https://127.0.0.1./",
        "https://localhost./",
        "https://evil..example/",
        "https://.evil.example/",
        "https://-evil.example/",
        "https://ev%69l.example/",
        "https://127.0.0.1%2f@evil.example/",
        "https://127.0.0.1%00.evil.example/",
        "https://[::1",
        "https://::1/",
        "https://[::1]x/",
        "https://[fe80::1%25eth0]/",
        "https://[v1.x]/",
        "https://evil.example /",
        " https://evil.example/",
        "https://evil.example/\r\nHost: 127.0.0.1",
        "https://evil\t.example/",
        "https://ⓛocalhost/",
        "https://127。0。0。1/",
        "https://１２７.0.0.1/",
        "https://" + "a" * 64 + ".example/",
        "https://" + "a." * 130 + "example/",
    ],
)
def test_parse_origin_refuses_what_readers_could_disagree_on(url):
    with pytest.raises(ForbiddenUrlError):
        parse_origin(url)


# --- The address ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8"])
def test_public_addresses_are_public(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.192",
        "192.168.1.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::1",
        "2001:0:7f00:1::1",
        "2001:db8::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_everything_else_is_not(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:10.0.0.1"],
        pytest.param([PUBLIC, "127.0.0.1"], id="one of several is private"),
        pytest.param(["fe80::1%eth0"], id="with a zone"),
    ],
)
def test_a_name_that_leads_inside_is_refused(monkeypatch, addresses):
    resolve_examples(monkeypatch, *addresses)

    with pytest.raises(ForbiddenUrlError, match="private network"):
        check_url("https://cdn.example/a.png")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://127.0.0.1/", "private network"),
        ("https://[::1]/", "private network"),
        ("https://[::ffff:127.0.0.1]/", "private network"),
        ("https://localhost/", "private network"),
        ("http://cdn.example/", "not https"),
        ("https://cdn.example:8443/", "unusual port"),
        ("https://cdn.example:22/", "unusual port"),
    ],
)
def test_check_url_says_what_is_wrong_and_nothing_of_the_address(monkeypatch, url, words):
    resolve_examples(monkeypatch)

    with pytest.raises(ForbiddenUrlError, match=words) as refusal:
        check_url(f"{url}secret?signature=secret")

    assert "secret" not in str(refusal.value)


def test_a_name_that_nobody_knows_is_refused(monkeypatch):
    def fail(*_args, **_options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    with pytest.raises(ForbiddenUrlError, match="not known"):
        check_url("https://cdn.example/")


def test_debug_allows_http_but_no_way_inside(monkeypatch, settings):
    settings.DEBUG = True
    resolve_examples(monkeypatch)

    assert check_url("http://cdn.example/a")[1] == PUBLIC
    with pytest.raises(ForbiddenUrlError):
        check_url("http://127.0.0.1/a")


def test_the_configured_api_may_be_on_this_machine_but_not_its_neighbours(settings):
    settings.TIKTOK_API_URL = "http://127.0.0.1:8787"

    assert check_url("http://127.0.0.1:8787/avatar.png")[1] == "127.0.0.1"
    for other in ("http://127.0.0.1:6379/", "https://127.0.0.1:8787/", "http://127.0.0.2:8787/"):
        with pytest.raises(ForbiddenUrlError):
            check_url(other)


# --- The fetch --------------------------------------------------------------------------------------------------------


class Site(http.server.ThreadingHTTPServer):
    """A server on this machine, that answers as its handler's table says and notes what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.hosts.append(self.headers["Host"])
        status, headers, body = self.server.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Quiet."""


@pytest.fixture
def site(settings):
    """A site that stands for the configured API, so that it may be on this machine."""
    server = Site()
    settings.TIKTOK_API_URL = f"http://127.0.0.1:{server.port}"
    server.answers["/a.png"] = (200, {}, b"a picture")
    yield server
    server.shutdown()
    server.server_close()


def get(site, path="/a.png", **options):
    limits = {"max_bytes": 1000, "seconds": 5.0} | options
    return fetch(f"http://127.0.0.1:{site.port}{path}", **limits)


def test_fetch_returns_the_bytes(site):
    assert get(site) == b"a picture"
    assert site.hosts == [f"127.0.0.1:{site.port}"]


def test_fetch_connects_to_the_address_that_was_judged(site, settings, monkeypatch):
    """A name that leads elsewhere at the second look (DNS rebinding) changes nothing: there is no second look."""
    settings.TIKTOK_API_URL = f"http://api.example:{site.port}"
    looks = []

    def resolve(host, port, *_args, **_options):
        looks.append(host)
        address = "127.0.0.1" if host == "127.0.0.1" or looks.count("api.example") == 1 else "127.9.9.9"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    assert fetch(f"{settings.TIKTOK_API_URL}/a.png", max_bytes=1000, seconds=5) == b"a picture"
    assert looks.count("api.example") == 1
    assert site.hosts == [f"api.example:{site.port}"]


def test_a_redirect_is_followed_to_where_one_may_go(site):
    site.answers["/old"] = (302, {"Location": "/a.png"}, b"")

    assert get(site, "/old") == b"a picture"


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:6379/",
        "https://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "file:///etc/passwd",
        "https://2130706433/",
        "//127.0.0.2/",
    ],
)
def test_a_redirect_inside_is_refused(site, location):
    site.answers["/old"] = (302, {"Location": location}, b"")

    with pytest.raises(ForbiddenUrlError):
        get(site, "/old")

    assert len(site.hosts) == 1


def test_redirects_come_to_an_end(site):
    site.answers["/round"] = (301, {"Location": "/round"}, b"")

    with pytest.raises(FetchError, match="too many redirects"):
        get(site, "/round")

    assert len(site.hosts) == 3


@pytest.mark.parametrize(
    ("answer", "options", "words"),
    [
        pytest.param((500, {}, b"oops"), {}, "HTTP 500", id="an error"),
        pytest.param((204, {}, b""), {}, "HTTP 204", id="nothing"),
        pytest.param((200, {}, b"x" * 1001), {}, "larger than 0.001 MB", id="too large"),
        pytest.param((200, {}, b"slow"), {"seconds": -1.0}, "too long", id="too slow"),
        pytest.param((302, {}, b""), {}, "too many redirects", id="a redirect to itself"),
        pytest.param(
            (200, {"Content-Encoding": "gzip"}, b"no gzip"), {}, "ContentDecodingError", id="not what it says"
        ),
    ],
)
def test_fetch_tells_what_went_wrong(site, answer, options, words):
    site.answers["/b"] = answer

    with pytest.raises(FetchError, match=words):
        get(site, "/b", **options)


def test_a_small_answer_that_unpacks_to_a_large_one_is_cut_off(site):
    import gzip

    site.answers["/bomb"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(10_000_000)))

    with pytest.raises(FetchError, match="larger"):
        get(site, "/bomb")


def test_a_server_that_is_not_there_is_told(site):
    site.shutdown()
    site.server_close()

    with pytest.raises(FetchError, match="ConnectionError"):
        get(site)


def _certificate(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "site.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.mark.parametrize(("certified", "is_taken"), [("cdn.example", True), ("evil.example", False)])
def test_the_certificate_must_be_that_of_the_name(site, settings, monkeypatch, tmp_path, certified, is_taken):
    path = _certificate(tmp_path, certified)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    site.socket = context.wrap_socket(site.socket, server_side=True)
    settings.TIKTOK_API_URL = f"https://cdn.example:{site.port}"
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(path))
    resolve_examples(monkeypatch, "127.0.0.1")

    if is_taken:
        assert fetch(f"{settings.TIKTOK_API_URL}/a.png", max_bytes=1000, seconds=5) == b"a picture"
    else:
        with pytest.raises(FetchError, match="SSLError"):
            fetch(f"{settings.TIKTOK_API_URL}/a.png", max_bytes=1000, seconds=5)


# --- The only way out -------------------------------------------------------------------------------------------------

OPENS_CONNECTIONS = {"requests", "urllib3", "http.client", "urllib.request", "httpx", "aiohttp", "socket"}
MAY_OPEN = {
    "config/outside_urls.py": "this rule",
    "config/clamd.py": "the operator's scanner",
    "config/heartbeat.py": "the machine's own name",
    "config/management/commands/worker_alive.py": "the machine's own name",
    "config/doctor/tiktok.py": "the operator's API address",
    "connections/providers/tiktok/http.py": "the configured API, and upload addresses that hosts.py has judged",
}


def test_no_other_module_opens_connections():
    base = Path(configured.BASE_DIR)
    found = set()
    for app in ("accounts", "config", "connections", "publishing"):
        for path in (base / app).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
                if any(name in OPENS_CONNECTIONS or name.startswith("urllib3.") for name in names):
                    found.add(str(path.relative_to(base)))

    assert found <= set(MAY_OPEN)
