"""TikTok's webhooks, read: https://developers.tiktok.com/doc/webhooks-verification and …/webhooks-events"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connections.providers.base import WebhookKind, WebhookRefusedError
from connections.providers.tiktok.webhooks import MAX_AGE, MAX_AHEAD, TikTokWebhooks
from tests.connections.webhook_wire import (
    ACCOUNT,
    CLIENT_KEY,
    PUBLISH_ID,
    SECRET,
    completed,
    event_body,
    removed,
    sign,
)

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RECEIVER = TikTokWebhooks(client_key=CLIENT_KEY, client_secret=SECRET)
VECTOR = (
    b'{"client_key":"simkey0001","event":"post.publish.complete","create_time":1795000000,'
    b'"user_openid":"-000SimUser01","content":"{\\"publish_id\\":\\"v_pub_file~v2-1.7000000000000000001\\",'
    b'\\"publish_type\\":\\"DIRECT_PUBLISH\\"}"}'
)
VECTOR_HEADER = "t=1795000005,s=6e610d27763a6adefbaf53226e4ff23b54644dc63ad838f9008185ba1f7a080b"
VECTOR_RECEIVER = TikTokWebhooks(client_key="simkey0001", client_secret="sim-secret-0001")
VECTOR_NOW = datetime.fromtimestamp(1795000006, UTC)


def read(body, *, signed_at=NOW, receiver=RECEIVER, header=None):
    header = sign(body, at=signed_at.timestamp()) if header is None else header
    return receiver.read(headers={"Tiktok-Signature": header}, body=body, now=NOW)


def read_vector(body=VECTOR, header=VECTOR_HEADER, receiver=VECTOR_RECEIVER):
    return receiver.read(headers={"Tiktok-Signature": header}, body=body, now=VECTOR_NOW)


def test_read_takes_a_known_good_signature():
    notice = read_vector()

    assert notice.kind is WebhookKind.PUBLISH
    assert notice.name == "post.publish.complete"
    assert notice.account_id == "-000SimUser01"
    assert notice.publish_id == "v_pub_file~v2-1.7000000000000000001"
    assert notice.occurred_at == datetime.fromtimestamp(1795000000, UTC)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(" s=" + VECTOR_HEADER.split("s=")[1] + " , t=1795000005", id="other order, with spaces"),
        pytest.param("v=2," + VECTOR_HEADER, id="with a part that is new"),
        pytest.param("t=1795000005,s=" + VECTOR_HEADER.split("s=")[1].upper(), id="in capitals"),
    ],
)
def test_read_takes_the_signature_in_other_dress(header):
    assert read_vector(header=header).publish_id


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="no header"),
        pytest.param("t=1795000005", id="no digest"),
        pytest.param("t=1795000005,s=", id="empty digest"),
        pytest.param(VECTOR_HEADER.replace("6e61", "6e62"), id="one digit off"),
        pytest.param(VECTOR_HEADER[:-1], id="one digit short"),
        pytest.param(VECTOR_HEADER.replace("1795000005", "1795000006"), id="another time"),
        pytest.param(VECTOR_HEADER.replace("t=", "t=0"), id="the same time otherwise written"),
        pytest.param(VECTOR_HEADER.replace("t=", "t=-"), id="negative time"),
        pytest.param(VECTOR_HEADER.replace("1795000005", "soon"), id="no time"),
        pytest.param(VECTOR_HEADER.replace("1795000005", "9" * 400), id="endless time"),
        pytest.param("t=1795000005,s=\udcffé", id="no ASCII"),
        pytest.param("," * 5000, id="only commas"),
    ],
)
def test_read_refuses_what_is_not_signed_right(header):
    with pytest.raises(WebhookRefusedError) as refusal:
        read_vector(header=header)

    assert not refusal.value.is_signed


def test_read_refuses_a_body_that_changed_by_a_space():
    with pytest.raises(WebhookRefusedError, match="wrong signature"):
        read_vector(body=VECTOR.replace(b'"event":', b'"event": '))


def test_read_refuses_everything_without_a_secret_of_our_own():
    nobody = TikTokWebhooks(client_key="", client_secret="")
    body = completed(client_key="")

    with pytest.raises(WebhookRefusedError):
        read(body, receiver=nobody, header=sign(body, secret="", at=NOW.timestamp()))


@pytest.mark.parametrize(
    ("signed_at", "is_taken"),
    [
        pytest.param(NOW - MAX_AGE, True, id="the last repetition after 72 hours"),
        pytest.param(NOW - MAX_AGE - SECOND, False, id="a second later"),
        pytest.param(NOW + MAX_AHEAD, True, id="a clock that is ahead"),
        pytest.param(NOW + MAX_AHEAD + SECOND, False, id="from the future"),
    ],
)
def test_read_keeps_a_wide_window(signed_at, is_taken):
    try:
        read(completed(), signed_at=signed_at)
        taken = True
    except WebhookRefusedError as refusal:
        taken = not refusal.is_signed

    assert taken is is_taken


@pytest.mark.parametrize("key", ["sbother000000000", None, 7, [CLIENT_KEY]])
def test_read_refuses_what_is_for_another_app(key):
    with pytest.raises(WebhookRefusedError, match="another client key") as refusal:
        read(completed(client_key=key))

    assert refusal.value.is_signed


@pytest.mark.parametrize(
    ("name", "known_as"),
    [
        ("post.publish.complete", "post.publish.complete"),
        ("post.publish.completed", "post.publish.complete"),
        ("post.publish.no_longer_publicaly_available", "post.publish.no_longer_publicly_available"),
        ("post.publish.no_longer_publicly_available", "post.publish.no_longer_publicly_available"),
        ("post.publish.something_new", "post.publish.something_new"),
    ],
)
def test_read_knows_every_spelling_of_what_is_about_publishing(name, known_as):
    notice = read(event_body(name, {"publish_id": PUBLISH_ID}))

    assert (notice.kind, notice.name) == (WebhookKind.PUBLISH, known_as)


@pytest.mark.parametrize("key", ["reason", "fail_reason"])
def test_read_takes_a_failure_whatever_its_reason_is_called(key):
    content = {"publish_id": PUBLISH_ID, key: "spam_risk", "publish_type": "DIRECT_PUBLISH"}

    notice = read(event_body("post.publish.failed", content))

    assert (notice.kind, notice.publish_id) == (WebhookKind.PUBLISH, PUBLISH_ID)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param('{"publish_id":"p.1","post_id":7391234567890123457}', id="number in text"),
        pytest.param('{"publish_id":"p.1","post_id":"7391234567890123457"}', id="text in text"),
        pytest.param({"publish_id": "p.1", "post_id": 7391234567890123457}, id="from a dict"),
    ],
)
def test_read_keeps_an_id_of_19_digits_exact(content):
    assert read(event_body("post.publish.publicly_available", content)).post_id == "7391234567890123457"


def test_read_takes_content_that_is_an_object():
    body = completed().replace(b'"content":"{', b'"content":{').replace(b'}"}', b"}}").replace(b'\\"', b'"')

    assert read(body).publish_id == PUBLISH_ID


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="missing"),
        pytest.param("", id="empty"),
        pytest.param("{not json", id="no JSON"),
        pytest.param("[1]", id="no object"),
        pytest.param("1" * 5000, id="an endless number"),
        pytest.param('{"publish_id": 12}', id="an id of another type"),
        pytest.param('{"publish_id": "' + "x" * 65 + '"}', id="an id that is too long"),
        pytest.param('{"publish_id": "a\\u0000b"}', id="an id that no database takes"),
        pytest.param("\ud800", id="half a character"),
    ],
)
def test_read_makes_nothing_of_content_that_it_cannot_use(content):
    notice = read(event_body("post.publish.complete", content))

    assert (notice.kind, notice.publish_id) == (WebhookKind.OTHER, "")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[" * 60_000, id="too deep"),
        pytest.param(event_body("", {}), id="no event"),
        pytest.param(event_body("x" * 81, {}), id="endless event"),
    ],
)
def test_read_says_of_a_signed_body_that_it_is_unreadable(body):
    assert read(body).kind is WebhookKind.UNREADABLE


@pytest.mark.parametrize(
    ("create_time", "seconds"),
    [
        (1795000000, 1795000000),
        ("1795000000", 1795000000),
        (None, None),
        ("soon", None),
        (10**18, None),
        (-5, None),
    ],
)
def test_read_takes_the_time_if_there_is_a_sensible_one(create_time, seconds):
    moment = read(completed(create_time=create_time)).occurred_at

    assert moment == (datetime.fromtimestamp(seconds, UTC) if seconds else None)


@pytest.mark.parametrize(
    ("reason", "words", "is_own_doing"),
    [
        (0, "TikTok ended the access", False),
        (1, "removed in TikTok's settings", False),
        (2, "deleted", False),
        (3, "age", False),
        (4, "banned", False),
        (5, "withdrawn", True),
        ("1", "removed in TikTok's settings", False),
        (6, "TikTok ended the access", False),
        (None, "TikTok ended the access", False),
        (True, "TikTok ended the access", False),
    ],
)
def test_read_says_in_words_why_an_authorization_ended(reason, words, is_own_doing):
    notice = read(removed(reason))

    assert notice.kind is WebhookKind.AUTHORIZATION_REMOVED
    assert notice.account_id == ACCOUNT
    assert words in notice.message
    assert len(notice.message) <= 200
    assert notice.is_own_doing is is_own_doing


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        ("video.upload.failed", {"content": '{"share_id":"s.1"}'}),
        ("portability.download.ready", {"content": '{"request_id":7}', "user_openid": None}),
        ("authorization.removed", {"user_openid": None}),
    ],
)
def test_read_leaves_to_others_what_we_cannot_act_on(event, changes):
    assert read(event_body(event, **changes)).kind is WebhookKind.OTHER


def test_receiver_shows_no_secret():
    assert SECRET not in repr(RECEIVER)
