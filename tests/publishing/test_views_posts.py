"""The list of posts and the page of one."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Role
from connections.errors import ResponseError, TransportError, UnreachableError, UploadError
from connections.providers import provider_for
from publishing.attempts import note, note_error
from publishing.models import Attempt, Delivery, Post, PostKind
from publishing.states import DeliveryState, HoldReason

LIST = "/w/acme/posts/"
S = DeliveryState


@pytest.fixture
def editor(erin, browser_of):
    return browser_of(erin)


def text_of(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())).replace("&#x27;", "'")


def count_of(page, name):
    return int(re.search(rf'id="filter-{name}".*?filter-count">(\d+)<', page, re.DOTALL).group(1))


def url_of(delivery):
    return f"/w/acme/posts/{delivery.post_id}/"


# --- The list ---


def test_list_counts_each_filter(editor, acme, make_delivery):
    for state in S:
        make_delivery(acme, state=state, wake_at=None, hold_reason="reconnect" if state == S.HELD else "")

    page = editor.get(LIST).content.decode()

    counts = {
        name: count_of(page, name) for name in ("all", "in-progress", "attention", "published", "inbox")
    }
    assert counts == {"all": 9, "in-progress": 4, "attention": 1, "published": 1, "inbox": 1}


@pytest.mark.parametrize(
    ("name", "state"),
    [("attention", S.HELD), ("published", S.PUBLISHED), ("inbox", S.IN_INBOX), ("failed", S.FAILED)],
)
def test_list_shows_only_the_chosen_state(editor, acme, make_delivery, name, state):
    make_delivery(acme, state=state, wake_at=None, caption="wanted", hold_reason="reconnect")
    make_delivery(acme, state=S.UPLOADING, caption="unwanted")

    words = text_of(editor.get(f"{LIST}?state={name}"))

    assert "wanted" in words
    assert "unwanted" not in words


def test_list_shows_account_caption_state_and_bytes_on_their_way(
    editor, acme, make_connection, make_delivery
):
    connection = make_connection(acme, account_label="Shop account")
    make_delivery(
        acme,
        connection=connection,
        caption="Autumn sale",
        state=S.UPLOADING,
        total_bytes=70_000_000,
        sent_bytes=32_000_000,
    )

    words = text_of(editor.get(LIST))

    assert "Autumn sale" in words
    assert "Shop account" in words
    assert "Uploading" in words
    assert "32.0 MB of 70.0 MB" in words


def test_list_uses_as_many_queries_for_twenty_rows_as_for_one(editor, acme, make_connection, make_delivery):
    connection = make_connection(acme)
    make_delivery(acme, connection=connection)
    editor.get(LIST)
    with CaptureQueriesContext(
        database,
    ) as one:
        editor.get(LIST)
    for _ in range(19):
        make_delivery(acme, connection=make_connection(acme))

    with CaptureQueriesContext(database) as twenty:
        page = editor.get(LIST)

    assert page.content.decode().count('class="row-link') == 20
    assert len(twenty) == len(one) <= 8


def test_list_pages_and_keeps_the_filter(editor, acme, make_connection, make_delivery):
    connection = make_connection(acme)
    for _ in range(21):
        make_delivery(acme, connection=connection, state=S.FAILED, wake_at=None)

    first = editor.get(f"{LIST}?state=failed").content.decode()
    second = editor.get(f"{LIST}?state=failed&page=2").content.decode()

    assert "Page 1 of 2" in first
    assert "state=failed&amp;page=2" in first
    assert second.count('class="row-link') == 1


@pytest.mark.parametrize("query", ["?page=99", "?page=x", "?state=nonsense", "?page=-1&state="])
def test_list_survives_odd_addresses(editor, acme, make_delivery, query):
    make_delivery(acme)

    assert editor.get(LIST + query).status_code == 200


def test_list_renews_itself_only_while_something_is_on_its_way(editor, acme, make_delivery):
    delivery = make_delivery(acme)
    assert "hx-trigger" in editor.get(LIST).content.decode()

    Delivery.objects.filter(pk=delivery.pk).update(state=S.PUBLISHED)

    assert "hx-trigger" not in editor.get(LIST).content.decode()


def test_an_unchanged_list_is_not_swapped(editor, acme, make_delivery):
    delivery = make_delivery(acme)
    page = editor.get(LIST).content.decode()
    url = re.search(r'hx-get="([^"]+)"', page).group(1).replace("&amp;", "&")

    assert editor.get(url, headers={"HX-Request": "true"}).status_code == 204

    Delivery.objects.filter(pk=delivery.pk).update(state=S.PUBLISHED)
    renewed = editor.get(url, headers={"HX-Request": "true"})
    assert renewed.status_code == 200
    assert "Published" in text_of(renewed)
    assert "<html" not in renewed.content.decode()


@pytest.mark.parametrize(
    ("role", "is_connected", "words"),
    [
        (Role.OWNER, False, "Connect an account, then publish"),
        (Role.EDITOR, False, "An admin or the owner of Acme can connect one."),
        (Role.EDITOR, True, "Pick a video, say who may see it, publish."),
        (Role.VIEWER, True, "What editors of Acme publish appears here."),
    ],
)
def test_an_empty_list_says_what_to_do_next(
    acme, erin, browser_of, make_connection, role, is_connected, words
):
    erin.memberships.update(role=role)
    for _ in range(is_connected):
        make_connection(acme)

    assert words in text_of(browser_of(erin).get(LIST))


def test_an_empty_filter_says_so_and_leads_back(editor, acme, make_delivery):
    make_delivery(acme)

    words = text_of(editor.get(f"{LIST}?state=failed"))

    assert "Nothing has failed." in words
    assert "Show all posts" in words


def test_list_shows_nothing_of_another_workspace(acme, rival, mallory, browser_of, make_delivery):
    make_delivery(acme, caption="secret plan")

    assert "secret plan" not in text_of(browser_of(mallory).get("/w/rival/posts/"))


# --- One post ---


def test_page_shows_the_bytes_that_left_before_they_were_committed(editor, acme, make_delivery):
    delivery = make_delivery(acme, state=S.UPLOADING, total_bytes=70_000_000, sent_bytes=0, publish_id="p1")
    cache.set(f"delivery-progress:{delivery.pk}:p1", 32_400_000)

    page = editor.get(url_of(delivery))

    assert "32.4 of 70.0 MB sent" in text_of(page)
    assert 'value="32400000" max="70000000"' in page.content.decode()


@pytest.mark.parametrize(
    ("post_ids", "words"),
    [
        (["7000000000000000001"], ["Open on TikTok"]),
        (
            ["7000000000000000001", "7000000000000000002", "7000000000000000003"],
            ["Open post 1 on TikTok", "Open post 2 on TikTok", "Open post 3 on TikTok"],
        ),
    ],
)
def test_page_of_a_draft_that_was_posted_several_times_tells_its_posts_apart(
    editor, acme, make_delivery, post_ids, words
):
    delivery = make_delivery(
        acme,
        mode="inbox",
        state=S.PUBLISHED,
        wake_at=None,
        account_username="harbor",
        platform_post_ids=post_ids,
    )

    page = editor.get(url_of(delivery))

    assert re.findall(r"Open (?:post \d )?on TikTok", text_of(page)) == words
    for post_id in post_ids:
        assert page.content.decode().count(f"/@harbor/video/{post_id}") == 1


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (PostKind.VIDEO, "tap the notification, add the caption and settings, then post."),
        (PostKind.PHOTO, "tap the notification, choose the settings, then post."),
    ],
)
def test_page_of_a_draft_says_what_is_left_to_do(editor, acme, make_delivery, kind, words):
    delivery = make_delivery(acme, mode="inbox", state=S.IN_INBOX, wake_at=None)
    if kind == PostKind.PHOTO:
        Post.objects.filter(pk=delivery.post_id).update(kind=kind, video=None)

    assert words in text_of(editor.get(url_of(delivery)))


def test_page_of_a_queued_post_polls_each_second_and_reloads_without_a_script(editor, acme, make_delivery):
    page = editor.get(url_of(make_delivery(acme))).content.decode()

    assert 'hx-trigger="every 1s"' in page
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page


@pytest.mark.parametrize("state", [S.FAILED, S.CANCELED])
def test_page_of_an_ended_post_asks_no_more(editor, acme, make_delivery, state):
    page = editor.get(url_of(make_delivery(acme, state=state, wake_at=None))).content.decode()

    assert "hx-trigger" not in page
    assert "http-equiv" not in page


def test_page_tells_when_no_worker_takes_it_up(editor, acme, make_delivery):
    then = timezone.now() - timedelta(minutes=1)
    delivery = make_delivery(acme, wake_at=then, state_changed_at=then)

    assert "No worker has taken it up yet." in text_of(editor.get(url_of(delivery)))


def test_page_of_a_waiting_post_says_why_and_until_when(editor, acme, make_delivery):
    at = timezone.now() + timedelta(minutes=5)
    delivery = make_delivery(
        acme, state=S.PREPARING, wake_at=at, reason_message="TikTok asks to go slower; Broadside waits."
    )

    words = text_of(editor.get(url_of(delivery)))

    assert "TikTok asks to go slower" in words
    assert f"Next try: {at:%-d %b %Y, %H:%M:%S} UTC" in words


def test_page_of_a_processing_post_says_how_long_it_has_been_and_what_is_usual(editor, acme, make_delivery):
    delivery = make_delivery(
        acme,
        state=S.PROCESSING,
        state_changed_at=timezone.now() - timedelta(minutes=3),
        total_bytes=70_000_000,
    )

    words = text_of(editor.get(url_of(delivery)))

    assert "All 70.0 MB are with TikTok, which has been at it for 3 minutes." in words
    assert "This usually takes up to half a minute" in words


def test_page_of_a_public_post_links_to_it(editor, acme, make_delivery):
    delivery = make_delivery(
        acme,
        state=S.PUBLISHED,
        wake_at=None,
        platform_post_ids=["7301234567890123456"],
        account_username="nora",
    )

    page = editor.get(url_of(delivery)).content.decode()

    assert re.search(r'href="https://www.tiktok.com/@nora/video/7301234567890123456"', page)


@pytest.mark.parametrize(
    ("waits", "words"),
    [(True, "has not given the post's own address yet"), (False, "gives an address only to public posts")],
)
def test_page_of_a_post_without_an_id_links_to_the_profile_and_says_so(
    editor, acme, make_delivery, waits, words
):
    at = timezone.now() + timedelta(seconds=9) if waits else None
    delivery = make_delivery(acme, state=S.PUBLISHED, wake_at=at, account_username="nora")

    page = editor.get(url_of(delivery))

    assert words in text_of(page)
    assert 'href="https://www.tiktok.com/@nora"' in page.content.decode()
    assert ("hx-trigger" in page.content.decode()) is waits


def test_page_of_a_draft_says_where_to_finish_it_and_keeps_the_caption(editor, acme, make_delivery):
    delivery = make_delivery(acme, mode="inbox", state=S.IN_INBOX, caption="Paste me")

    page = editor.get(url_of(delivery))

    assert "Open TikTok → Inbox to finish" in text_of(page)
    assert 'data-copy="Paste me"' in page.content.decode()


def test_page_of_a_failed_post_tells_reason_next_step_code_and_log_id(editor, acme, make_delivery):
    delivery = make_delivery(
        acme,
        state=S.FAILED,
        wake_at=None,
        publish_id="v_pub_file~v2-1.7",
        reason_code="frame_rate_check_failed",
        reason_log_id="log-42",
        reason_message="TikTok does not take the video's frame rate.",
        reason_next_step="Export it with 23 to 60 frames a second and post that.",
    )

    page = editor.get(url_of(delivery))

    words = text_of(page)
    assert "TikTok does not take the video's frame rate." in words
    assert "Export it with 23 to 60 frames" in words
    for code in ("frame_rate_check_failed", "log-42", "v_pub_file~v2-1.7"):
        assert f'data-copy="{code}"' in page.content.decode()
    assert "Try again" in words


def test_page_of_a_post_held_for_reconnecting_offers_that(acme, alice, erin, browser_of, make_delivery):
    delivery = make_delivery(
        acme,
        state=S.HELD,
        wake_at=None,
        hold_reason=HoldReason.RECONNECT,
        reason_message="No longer allowed.",
    )

    assert "Reconnect the account" in text_of(browser_of(alice).get(url_of(delivery)))
    assert "An admin or owner of Acme can reconnect it." in text_of(browser_of(erin).get(url_of(delivery)))
    assert "mark as posted" not in text_of(browser_of(alice).get(url_of(delivery)))


@pytest.mark.parametrize(
    ("mode", "state", "is_offered"),
    [("inbox", S.IN_INBOX, True), ("inbox", S.PUBLISHED, False), ("direct", S.PUBLISHED, False)],
)
def test_caption_is_offered_for_pasting_until_the_draft_is_posted(
    acme, erin, browser_of, make_delivery, mode, state, is_offered
):
    delivery = make_delivery(acme, mode=mode, state=state, wake_at=None, caption="Words to paste")

    page = text_of(browser_of(erin).get(url_of(delivery)))

    assert ("Your caption, to paste in the app" in page) is is_offered


@pytest.mark.parametrize("reason", [HoldReason.RECONNECT, HoldReason.CONFIGURATION])
def test_held_post_that_may_be_there_can_be_looked_for_and_marked(
    acme, erin, browser_of, make_delivery, reason
):
    delivery = make_delivery(
        acme,
        state=S.HELD,
        wake_at=None,
        hold_reason=reason,
        committed_at=timezone.now(),
        account_username="erin",
    )

    page = browser_of(erin).get(url_of(delivery))

    assert "It is there: mark as posted" in text_of(page)
    assert "Open the profile" in text_of(page)
    assert "send again" not in text_of(page)


def test_page_of_an_unconfirmed_post_offers_both_answers_and_warns(editor, acme, make_delivery):
    delivery = make_delivery(
        acme,
        state=S.HELD,
        wake_at=None,
        hold_reason=HoldReason.UNCONFIRMED,
        account_username="noramoves",
    )

    answer = editor.get(url_of(delivery))

    words = text_of(answer)
    profile = provider_for(delivery.connection.provider).profile_url("noramoves")
    assert f'href="{profile}"' in answer.content.decode()
    assert "It may already be posted" in words
    assert "It is there: mark as posted" in words
    assert "It is not there: send again" in words
    assert "posts it twice" in words


def test_timeline_tells_attempts_the_newest_first(editor, acme, make_delivery):
    delivery = make_delivery(acme, state=S.PROCESSING)
    note(delivery, "person", "created", by="erin@example.com")
    Attempt.objects.create(
        workspace=acme,
        delivery=delivery,
        step="chunk",
        outcome="server_error",
        code="server_error",
        http_status=503,
        log_id="log-9",
        started_at=timezone.now(),
        finished_at=timezone.now() + timedelta(seconds=2.5),
        detail={"index": 1, "of": 3, "bytes": 32_000_000},
    )
    Attempt.objects.create(
        workspace=acme,
        delivery=delivery,
        step="status",
        outcome="uploading",
        repeat_count=12,
        started_at=timezone.now() + timedelta(seconds=5),
        finished_at=timezone.now() + timedelta(seconds=60),
    )

    words = text_of(editor.get(url_of(delivery)))

    assert words.index("Asked TikTok how far it is × 12") < words.index("Sent part 2 of 3")
    assert words.index("Sent part 2 of 3") < words.index("Confirmed by erin@example.com")
    assert "Failed: server_error · 32.0 MB · 2.5 s" in words
    assert "log-9" in words


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TransportError("reset"), "Failed: no answer arrived"),
        (UnreachableError("refused"), "Failed: TikTok could not be reached"),
        (ResponseError("no JSON"), "Failed: TikTok's answer could not be read"),
        (UploadError("400"), "Failed: TikTok did not take it"),
        (TransportError("bad gateway", code="internal_error"), "Failed: internal_error"),
    ],
)
def test_timeline_says_an_error_without_a_code_in_words(editor, acme, make_delivery, error, words):
    delivery = make_delivery(acme, state=S.PROCESSING)
    note_error(delivery, "start", error, started_at=timezone.now())

    assert words in text_of(editor.get(url_of(delivery)))


def test_timeline_calls_an_unfinished_attempt_cut_off_once_nobody_works_on_it(editor, acme, make_delivery):
    delivery = make_delivery(acme, state=S.UPLOADING)
    Attempt.objects.create(workspace=acme, delivery=delivery, step="start", started_at=timezone.now())
    assert "Cut off" in text_of(editor.get(url_of(delivery)))

    Delivery.objects.filter(pk=delivery.pk).update(lease_token="01a1fdb2-5e71-78e7-94ce-95d925bb2dca")

    assert "Under way" in text_of(editor.get(url_of(delivery)))


def test_an_unchanged_page_is_not_swapped_though_its_forms_have_new_tokens(editor, acme, make_delivery):
    delivery = make_delivery(acme, state=S.HELD, wake_at=None, hold_reason=HoldReason.UNCONFIRMED)
    page = editor.get(url_of(delivery)).content.decode()
    assert "csrfmiddlewaretoken" in page
    url = re.search(r'hx-get="([^"]+)"', page).group(1)

    assert editor.get(url, headers={"HX-Request": "true"}).status_code == 204


def test_the_last_renewal_of_an_ended_post_stops_the_asking(editor, acme, make_delivery):
    delivery = make_delivery(acme, state=S.PROCESSING)
    page = editor.get(url_of(delivery)).content.decode()
    url = re.search(r'hx-get="([^"]+)"', page).group(1)
    Delivery.objects.filter(pk=delivery.pk).update(state=S.FAILED, wake_at=None)

    renewed = editor.get(url, headers={"HX-Request": "true"})

    assert renewed.status_code == 200
    assert "hx-trigger" not in renewed.content.decode()


def test_a_caption_cannot_bring_markup_into_the_page(editor, acme, make_delivery):
    delivery = make_delivery(acme, mode="inbox", caption="<script>alert(1)</script>\"'")

    for url in (LIST, url_of(delivery)):
        assert "<script>alert" not in editor.get(url).content.decode()


def test_no_page_shows_the_upload_url(editor, acme, make_delivery):
    from connections.crypto import seal

    delivery = make_delivery(acme, state=S.UPLOADING)
    delivery.record(upload_url=seal(delivery, "upload_url", "https://upload.example/?secret"))
    ciphertext = str(Delivery.objects.values_list("upload_url", flat=True).get())

    page = editor.get(url_of(delivery)).content.decode()

    assert ciphertext not in page
    assert "upload.example" not in page


@pytest.mark.parametrize(("who", "status"), [("vic", 200), ("erin", 200), ("mallory", 404)])
def test_members_look_and_strangers_find_nothing(request, acme, browser_of, make_delivery, who, status):
    delivery = make_delivery(acme)
    client = browser_of(request.getfixturevalue(who))

    assert client.get(LIST).status_code == status
    assert client.get(url_of(delivery)).status_code == status


def test_a_post_is_not_found_under_another_workspace(acme, rival, mallory, browser_of, make_delivery):
    delivery = make_delivery(acme)

    assert browser_of(mallory).get(f"/w/rival/posts/{delivery.post_id}/").status_code == 404


def test_a_viewer_sees_no_buttons(acme, vic, browser_of, make_delivery):
    delivery = make_delivery(acme, state=S.FAILED, wake_at=None)

    page = browser_of(vic).get(url_of(delivery)).content.decode()

    assert "/retry/" not in page
    assert "New post" not in text_of(browser_of(vic).get(LIST))
