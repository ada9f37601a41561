"""`manage.py publish`: the same as on the pages, from a terminal."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command

from publishing import watching
from publishing.management.commands import publish
from publishing.models import Delivery, Post, Video
from publishing.states import DeliveryState
from tests.publishing.films import film
from tests.publishing.wire import refusal

S = DeliveryState


class Terminal(io.StringIO):
    """A screen that lines can be rewritten on."""

    def isatty(self):
        return True


@pytest.fixture
def connection(acme, make_connection, creator):
    return make_connection(acme, is_primary=True, account_label="Main", creator_info={"username": "main"})


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(film())
    return path


def run(path, *args, stdout=None):
    out = stdout or io.StringIO()
    call_command("publish", str(path), "--workspace", "acme", *args, stdout=out)
    return out.getvalue()


def refused(path, *args):
    with pytest.raises(CommandError) as error:
        run(path, *args)
    return error.value.returncode, str(error.value)


@pytest.fixture
def worker(monkeypatch):
    """Lets the delivery take the given states, one for each look of the command."""

    def walks(*moves):
        steps = iter(moves)

        def look(_seconds):
            state, changes = next(steps)  # StopIteration if the command looks longer than it should
            Delivery.objects.update(state=state, **changes)

        monkeypatch.setattr(watching, "time", SimpleNamespace(sleep=look))  # the command's own waits alone

    return walks


def test_publish_creates_the_post_and_follows_it_to_the_end(connection, clip, worker, erin):
    worker(
        (S.PREPARING, {}),
        (S.UPLOADING, {"total_bytes": 1000, "sent_bytes": 500}),
        (S.PROCESSING, {}),
        (S.PUBLISHED, {"wake_at": None, "platform_post_ids": ["73"], "account_username": "main"}),
    )

    said = run(
        clip, "--caption", "Hello", "--privacy", "SELF_ONLY", "--allow-comment", "--user", "erin@example.com"
    )

    post = Post.objects.get()
    assert (post.caption, post.created_by, post.video.original_name) == ("Hello", erin, "clip.mp4")
    assert post.deliveries.get().options["allow_comment"] is True
    assert said.splitlines() == [
        "Queued",
        "Preparing",
        "Sending to TikTok: 50 % of 0.0 MB",
        "TikTok is processing",
        "Published on TikTok",
        "https://www.tiktok.com/@main/video/73",
    ]
    assert clip.read_bytes() == film()


def test_publish_draws_a_bar_on_a_terminal(connection, clip, worker):
    worker(
        (S.UPLOADING, {"total_bytes": 70_000_000, "sent_bytes": 35_000_000}), (S.PUBLISHED, {"wake_at": None})
    )

    said = run(clip, "--privacy", "SELF_ONLY", stdout=Terminal())

    assert "\rSending to TikTok [##############--------------] 35.0 of 70.0 MB" in said


@pytest.mark.parametrize(
    ("state", "changes", "code", "words"),
    [
        (S.FAILED, {"reason_message": "Too fast.", "reason_code": "frame_rate_check_failed"}, 4, "Too fast."),
        (S.HELD, {"hold_reason": "reconnect", "reason_message": "Connect it."}, 5, "Connect it."),
        (S.CANCELED, {}, 6, "Canceled"),
    ],
)
def test_publish_ends_with_a_code_of_its_own_for_each_bad_end(
    connection, clip, worker, state, changes, code, words
):
    worker((state, changes))

    returned, said = refused(clip, "--privacy", "SELF_ONLY")

    assert returned == code
    assert words in said
    assert str(Delivery.objects.get().pk) in said


def test_publish_to_the_inbox_needs_no_choices(connection, clip, worker):
    worker((S.IN_INBOX, {}))

    said = run(clip, "--inbox")

    assert Delivery.objects.get().mode == "inbox"
    assert "Open TikTok → Inbox to finish" in said


def test_no_wait_starts_it_and_says_which(connection, clip):
    said = run(clip, "--privacy", "only-me", "--no-wait")

    assert str(Delivery.objects.get().pk) in said


def test_control_c_leaves_the_post_going_and_says_so(connection, clip, monkeypatch):
    def interrupt(_seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(watching, "time", SimpleNamespace(sleep=interrupt))

    code, said = refused(clip, "--privacy", "SELF_ONLY")

    assert code == 130
    assert "The post goes on without this command" in said
    assert Delivery.objects.get().state == S.SCHEDULED


def test_dry_run_shows_what_would_be_sent_and_sends_nothing(connection, clip):
    said = run(clip, "--dry-run", "--caption", "Hello", "--privacy", "SELF_ONLY", "--allow-duet")

    for words in ("Nora Moves (@noramoves) on TikTok", "post to the profile", "mp4 h264 360×640 30 fps, 1 s"):
        assert words in said
    assert "1 part" in said
    assert "allow_duet" in said
    assert "Nothing was sent." in said
    assert not Post.objects.exists()
    assert not Video.objects.exists()


def test_dry_run_shows_the_chunks_of_a_large_file(connection, tmp_path):
    path = tmp_path / "large.mp4"
    content = film(faststart=True)
    padding = 100_000_000 - len(content)
    path.write_bytes(content)
    with path.open("r+b") as file:  # a sparse box of padding: large, and no room taken
        file.seek(0, io.SEEK_END)
        file.write(padding.to_bytes(4, "big") + b"free")
        file.truncate(100_000_000)

    said = run(path, "--dry-run", "--privacy", "SELF_ONLY")

    assert "3 parts of 32,000,000 bytes, the last 36,000,000" in said


@pytest.mark.parametrize("dry", [["--dry-run"], []])
@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "--privacy: Choose who can see this video."),
        (
            ["--privacy", "FOLLOWER_OF_CREATOR"],
            "--privacy may be: PUBLIC_TO_EVERYONE, MUTUAL_FOLLOW_FRIENDS, SELF_ONLY",
        ),
        (["--privacy", "SELF_ONLY", "--caption", "😀" * 1101], "2,202 of at most 2,200"),
        (
            ["--privacy", "SELF_ONLY", "--branded-content"],
            "--privacy: Branded content visibility cannot be set to private.",
        ),
    ],
)
def test_what_breaks_a_rule_is_refused_with_3_and_leaves_nothing(
    connection, clip, dry, args, words, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        code, said = refused(clip, *args, *dry)

    assert (code, words in said) == (3, True)
    assert (Post.objects.count(), Video.objects.count()) == (0, 0)


@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_a_file_that_is_no_video_is_refused_with_3(connection, tmp_path, dry):
    path = tmp_path / "notes.mp4"
    path.write_text("words")

    code, said = refused(path, "--privacy", "SELF_ONLY", *dry)

    assert code == 3
    assert "looks like a text file" in said


def test_an_account_that_cannot_post_now_is_refused_with_its_code(connection, clip, creator):
    creator.answers(json=refusal("spam_risk_too_many_posts"))

    code, said = refused(clip, "--privacy", "SELF_ONLY")

    assert code == 3
    assert "spam_risk_too_many_posts" in said


def test_an_unknown_workspace_lists_the_known_ones(connection, clip, rival):
    with pytest.raises(CommandError, match=r"no workspace 'nope'. Known: acme, rival") as error:
        call_command("publish", str(clip), "--workspace", "nope")

    assert error.value.returncode == 1


def test_an_ambiguous_label_lists_the_accounts_with_their_ids(connection, clip, acme, make_connection):
    twin = make_connection(acme, account_label="main")

    code, said = refused(clip, "--connection", "Main")

    assert code == 1
    assert "means several accounts" in said
    assert str(twin.pk) in said
    assert str(connection.pk) in said


@pytest.mark.parametrize("by", ["label", "handle", "id"])
def test_an_account_is_found_by_label_handle_or_id(connection, clip, acme, make_connection, by):
    other = make_connection(acme, account_label="Second shop", creator_info={"username": "second"})
    word = {"label": "second SHOP", "handle": "@second", "id": str(other.pk)}[by]

    run(clip, "--connection", word, "--privacy", "SELF_ONLY", "--no-wait")

    assert Delivery.objects.get().connection == other


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--connection", "nobody"], "no account 'nobody'"),
        (["--user", "mallory@example.com"], "is no member of Acme"),
        (["--user", "vic@example.com"], "is viewer in Acme and may not publish there"),
    ],
)
def test_what_is_not_there_is_named(connection, clip, mallory, vic, args, words):
    code, said = refused(clip, "--privacy", "SELF_ONLY", *args)

    assert (code, words in said) == (1, True)


def test_a_missing_file_is_named(connection, tmp_path):
    code, said = refused(tmp_path / "gone.mp4", "--privacy", "SELF_ONLY")

    assert (code, "gone.mp4" in said) == (1, True)


def test_a_file_that_cannot_be_read_is_named(connection, clip, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)

    assert refused(clip, "--privacy", "SELF_ONLY") == (1, f"{clip} cannot be read: Permission denied.")


def test_a_workspace_without_an_account_says_so(acme, clip):
    code, said = refused(clip)

    assert code == 1
    assert "has no connected account" in said


def test_the_help_documents_the_exit_codes():
    assert all(f"  {code}" in publish.HELP for code in (0, 1, 2, 3, 4, 5, 6, 130))
