"""What is found in a file, and which files are refused."""

import io

import pytest

from publishing.containers import recognize_container
from publishing.probing import POSTER_SIDE, probe_video
from publishing.refusals import VideoRefusedError
from tests.publishing.films import film, sound_only


def probe(content):
    return probe_video(io.BytesIO(content), total_bytes=len(content))


class CountingFile(io.BytesIO):
    """Counts what is read, and never gives it all at once."""

    largest_read = 0

    def read(self, size=-1):
        assert size is not None
        assert size >= 0
        self.largest_read = max(self.largest_read, size)
        return super().read(size)


@pytest.mark.parametrize(
    ("container", "codec", "name", "media_type", "video_codec"),
    [
        ("mp4", "libx264", "mp4", "video/mp4", "h264"),
        ("mov", "libx264", "mov", "video/quicktime", "h264"),
        ("mp4", "libx265", "mp4", "video/mp4", "hevc"),
        ("webm", "libvpx", "webm", "video/webm", "vp8"),
        ("webm", "libvpx-vp9", "webm", "video/webm", "vp9"),
    ],
)
def test_probe_tells_container_and_codec_by_content(container, codec, name, media_type, video_codec):
    found = probe(film(container, codec))

    assert (found.container, found.content_type, found.video_codec) == (name, media_type, video_codec)


def test_probe_tells_size_rate_and_duration():
    found = probe(film(width=480, height=852, rate=25, frames=50))

    assert (found.width, found.height, found.frame_rate, found.duration_ms) == (480, 852, 25.0, 2000)


def test_probe_makes_a_poster_that_fits():
    found = probe(film(width=720, height=1280, frames=3))

    assert found.poster.startswith(b"\xff\xd8\xff")
    assert len(found.poster) < 200_000
    assert POSTER_SIDE == 960


def test_probe_counts_what_a_live_recording_does_not_state():
    recording = film("webm", "libvpx", live=True, frames=45)

    found = probe(recording)

    assert found.duration_ms == pytest.approx(1500, abs=40)
    assert found.frame_rate == pytest.approx(30, abs=1)


def test_probe_never_reads_more_than_a_small_block_at_a_time():
    content = film(width=720, height=1280, frames=60)
    file = CountingFile(content)

    probe_video(file, total_bytes=len(content))

    assert 0 < file.largest_read <= 64 * 1024


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        pytest.param(b"", "empty", "empty", id="empty"),
        pytest.param(b"Dear diary,\n" * 50, "not_a_video", "a text file", id="a text file"),
        pytest.param(
            "Zażółć gęślą jaźń ".encode() * 400, "not_a_video", "a text file", id="text cut in a letter"
        ),
        pytest.param(b"#EXTM3U\n/etc/passwd\n", "not_a_video", "a text file", id="a playlist"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(99), "not_a_video", "a PNG picture", id="a picture"),
        pytest.param(
            b"\0\0\0\x18ftypheic" + bytes(99), "not_a_video", "a HEIC picture", id="a phone picture"
        ),
        pytest.param(bytes(range(1, 200)) + b"\0" * 500, "not_a_video", "not a video", id="noise"),
        pytest.param(b"\0\0\0\x18ftypisom" + bytes(9000), "truncated", "cut short", id="a header and zeros"),
        pytest.param(sound_only(), "no_picture", "no picture", id="sound only"),
    ],
)
def test_probe_refuses_what_is_no_film(content, code, words):
    with pytest.raises(VideoRefusedError) as refusal:
        probe(content)

    assert refusal.value.code == code
    assert words in refusal.value.message


@pytest.mark.parametrize("kind", ["index at the end", "index in front", "fragments", "mov", "webm"])
@pytest.mark.parametrize("left", [0.2, 0.5, 0.9, 0.999])
def test_probe_refuses_a_film_that_is_cut_short(kind, left):
    whole = {
        "index at the end": lambda: film(frames=60),
        "index in front": lambda: film(frames=60, faststart=True),
        "fragments": lambda: film(frames=60, fragmented=True),
        "mov": lambda: film("mov", frames=60, faststart=True),
        "webm": lambda: film("webm", "libvpx", frames=60),
    }[kind]()

    with pytest.raises(VideoRefusedError) as refusal:
        probe(whole[: int(len(whole) * left)])

    assert refusal.value.code == "truncated"


def test_probe_refuses_a_film_whose_index_points_behind_its_end():
    """The last box claims to reach to the end of the file, so only the index tells that data is missing."""
    whole = bytearray(film(frames=60, faststart=True))
    place = whole.index(b"mdat")
    whole[place - 4 : place] = bytes(4)

    with pytest.raises(VideoRefusedError) as refusal:
        probe(bytes(whole[:-400]))

    assert refusal.value.code == "truncated"


def test_probe_refuses_a_film_whose_pictures_are_noise():
    whole = bytearray(film(faststart=True))
    start = whole.index(b"mdat") + 4
    whole[start:] = b"\xff" * (len(whole) - start)

    with pytest.raises(VideoRefusedError) as refusal:
        probe(bytes(whole))

    assert refusal.value.code == "damaged"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"RIFF\0\0\0\0AVI LIST", "avi"),
        (b"\x1a\x45\xdf\xa3\x9fB\x82\x88matroska", "mkv"),
        (b"FLV\x01\x05", "flv"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "wmv"),
        (b"OggS\0\x02", "ogv"),
        (b"\x47" + bytes(187) + b"\x47" + bytes(187) + b"\x47", "ts"),
    ],
)
def test_other_kinds_of_video_are_known_by_name(head, name):
    found = recognize_container(head)

    assert found is not None
    assert found.name == name
