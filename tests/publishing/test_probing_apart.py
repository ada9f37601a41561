"""A video is looked into by a child that may die: with little memory, little time and none of our secrets."""

import subprocess
import sys
import tempfile

import pytest

from publishing import probing_apart
from publishing.probing import probe_video
from publishing.probing_apart import probe_apart
from publishing.refusals import VideoRefusedError
from stack.demo import BASE_DIR
from tests.publishing.films import film, index_of

MB = 1024**2
MANY = 20_000_000


@pytest.fixture
def on_disk():
    """Put content into a file and return it open, at its beginning."""
    with tempfile.TemporaryFile() as file:

        def write(content):
            file.write(content)
            file.seek(0)
            return file

        yield write


def probe(file, content):
    return probe_apart(file, total_bytes=len(content))


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Have this shell script run in place of the child."""

    def put(script):
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        monkeypatch.setattr(probing_apart.sys, "executable", str(program))

    return put


def test_a_child_finds_what_would_be_found_here(on_disk):
    content = film(width=480, height=852, rate=25, frames=50)
    file = on_disk(content)

    assert probe(file, content) == probe_video(file, total_bytes=len(content))


def test_the_place_in_the_file_stays(on_disk):
    content = film()
    file = on_disk(content)
    file.seek(100)

    probe(file, content)

    assert file.read() == content[100:]


@pytest.mark.parametrize(
    ("content", "code"), [(b"words", "not_a_video"), (b"", "empty"), (film()[:-500], "truncated")]
)
def test_a_childs_refusal_is_the_refusal(on_disk, content, code):
    with pytest.raises(VideoRefusedError) as refusal:
        probe(on_disk(content), content)

    assert refusal.value.code == code


MEASURE = """
import resource, sys
from publishing import probing_apart
from publishing.refusals import VideoRefusedError

probing_apart.MEMORY_BYTES = int(sys.argv[1])
with open(sys.argv[2], "rb") as file:
    try:
        probing_apart.probe_apart(file, total_bytes=len(file.read()))
    except VideoRefusedError as refusal:
        print(refusal.code)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def test_a_file_that_unfolds_in_memory_gets_no_more_than_the_limit(tmp_path):
    """Asked by a small process: of a child the kernel counts also what its parent had when it was begun."""
    bomb = index_of(MANY)
    (tmp_path / "bomb").write_bytes(bomb)

    command = [sys.executable, "-c", MEASURE, str(250 * MB), str(tmp_path / "bomb")]
    done = subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, check=True)

    refusal, most = done.stdout.split()
    assert refusal
    assert len(bomb) < 3000
    assert int(most) <= 250 * MB


def test_a_file_that_takes_too_long_ends_its_reader_and_is_refused_in_words(on_disk, monkeypatch, caplog):
    endless = film()[:32] + b"\0\0\0\x08free" * 8_000_000  # each box is looked at
    monkeypatch.setattr(probing_apart, "CPU_SECONDS", 1)

    with pytest.raises(VideoRefusedError, match="far more memory or time") as refusal:
        probe(on_disk(endless), endless)

    assert refusal.value.code == "unreadable"
    assert "ended by signal" in caplog.text


def test_a_reader_that_hangs_is_ended(on_disk, stand_in, monkeypatch):
    stand_in("exec sleep 600")
    monkeypatch.setattr(probing_apart, "WALL_SECONDS", 0.2)

    with pytest.raises(VideoRefusedError, match="far more memory or time"):
        probe(on_disk(b""), b"")


def test_a_reader_that_crashes_is_no_crash_of_ours(on_disk, stand_in):
    stand_in("kill -SEGV $$")

    with pytest.raises(VideoRefusedError, match="far more memory or time"):
        probe(on_disk(b""), b"")


def test_the_child_is_given_no_secret(on_disk, stand_in, monkeypatch, caplog):
    monkeypatch.setenv("ENCRYPTION_KEYS", "a-key-that-opens-all")
    monkeypatch.setenv("LANG", "C.UTF-8")
    stand_in("env >&2; exit 1")

    with pytest.raises(RuntimeError, match="failed"):
        probe(on_disk(b""), b"")

    assert "LANG=C.UTF-8" in caplog.text
    assert "a-key-that-opens-all" not in caplog.text
    assert "DATABASE_URL" not in caplog.text


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("", id="nothing"),
        pytest.param("words", id="no JSON"),
        pytest.param("[]", id="another shape"),
        pytest.param('{"container": "mp4"}', id="half of it"),
        pytest.param('{"refused": 1}', id="half a refusal"),
    ],
)
def test_an_answer_that_is_not_understood_is_taken_for_none(on_disk, stand_in, answer):
    stand_in(f"echo '{answer}'")

    with pytest.raises(RuntimeError, match="not understood"):
        probe(on_disk(b""), b"")
