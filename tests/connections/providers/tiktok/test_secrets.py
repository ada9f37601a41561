"""No secret in what an error shows, holds or leaves behind, whatever TikTok answers, nor in any log."""

from __future__ import annotations

import json
import logging
import re
import socket
from urllib.parse import quote

import pytest
import requests
import responses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connections.errors import ProviderError
from connections.providers.base import Chunk, PublishMode, PublishOptions
from connections.providers.tiktok.chunks import plan_chunks
from connections.providers.tiktok.oauth import App
from connections.providers.tiktok.provider import TikTokProvider
from tests.connections.providers.tiktok import wire

SECRETS = {
    "access_token": "act.AAAAsecretAAAA",
    "refresh_token": "rft.RRRRsecretRRRR",
    "client_secret": "SSSSsecretSSSS",
    "code": "CCCCsecret*1!4608.va",
    "code_verifier": "VVVVsecretVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV",
    "upload_token": "UUUUsecretUUUU",
    "new_access_token": "act.NNNNsecretNNNN",
    "new_refresh_token": "rft.MMMMsecretMMMM",
}
UPLOAD_URL = f"https://open-upload.tiktokapis.com/video/?upload_id=1&upload_token={SECRETS['upload_token']}"
APP = App(
    "aw1", SECRETS["client_secret"], "https://app.example.com/cb/", (), "https://www.tiktok.com/a/", wire.API
)

CALLS = {
    "exchange_code": lambda p: p.authorizer().exchange_code(
        code=SECRETS["code"], code_verifier=SECRETS["code_verifier"]
    ),
    "refresh": lambda p: p.authorizer().refresh(refresh_token=SECRETS["refresh_token"]),
    "revoke": lambda p: p.authorizer().revoke(access_token=SECRETS["access_token"]),
    "fetch_profile": lambda p: _client(p).fetch_profile(),
    "fetch_creator": lambda p: _client(p).fetch_creator(),
    "start_upload": lambda p: _client(p).start_upload(
        mode=PublishMode.DIRECT, plan=plan_chunks(5), options=PublishOptions(privacy_level="SELF_ONLY")
    ),
    "fetch_status": lambda p: _client(p).fetch_status("v_pub_file~v2-1.7"),
    "cancel": lambda p: _client(p).cancel("v_pub_file~v2-1.7"),
    "list_videos": lambda p: _client(p).list_videos(),
    "query_videos": lambda p: _client(p).query_videos(["7"]),
    "send_chunk": lambda p: p.send_chunk(
        upload_url=UPLOAD_URL, chunk=Chunk(0, 0, 2), total_bytes=3, content_type="video/mp4", blocks=[b"abc"]
    ),
}
STATUSES = [200, 201, 206, 302, 400, 401, 403, 404, 416, 429, 500, 503]
FAILURES = [
    requests.ConnectionError,
    requests.ConnectTimeout,
    requests.ReadTimeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.SSLError,
    requests.exceptions.InvalidHeader,
    OSError,
]
_ANY_SECRET = re.compile(
    "|".join(re.escape(form) for value in SECRETS.values() for form in {value, quote(value)})
)


def _client(provider):
    return provider.client(access_token=SECRETS["access_token"], scopes=["user.info.basic"])


def held_by(error):
    """Everything that an error, and whatever it drags along, would print."""
    texts, queue, seen = [], [error], set()
    while queue:
        item = queue.pop()
        if item is None or id(item) in seen:
            continue
        seen.add(id(item))
        texts += [str(item), repr(item), repr(item.args), repr(vars(item))]
        queue += [item.__cause__, item.__context__]
    return "\n".join(texts)


def echo(template):
    """An answer's body in which each marker is a secret."""
    text = json.dumps(template)
    for name, value in SECRETS.items():
        text = text.replace(f"<{name}>", value)
    return text


