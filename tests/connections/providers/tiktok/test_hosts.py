from __future__ import annotations

import pytest

from connections.errors import ConfigurationError, ResponseError
from connections.providers.tiktok.hosts import UploadHosts

API = "https://open.tiktokapis.com"


def hosts(*allowed, api_url=API):
    return UploadHosts(allowed or (".tiktokapis.com",), api_url=api_url)


@pytest.mark.parametrize(
    "url",
    [
        "https://open-upload.tiktokapis.com/video/?upload_id=1&upload_token=x",
        "https://upload.us.tiktokapis.com/upload/?x=1",
        "https://open-upload-i18n.tiktokapis.com:443/upload",
        "https://OPEN-UPLOAD.tiktokapis.com/upload",
        "https://open.tiktokapis.com/upload",
    ],
)
def test_tiktoks_own_hosts_are_allowed(url):
    hosts().check(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://eviltiktokapis.com/x",
        "https://tiktokapis.com.evil.example/x",
        "https://tiktokapis.com/x",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/x",
        "https://localhost/x",
        "http://open-upload.tiktokapis.com/x",
        "http://open.tiktokapis.com/x",
        "http://open-upload.tiktokapis.com:443/x",
        "https://open-upload.tiktokapis.com:8443/x",
    ],
)
def test_other_addresses_are_refused_with_no_more_than_the_host_in_the_message(url):
    with pytest.raises(ConfigurationError) as caught:
        hosts().check(url + "?upload_token=verysecret")

    assert "verysecret" not in str(caught.value)
    assert "//" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "/upload",
        "https://.tiktokapis.com/x",
        "https://2130706433/x",
        "//open-upload.tiktokapis.com/x",
        "ftp://open-upload.tiktokapis.com/x",
        "file:///etc/passwd",
        "https://",
        "https://user:pw@open-upload.tiktokapis.com/x",
        "https://evil.example\\@open-upload.tiktokapis.com/x",
        "https://evil.example\\.tiktokapis.com/x",
        "https://open-upload.tiktokapis.com/a b",
        "https://open-upload.tiktokapis.com/\r\nX: y",
        "https://open-upload.tiktokapis.com:99999/x",
        "https://open-upload.tiktokapis.com:x/x",
        "https://[::1/x",
        "https://öpen.tiktokapis.com/x",
    ],
)
def test_what_is_no_plain_url_is_a_response_error(url):
    with pytest.raises(ResponseError):
        hosts().check(url)


def test_the_origin_of_the_api_is_allowed_over_http_too():
    hosts(api_url="http://127.0.0.1:9000").check("http://127.0.0.1:9000/upload/?t=1")


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:9000/x", "http://127.0.0.1:9001/x", "http://localhost:9000/x"]
)
def test_the_origin_of_the_api_is_taken_exactly(url):
    with pytest.raises(ConfigurationError):
        hosts(api_url="http://127.0.0.1:9000").check(url)


def test_a_name_without_a_leading_dot_allows_only_itself():
    only = hosts("uploads.example.com")

    only.check("https://uploads.example.com/x")
    with pytest.raises(ConfigurationError):
        only.check("https://a.uploads.example.com/x")


@pytest.mark.parametrize("entry", ["", " ", ".", " . "])
def test_an_empty_entry_allows_nothing(entry):
    with pytest.raises(ConfigurationError):
        hosts(entry).check("https://anything.example/x")
