"""The scanner's protocol, against a real clamd and against servers that behave as none should."""

from __future__ import annotations

import itertools
import socket
import threading
import time
import tracemalloc

import pytest

from config.clamd import Scanner, ScannerError, Verdict
from tests.publishing.clamav import MARK, STREAM_LIMIT, drain, pretender

BLOCK = bytes(256 * 1024)


def kind_of(url, blocks=(b"abc",), seconds=10.0):
    with pytest.raises(ScannerError) as failure:
        Scanner.at(url).scan(blocks, seconds=seconds)
    return failure.value.kind


@pytest.mark.parametrize(
    ("url", "scanner"),
    [
        ("clamd://127.0.0.1:3310", Scanner(host="127.0.0.1", port=3310)),
        ("clamd://scanner.internal", Scanner(host="scanner.internal", port=3310)),
        ("clamd://[::1]:99/", Scanner(host="::1", port=99)),
        ("clamd+unix:///run/clamav/clamd.ctl", Scanner(path="/run/clamav/clamd.ctl")),
    ],
)
def test_scanner_at_reads_both_forms(url, scanner):
    assert Scanner.at(url) == scanner


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tcp://127.0.0.1:3310",
        "clamd://",
        "clamd://127.0.0.1:99999",
        "clamd://127.0.0.1/path",
        "clamd://user@127.0.0.1",
        "clamd+unix://run/clamav/clamd.ctl",
        "clamd+unix:///",
    ],
)
def test_scanner_at_refuses_anything_else(url):
    with pytest.raises(ValueError, match=r"clamd|[Pp]ort|log-in"):
        Scanner.at(url)


def test_scan_finds_a_pattern_and_lets_the_rest_pass(clamd):
    scanner = Scanner.at(clamd.url)

    assert scanner.scan([BLOCK, b"harmless"], seconds=20) == Verdict("")
    assert scanner.scan([BLOCK, b"ab" + MARK], seconds=20) == Verdict("Broadside.Test.Pattern.UNOFFICIAL")


def test_scan_sees_a_pattern_that_two_blocks_share(clamd):
    assert not Scanner.at(clamd.url).scan([MARK[:9], MARK[9:]], seconds=20).is_clean


def test_scan_knows_a_whole_file_by_its_digest(stopped_clamd):
    stopped_clamd.know(b"a very bad file", "Broadside.Test.Digest")
    stopped_clamd.start()
    scanner = Scanner.at(stopped_clamd.url)

    assert scanner.scan([b"a very ", b"bad file"], seconds=20).signature.startswith("Broadside.Test.Digest")
    assert scanner.scan([b"a very good file"], seconds=20).is_clean


def test_scan_works_over_the_unix_socket(clamd):
    assert not Scanner.at(clamd.unix_url).scan([MARK], seconds=20).is_clean


def test_ping_and_version_answer(clamd):
    Scanner.at(clamd.url).ping()

    assert Scanner.at(clamd.url).version().startswith("ClamAV ")


def test_a_file_at_the_stream_limit_is_judged_and_one_above_is_not(clamd):
    whole, rest = divmod(STREAM_LIMIT, len(BLOCK))

    assert Scanner.at(clamd.url).scan([BLOCK] * whole + [bytes(rest)], seconds=20).is_clean
    assert kind_of(clamd.url, [BLOCK] * whole + [bytes(rest + 1)], 20) == "too_large"
    assert kind_of(clamd.url, itertools.repeat(BLOCK, 4000), 20) == "too_large"


def test_a_scanner_that_reaches_its_own_limits_found_nothing():
    def limits(link):
        drain(link)
        link.sendall(b"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0")

    with pretender(limits) as url:
        assert kind_of(url) == "too_large"


def test_a_scanner_killed_in_mid_stream_gives_no_verdict(clamd):
    def blocks():
        yield BLOCK
        clamd.kill()
        yield from itertools.repeat(BLOCK, 4000)

    assert kind_of(clamd.url, blocks(), 20) == "down"


def test_a_refused_connection_is_told_as_down(stopped_clamd):
    assert kind_of(stopped_clamd.url) == "down"
    assert kind_of(stopped_clamd.unix_url) == "down"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(b"stream: who knows\0", "garbage", id="unknown words"),
        pytest.param(b"stream: Can't allocate memory ERROR\0", "garbage", id="an error of its own"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n\0", "garbage", id="another protocol"),
        pytest.param(b"\xff\xfe\0", "garbage", id="no text"),
        pytest.param(b"\0", "garbage", id="an empty answer"),
        pytest.param(b"stream: OK", "down", id="cut short"),
        pytest.param(b"", "down", id="no answer"),
        pytest.param(b"x" * 10_000, "garbage", id="an endless answer"),
        pytest.param(b"stream: OK\nstream: OK\0", "garbage", id="two answers"),
    ],
)
def test_an_answer_that_is_none_gives_no_verdict(answer, kind):
    def behave(link):
        drain(link)
        link.sendall(answer)

    with pretender(behave) as url:
        assert kind_of(url) == kind


def test_a_scanner_that_says_clean_before_it_has_the_file_is_not_believed():
    seen = threading.Event()

    def hasty(link):
        link.recv(10)
        link.sendall(b"stream: OK\0")
        seen.wait(10)

    def blocks():
        yield BLOCK
        time.sleep(0.1)
        yield from itertools.repeat(BLOCK, 4000)

    with pretender(hasty) as url:
        assert kind_of(url, blocks()) == "garbage"
        seen.set()


def test_a_scanner_that_drips_its_answer_is_left_in_time():
    stop = threading.Event()

    def drip(link):
        drain(link)
        while not stop.wait(0.05):
            link.sendall(b"s")

    with pretender(drip) as url:
        assert kind_of(url, seconds=0.5) == "slow"
        stop.set()


def test_a_scanner_that_takes_nothing_is_left_in_time():
    stop = threading.Event()

    with pretender(lambda _: stop.wait(20)) as url:
        assert kind_of(url, itertools.repeat(BLOCK, 4000), seconds=0.5) == "slow"
        stop.set()


def test_what_reading_the_file_raises_comes_through():
    def broken():
        yield b"abc"
        raise RuntimeError("the disk")

    with pretender(drain) as url, pytest.raises(RuntimeError, match="the disk"):
        Scanner.at(url).scan(broken(), seconds=10)


def test_memory_does_not_grow_with_the_file():
    def count(link):
        while link.recv(1 << 20):
            pass

    view = memoryview(bytearray(256 * 1024))
    with pretender(count) as url:
        tracemalloc.start()
        kind_of(url, itertools.chain([view] * 800, _hang_up()), seconds=30)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < 4_000_000


def _hang_up():
    raise ScannerError("enough", kind="down")
    yield b""


def test_names_of_signatures_are_bounded_and_printable():
    def long(link: socket.socket) -> None:
        drain(link)
        link.sendall(b"stream: " + b"A\x07" * 190 + b" FOUND\0")

    with pretender(long) as url:
        assert Scanner.at(url).scan([b"x"], seconds=10).signature == "A" * 120
