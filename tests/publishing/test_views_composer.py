"""The posting page: TikTok's rules for it, and what happens to bad input."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import Membership
from accounts.scopes import System, system_scope
from connections.models import ConnectionStatus
from publishing.models import Delivery, Post, StorageReservation, Video
from publishing.uploads import VideoUploadHandler
from tests.publishing.films import film, sound_only
from tests.publishing.wire import refusal

NEW = "/w/acme/posts/new/"
GOOD_FILM = film()


@pytest.fixture
def connection(acme, make_connection):
    return make_connection(acme, is_primary=True, account_label="Main")


@pytest.fixture
def editor(erin, browser_of):
    return browser_of(erin)


@pytest.fixture
def page(editor, connection, creator):
    """The page's text, as the editor gets it, for an answer of creator_info changed as told."""

    def get(query="", **changes):
        creator.answers(**changes)
        answer = editor.get(NEW + query)
        assert answer.status_code == 200
        return answer.content.decode()

    return get


@pytest.fixture
def submit(editor, connection, creator):
    """Send the form with good values, changed as told; None leaves a field out."""

    def send(content=GOOD_FILM, name="clip.mp4", headers=None, **changes):
        data = {
            "connection": str(connection.pk),
            "submission_key": str(uuid.uuid4()),
            "mode": "direct",
            "caption": "Hello #world",
            "privacy_level": "SELF_ONLY",
        }
        if content is not None:
            data["video"] = SimpleUploadedFile(name, content)
        data = {name: value for name, value in (data | changes).items() if value is not None}
        return editor.post(NEW, data, headers=headers or {})

    return send


def files():
    root = Path(configured.MEDIA_ROOT)
    return [path.name for path in root.rglob("*") if path.is_file()]


def tag(text, name):
    """Return the opening tag of the form field `name`."""
    found = re.search(rf'<(?:input|select|textarea)[^>]*\bname="{name}"[^>]*>', text)
    assert found
    return found.group(0)


def options_of(text):
    return re.findall(r'<option value="([^"]*)"( selected)?>([^<]+)', text)


def words_of(answer):
    return re.sub(r"\s+", " ", answer.content.decode().replace("&#x27;", "'"))


# --- What a posting page must show: https://developers.tiktok.com/doc/content-sharing-guidelines ---


def test_page_asks_creator_info_and_shows_nickname_handle_and_avatar(page, creator):
    text = page(creator_nickname="Fresh Name", creator_username="fresh")

    assert creator.call_count == 1
    assert "Fresh Name" in text
    assert "@fresh" in text
    assert 'class="avatar' in text


def test_privacy_offers_exactly_the_creators_options_and_selects_none(page):
    levels = ["FOLLOWER_OF_CREATOR", "MUTUAL_FOLLOW_FRIENDS", "SELF_ONLY"]

    text = page(privacy_level_options=levels)

    assert options_of(text) == [
        ("", " selected", "Choose…"),
        ("FOLLOWER_OF_CREATOR", "", "Followers"),
        ("MUTUAL_FOLLOW_FRIENDS", "", "Friends"),
        ("SELF_ONLY", "", "Only me"),
    ]


def test_everything_that_is_to_be_chosen_starts_off(page):
    text = page()

    boxes = ["allow_comment", "allow_duet", "allow_stitch", "disclose", "is_own_brand", "is_paid_partnership"]
    for name in [*boxes, "is_ai_generated"]:
        assert "checked" not in tag(text, name)


@pytest.mark.parametrize("what", ["comment", "duet", "stitch"])
def test_an_interaction_that_the_creator_disabled_is_greyed_with_the_reason(page, what):
    text = page(**{f"{what}_disabled": True})

    assert "disabled" in tag(text, f"allow_{what}")
    assert "Nora Moves has turned this off in the TikTok app." in text
    others = {"comment", "duet", "stitch"} - {what}
    assert all("disabled" not in tag(text, f"allow_{other}") for other in others)


def test_page_holds_the_exact_words_that_tiktok_asks_for(page):
    text = page().replace("&#x27;", "'")

    assert "Your photo/video will be labeled as 'Promotional content'" in text
    assert "Your photo/video will be labeled as 'Paid partnership'" in text
    assert "You need to indicate if your content promotes yourself, a third party, or both." in text
    assert "Branded content visibility cannot be set to private." in text
    assert "Your brand" in text
    assert "Branded content" in text