ECHO = " ".join(f"<{name}>" for name in SECRETS)
BODIES = [
    {"error": {"code": "invalid_params", "message": f"bad {ECHO}", "log_id": "<access_token>"}},
    {"error": {"code": "<access_token>", "message": f"{ECHO}", "log_id": "x"}},
    {"error": "invalid_grant", "error_description": f"bad {ECHO}", "log_id": "<refresh_token>"},
    {"error": "<refresh_token>", "error_description": ECHO, "access_token": "<new_access_token>"},
    {
        "access_token": "<new_access_token>",
        "refresh_token": "<new_refresh_token>",
        "expires_in": "<new_access_token>",
    },
    {"access_token": "<new_access_token>\n", "refresh_token": "<new_refresh_token>", "open_id": "o"},
    {
        "error": {"code": "ok"},
        "data": {"publish_id": "p", "upload_url": "https://evil.example/?t=<upload_token>"},
    },
    {
        "error": {"code": "ok"},
        "data": {"publish_id": "", "upload_url": "<upload_token>", "status": "<access_token>"},
    },
    {
        "error": {"code": "ok"},
        "data": {"user": {"open_id": "", "display_name": ["<access_token>"]}, "videos": ECHO},
    },
]
TOKENS = {"access_token", "refresh_token", "new_access_token", "new_refresh_token"}
# Besides tokens, which show by their prefix, a call can only recognize what it was given itself.
ALSO_KNOWN = {
    "exchange_code": {"client_secret", "code", "code_verifier"},
    "refresh": {"client_secret"},
    "revoke": {"client_secret"},
    "send_chunk": {"upload_token"},
}


def body_for(call, body):
    text = json.dumps(body)
    for name in SECRETS.keys() - TOKENS - ALSO_KNOWN.get(call, set()):
        text = text.replace(f"<{name}>", "x")
    return echo(json.loads(text))


def assert_silent(error, caplog):
    shown = held_by(error)
    logged = "\n".join([caplog.text, *(repr(record.args) for record in caplog.records)])
    assert not _ANY_SECRET.search(shown)
    assert not _ANY_SECRET.search(logged)
    assert isinstance(error, ProviderError)
    assert (error.__cause__, error.__context__) == (None, None)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(call=st.sampled_from(sorted(CALLS)), status=st.sampled_from(STATUSES), body=st.sampled_from(BODIES))
def test_no_answer_makes_an_error_show_a_secret(caplog, call, status, body):
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for method in ("GET", "POST", "PUT"):
            mock.add(method, re.compile("https://.*"), body=body_for(call, body), status=status)
        try:
            CALLS[call](TikTokProvider(APP))
        except Exception as error:
            assert_silent(error, caplog)


@pytest.mark.parametrize("call", sorted(CALLS))
@pytest.mark.parametrize("failure", FAILURES)
def test_no_failure_of_the_http_library_gets_out(caplog, wire, call, failure):
    caplog.set_level(logging.DEBUG)
    for method in ("GET", "POST", "PUT"):
        wire.add(
            method,
            re.compile("https://.*"),
            body=failure(f"failed: {' '.join(SECRETS.values())} {UPLOAD_URL}"),
        )

    with pytest.raises(ProviderError) as caught:
        CALLS[call](TikTokProvider(APP))

    assert_silent(caught.value, caplog)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 403 X\r\nbroken header line\r\nContent-Length: 0\r\n\r\n",
        b"junk\r\n\r\n",
    ],
)
@pytest.mark.parametrize("call", sorted(CALLS))
def test_no_real_connection_logs_a_secret(caplog, monkeypatch, call, answer):
    caplog.set_level(logging.DEBUG)

    def serve(connection: socket.socket) -> None:
        wire.read_request(connection)
        connection.sendall(answer)

    with wire.serving(serve) as server:
        app = App("aw1", SECRETS["client_secret"], "https://app.example.com/cb/", (), server.url, server.url)
        monkeypatch.setitem(
            globals(), "UPLOAD_URL", UPLOAD_URL.replace("https://open-upload.tiktokapis.com", server.url)
        )
        with pytest.raises(ProviderError) as caught:
            CALLS[call](TikTokProvider(app))

    assert_silent(caught.value, caplog)
