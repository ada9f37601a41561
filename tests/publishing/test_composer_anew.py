"""A post that came to nothing lends its words to the next one, and nothing else."""

from __future__ import annotations

import re

import pytest

from publishing.states import DeliveryState

NEW = "/w/acme/posts/new/"


@pytest.fixture
def failed(acme, make_connection, make_delivery):
    """Return a failed delivery to a primary account, with words that need escaping."""
    return make_delivery(
        acme,
        connection=make_connection(acme, is_primary=True),
        state=DeliveryState.FAILED,
        caption='Spring <b>"sale"</b> & more',
        wake_at=None,
    )


@pytest.fixture
def editor(erin, browser_of):
    return browser_of(erin)


def caption_in(answer):
    """Return what stands in the caption's box."""
    [box] = re.findall(r'<textarea[^>]* name="caption"[^>]*>(.*?)</textarea>', answer.content.decode(), re.S)
    return box


def test_a_failed_post_leads_to_a_new_one_with_its_words(editor, failed, creator):
    page = editor.get(f"/w/acme/posts/{failed.post_id}/").content.decode()
    [path] = re.findall(r'id="act-anew" href="([^"]+)"', page)
    assert path == f"{NEW}?connection={failed.connection_id}&amp;from={failed.post_id}"

    answer = editor.get(path.replace("&amp;", "&"))

    assert caption_in(answer) == "Spring &lt;b&gt;&quot;sale&quot;&lt;/b&gt; &amp; more"
    assert '<option value="" selected>' in answer.content.decode()


@pytest.mark.parametrize(
    "wanted", ["", "nonsense", "00000000-0000-7000-8000-000000000000"], ids=["empty", "no id", "unknown"]
)
def test_without_such_a_post_the_new_one_starts_empty(editor, failed, creator, wanted):
    assert caption_in(editor.get(NEW, {"from": wanted})) == ""


def test_what_was_published_offers_no_second_try(editor, failed):
    failed.state = DeliveryState.PUBLISHED
    failed.save()

    assert "act-anew" not in editor.get(f"/w/acme/posts/{failed.post_id}/").content.decode()