def test_consent_sentences_name_and_link_the_policies(page):
    text = page().replace("&#x27;", "'")
    sentences = re.findall(r'<p class="small consent[^>]*>(.*?)</p>', text, re.DOTALL)

    plain, paid = (re.sub(r"<[^>]+>", "", sentence) for sentence in sentences)
    assert plain == "By posting, you agree to TikTok's Music Usage Confirmation."
    assert paid == "By posting, you agree to TikTok's Branded Content Policy and Music Usage Confirmation."
    assert 'href="https://www.tiktok.com/legal/page/global/music-usage-confirmation/en"' in sentences[0]
    assert 'href="https://www.tiktok.com/legal/page/global/bc-policy/en"' in sentences[1]


def test_page_says_that_processing_may_take_minutes(page):
    assert "it may take a few minutes until the post is processed and visible on the profile" in page()


def test_the_caption_is_empty_editable_and_counted_by_its_limit(page):
    text = page()

    assert 'data-count-max="2200"' in tag(text, "caption")
    assert "readonly" not in tag(text, "caption")
    assert re.search(r"<textarea[^>]*></textarea>", text)


def test_page_names_the_longest_video_of_this_creator(page):
    assert "Nora Moves may post up to 10:00 min" in page(max_video_post_duration_sec=600)


def test_page_says_that_a_draft_carries_no_caption(page):
    assert "Drafts carry no caption or settings" in page()


def test_page_has_no_inline_script_style_or_handler(page):
    text = page()

    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style", text)


# --- Rules between the choices, where there is no script ---


def test_disclosure_without_a_choice_is_refused_in_tiktoks_words(submit):
    answer = submit(disclose="on")

    assert answer.status_code == 422
    assert 'id="id_disclose-error"' in words_of(answer)
    assert not Post.objects.exists()


def test_branded_content_and_only_me_exclude_each_other(submit):
    answer = submit(disclose="on", is_paid_partnership="on", privacy_level="SELF_ONLY")

    assert answer.status_code == 422
    assert 'id="id_privacy_level-error"' in words_of(answer)


def test_brand_boxes_count_only_while_the_disclosure_is_on(submit):
    submit(is_paid_partnership="on", is_own_brand="on")

    options = Delivery.objects.get().options
    assert (options["is_paid_partnership"], options["is_own_brand"]) == (False, False)


def test_privacy_left_unchosen_is_refused(submit):
    answer = submit(privacy_level="")

    assert answer.status_code == 422
    assert "Choose who can see this video." in words_of(answer)


def test_a_privacy_that_is_not_on_offer_is_refused(submit, creator):
    creator.answers(privacy_level_options=["SELF_ONLY"])

    answer = submit(privacy_level="PUBLIC_TO_EVERYONE")

    assert "cannot post as “Everyone”. Choose Only me." in words_of(answer)


def test_a_forged_disabled_interaction_is_refused(submit, creator):
    creator.answers(duet_disabled=True)

    answer = submit(allow_duet="on")

    assert "has turned Duets off" in words_of(answer)


def test_a_video_longer_than_the_creator_may_post_is_refused_and_kept(submit, creator):
    creator.answers(max_video_post_duration_sec=1)

    answer = submit(film(frames=60))

    assert "The video runs 2 s; Nora Moves may post up to 1 s." in words_of(answer)
    assert Video.objects.count() == 1


# --- Publishing ---


def test_a_good_form_becomes_one_post_with_the_chosen_options(submit, connection, erin):
    answer = submit(
        allow_comment="on",
        disclose="on",
        is_own_brand="on",
        is_ai_generated="on",
        cover_seconds="0.5",
        caption="line one\r\nline two ",
    )

    post = Post.objects.get()
    delivery = post.deliveries.get()
    assert answer.status_code == 302
    assert answer["Location"] == f"/w/acme/posts/{post.pk}/"
    assert (post.caption, post.created_by) == ("line one\nline two", erin)
    assert (delivery.connection, delivery.mode, delivery.state) == (connection, "direct", "scheduled")
    assert delivery.options == {
        "privacy_level": "SELF_ONLY",
        "allow_comment": True,
        "allow_duet": False,
        "allow_stitch": False,
        "is_own_brand": True,
        "is_paid_partnership": False,
        "is_ai_generated": True,
        "cover_timestamp_ms": 500,
    }


def test_a_script_is_told_where_to_go_without_fetching_it(submit):
    answer = submit(headers={"X-Requested-With": "XMLHttpRequest"})

    assert answer.status_code == 201
    assert answer["Location"] == f"/w/acme/posts/{Post.objects.get().pk}/"


def test_the_same_form_sent_twice_is_one_post_and_one_file(submit, django_capture_on_commit_callbacks):
    key = str(uuid.uuid4())
    first = submit(submission_key=key)

    with django_capture_on_commit_callbacks(execute=True):
        second = submit(submission_key=key)

    assert first["Location"] == second["Location"]
    assert (Post.objects.count(), Delivery.objects.count(), Video.objects.count()) == (1, 1, 1)
    assert len(files()) == 2


def test_a_draft_needs_no_choices_and_keeps_the_caption_to_copy(submit):
    submit(mode="inbox", privacy_level="", disclose="on", caption="x" * 3000)

    assert Delivery.objects.get().mode == "inbox"
    assert len(Post.objects.get().caption) == 3000


def test_nothing_is_sent_before_the_click(page, creator, editor, submit):
    page()
    submit(privacy_level="")

    assert not Delivery.objects.exists()


# --- Bad input: a clear message in place, nothing lost, nothing left over ---


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "This file is empty", id="empty"),
        pytest.param(b"dear diary " * 99, "looks like a text file, not a video", id="text named .mp4"),
        pytest.param(film(frames=60)[:-900], "is cut short", id="truncated, index at the end"),
        pytest.param(film(frames=60, faststart=True)[:-900], "is cut short", id="truncated, index in front"),
        pytest.param(sound_only(), "sound but no picture", id="sound only"),
        pytest.param(film("avi", "mpeg4"), "This is an AVI file; TikTok takes MP4, MOV or WebM.", id="AVI"),
        pytest.param(film(width=320, height=240), "320 × 240 pixels; TikTok takes 360 to 4096", id="small"),
    ],
)
def test_a_bad_file_is_refused_in_place_and_leaves_nothing(submit, content, words):
    answer = submit(content, caption="my long thought", allow_comment="on")

    text = words_of(answer)
    assert answer.status_code == 422
    assert words in text
    assert 'id="id_video-error"' in text
    assert "my long thought" in text
    assert "checked" in tag(answer.content.decode(), "allow_comment")
    assert re.search(r'value="SELF_ONLY" selected', text)
    assert (files(), Video.objects.count(), Post.objects.count()) == ([], 0, 0)


def test_no_file_at_all_is_asked_for(submit):
    assert "Choose a video first." in words_of(submit(None))


def test_a_caption_of_2201_units_is_refused_with_both_numbers_and_kept(submit):
    caption = "😀" * 1100 + "x"

    answer = submit(caption=caption)

    text = words_of(answer)
    assert "2,201 of at most 2,200" in text
    assert caption in text


def test_a_good_file_is_kept_when_another_field_was_wrong_and_need_not_be_sent_again(submit):
    answer = submit(privacy_level="")
    text = answer.content.decode()
    kept = re.search(r'name="kept_video" value="([^"]+)"', text).group(1)
    video = Video.objects.get()
    assert f"/w/acme/videos/{video.pk}/poster/" in text

    answer = submit(None, kept_video=kept)

    assert answer.status_code == 302
    assert Post.objects.get().video == video


def test_too_many_posts_cost_nothing_that_was_filled_in(submit, settings):
    settings.USER_RATE_LIMITS = {"connect": 0, "post": 1}
    assert submit().status_code == 302

    answer = submit(caption="my long thought", disclose="on", is_own_brand="on")

    text = answer.content.decode()
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 3600
    assert "That were too many posts within an hour." in text
    assert "my long thought" in text
    assert re.search(r'<option value="SELF_ONLY"[^>]* selected', text)
    assert re.search(r'name="is_own_brand"[^>]* checked', text)
    assert Post.objects.count() == 1

    settings.USER_RATE_LIMITS = {"connect": 0, "post": 0}
    kept = re.search(r'name="kept_video" value="([^"]+)"', text).group(1)
    assert submit(None, kept_video=kept).status_code == 302


def test_going_on_to_twice_the_limit_is_refused_unread(submit, settings):
    settings.USER_RATE_LIMITS = {"connect": 0, "post": 1}
    for _ in range(2):
        submit()
    before = Video.objects.count()

    answer = submit()

    assert answer.status_code == 429
    assert "Too many tries" in answer.content.decode()
    assert Video.objects.count() == before


def test_a_new_file_takes_the_place_of_a_kept_one(submit, django_capture_on_commit_callbacks):
    text = submit(privacy_level="").content.decode()
    kept = re.search(r'name="kept_video" value="([^"]+)"', text).group(1)

    with django_capture_on_commit_callbacks(execute=True):
        submit(film(rate=24), kept_video=kept)

    assert Video.objects.get().frame_rate == 24
    assert len(files()) == 2


def test_a_bad_second_file_does_not_cost_the_kept_one(submit):
    text = submit(privacy_level="").content.decode()
    kept = re.search(r'name="kept_video" value="([^"]+)"', text).group(1)

    answer = submit(b"not a film", kept_video=kept)

    assert answer.status_code == 422
    assert Video.objects.count() == 1
    assert "Uploaded" in words_of(answer)


def test_a_kept_video_that_is_gone_is_asked_for_again(submit):
    assert "no longer kept. Choose it again." in words_of(submit(None, kept_video="forged:or:old"))


def test_remove_forgets_the_kept_video_and_complains_about_nothing(
    submit, django_capture_on_commit_callbacks
):
    text = submit(privacy_level="").content.decode()
    kept = re.search(r'name="kept_video" value="([^"]+)"', text).group(1)

    with django_capture_on_commit_callbacks(execute=True):
        answer = submit(None, kept_video=kept, intent="remove", privacy_level="")

    assert answer.status_code == 200
    assert "Choose who can see this video." not in words_of(answer)
    assert (files(), Video.objects.count()) == ([], 0)


def test_the_sample_video_can_be_used_where_it_was_made(submit, page):
    from publishing.demo import load_demo_content

    assert "sample video" not in page()
    load_demo_content()
    assert "Use our sample video" in page()

    answer = submit(None, intent="sample", privacy_level="", caption="typed before")

    assert answer.status_code == 200
    assert "broadside-sample.mp4" in words_of(answer)
    assert "typed before" in words_of(answer)
    assert (Video.objects.get().width, Video.objects.get().height) == (720, 1280)


def test_an_account_that_went_meanwhile_is_not_silently_replaced(submit, acme, make_connection):
    make_connection(acme)

    answer = submit(connection=str(uuid.uuid4()))

    assert answer.status_code == 422
    assert "That account is no longer connected" in words_of(answer)
    assert not Post.objects.exists()


def test_a_form_without_the_csrf_token_is_refused_and_leaves_nothing(acme, erin, connection):
    client = Client(enforce_csrf_checks=True)
    client.force_login(erin)

    answer = client.post(NEW, {"video": SimpleUploadedFile("clip.mp4", film())})

    assert answer.status_code == 403
    assert files() == []


@pytest.mark.parametrize(("role", "status"), [(None, 404), ("viewer", 403)])
def test_who_is_taken_out_while_the_video_is_on_its_way_publishes_nothing(
    submit, acme, erin, monkeypatch, settings, role, status
):
    settings.WORKSPACE_QUOTA_BYTES = 10**9
    take = VideoUploadHandler.receive_data_chunk

    def be_taken_out(*args):
        mine = Membership.objects.filter(workspace=acme, user=erin)
        with system_scope(System.COMMAND):  # somebody else does it, in a request of their own
            mine.update(role=role) if role else mine.delete()
        return take(*args)

    monkeypatch.setattr(VideoUploadHandler, "receive_data_chunk", be_taken_out)

    answer = submit()

    assert answer.status_code == status
    assert not Post.objects.exists()
    assert not StorageReservation.objects.exists()
    assert files() == []


# --- When the account cannot post now ---


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (200, "spam_risk_too_many_posts", "This account cannot post right now"),
        (200, "spam_risk_user_banned_from_posting", "This account cannot post right now"),
        (200, "reached_active_user_cap", "This account cannot post right now"),
        (429, "rate_limit_exceeded", "TikTok asks us to wait"),
        (500, "internal_error", "TikTok cannot be reached right now"),
        (401, "scope_not_authorized", "This account needs reconnecting"),
    ],
)
def test_an_account_that_cannot_post_now_says_why_and_stops(page, submit, creator, status, code, words):
    text = page(json=refusal(code), status=status)

    assert words in text
    assert "disabled" in re.search(r'<input[^>]*value="direct"[^>]*>', text).group(0)
    assert not re.search(r'<select[^>]*name="privacy_level"', text)
    assert submit(mode="direct").status_code == 422
    assert not Post.objects.exists()


def test_an_unreachable_tiktok_loses_nothing_that_was_sent(submit, creator):
    creator.is_silent()

    answer = submit(caption="my long thought")

    text = words_of(answer)
    assert answer.status_code == 422
    assert "TikTok cannot be reached right now" in text
    assert "my long thought" in text
    assert Video.objects.count() == 1


def test_an_account_to_be_reconnected_is_not_asked_and_says_so(page, connection, creator, acme):
    connection.status, connection.status_reason = ConnectionStatus.NEEDS_REAUTH, "You removed the app."
    connection.save()

    text = page()

    assert creator.call_count == 0
    assert "Main needs reconnecting" in text
    assert "You removed the app." in text
    assert "disabled" in re.search(r"<button[^>]*data-publish[^>]*>", text).group(0)


def test_a_missing_scope_greys_its_mode_with_the_reason(page, connection, creator):
    connection.scopes = ["user.info.basic", "video.upload"]
    connection.save()

    text = page()

    assert "Direct posting was not allowed" in text
    assert "disabled" in re.search(r'<input[^>]*value="direct"[^>]*>', text).group(0)
    assert "checked" in re.search(r'<input[^>]*value="inbox"[^>]*>', text).group(0)
    assert creator.call_count == 0


def test_a_mode_whose_scope_is_missing_is_refused_even_if_forged(submit, connection):
    connection.scopes = ["user.info.basic", "video.publish"]
    connection.save()

    assert submit(mode="inbox").status_code == 422
    assert not Post.objects.exists()


# --- Which account ---


def test_the_primary_is_preselected_and_others_can_be_chosen(
    editor, acme, make_connection, creator, connection
):
    other = make_connection(acme, account_label="Second")

    first = editor.get(NEW).content.decode()
    second = editor.get(f"{NEW}?connection={other.pk}").content.decode()

    assert str(connection.pk) in tag(first, "connection")
    assert str(other.pk) in tag(second, "connection")


def test_choosing_an_account_with_htmx_renews_only_what_depends_on_it(editor, connection, creator):
    answer = editor.get(
        f"{NEW}?connection={connection.pk}&privacy_level=SELF_ONLY&allow_comment=on",
        headers={"HX-Request": "true"},
    )

    text = answer.content.decode()
    assert "<html" not in text
    assert 'name="caption"' not in text
    assert 'id="composer-settings" hx-swap-oob="true"' in text
    assert re.search(r'value="SELF_ONLY" selected', text)
    assert "checked" in tag(text, "allow_comment")


def test_a_privacy_that_the_other_account_lacks_is_not_carried_over(editor, connection, creator):
    text = editor.get(f"{NEW}?privacy_level=FOLLOWER_OF_CREATOR").content.decode()

    assert options_of(text)[0] == ("", " selected", "Choose…")


def test_an_account_of_another_workspace_cannot_be_chosen(submit, rival, make_connection):
    foreign = make_connection(rival)

    assert submit(connection=str(foreign.pk)).status_code == 422
    assert not Post.objects.exists()


def test_without_an_account_the_page_says_what_to_do(acme, editor, erin, alice, browser_of):
    assert "Ask an admin or the owner" in editor.get(NEW).content.decode()
    assert "Connect an account" in browser_of(alice).get(NEW).content.decode()


@pytest.mark.parametrize(("who", "status"), [("vic", 403), ("mallory", 404), ("erin", 200)])
def test_only_editors_may_compose(request, acme, connection, creator, browser_of, who, status):
    client = browser_of(request.getfixturevalue(who))

    assert client.get(NEW).status_code == status


def test_a_stranger_s_upload_is_refused_before_it_is_stored(acme, connection, mallory, browser_of):
    answer = browser_of(mallory).post(NEW, {"video": SimpleUploadedFile("clip.mp4", film())})

    assert answer.status_code == 404
    assert files() == []
