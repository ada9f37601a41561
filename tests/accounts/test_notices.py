"""Notices: each event told once to whom it concerns, as their switches say, and the pages that show them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from accounts.models import Membership, Notice, NoticeKind, Role
from accounts.notices import (
    Message,
    Switches,
    creator_or_managers,
    managers,
    mark_read,
    preferences_of,
    set_preferences,
    tell,
)
from accounts.tasks import delete_old_notices
from config.celery import app
from tests.accounts.pages import Page

pytestmark = pytest.mark.django_db

NOWHERE = Switches(on_site=False, by_email=False)


def message(key: str = "event", kind: NoticeKind = NoticeKind.FAILED, **fields: str) -> Message:
    return Message(kind=kind, key=key, title=fields.pop("title", "Not published: hello"), **fields)


def member(user) -> Membership:
    return Membership.objects.get(user=user, workspace__slug="acme")


def test_event_is_told_once_however_often_it_is_repeated(alice, erin):
    people = [member(alice), member(erin)]

    tell(people, message())
    tell(people, message(title="Said in other words"))
    tell(people, message("another event"))

    assert Notice.objects.filter(user=alice, key="event").count() == 1
    assert Notice.objects.count() == 4


def test_person_who_joined_later_is_told_what_the_others_know(alice, erin):
    tell([member(alice)], message())

    tell([member(alice), member(erin)], message())

    assert [row.user for row in Notice.objects.order_by("pk")] == [alice, erin]


def test_notice_falls_with_the_transaction_of_its_event(alice):
    with transaction.atomic():
        tell([member(alice)], message())
        transaction.set_rollback(True)

    assert not Notice.objects.exists()


def test_published_posts_are_not_mailed_unless_asked_for(alice):
    tell([member(alice)], message("1", NoticeKind.PUBLISHED))
    tell([member(alice)], message("2", NoticeKind.FAILED))

    assert Notice.objects.get(key="1").email_due_at is None
    assert Notice.objects.get(key="2").email_due_at is not None


@pytest.mark.parametrize(
    ("switches", "rows", "shown", "mailed"),
    [
        (Switches(on_site=True, by_email=False), 1, True, False),
        (Switches(on_site=False, by_email=True), 1, False, True),
        (NOWHERE, 0, None, None),
    ],
)
def test_switches_are_honored(alice, switches, rows, shown, mailed):
    set_preferences(alice, {NoticeKind.FAILED: switches})

    tell([member(alice)], message())

    kept = [(row.is_shown, row.email_due_at is not None) for row in Notice.objects.all()]
    assert kept == [(shown, mailed)] * rows


def test_switches_of_one_person_and_kind_touch_no_other(alice, erin):
    set_preferences(alice, {NoticeKind.FAILED: NOWHERE})

    tell([member(alice), member(erin)], message())
    tell([member(alice)], message("held", NoticeKind.HELD))

    assert [(row.user, row.key) for row in Notice.objects.order_by("pk")] == [
        (erin, "event"),
        (alice, "held"),
    ]


def test_switches_may_be_set_again(alice):
    set_preferences(alice, {NoticeKind.FAILED: NOWHERE})
    set_preferences(alice, {NoticeKind.FAILED: Switches(on_site=True, by_email=False)})

    assert preferences_of(alice)[NoticeKind.FAILED] == Switches(on_site=True, by_email=False)
    assert preferences_of(alice)[NoticeKind.HELD] == Switches(on_site=True, by_email=True)


def test_long_and_folded_words_are_made_to_fit(alice):
    tell(
        [member(alice)], message(title="Not\r\npublished: " + "x" * 400, body="y" * 900, next_step="z" * 900)
    )

    notice = Notice.objects.get()
    assert notice.title.startswith("Not published: xxx")
    assert (len(notice.title), len(notice.body), len(notice.next_step)) == (160, 600, 400)


def test_managers_are_owners_and_admins_of_that_workspace_who_may_log_in(acme, alice, erin, vic, mallory):
    Membership.objects.filter(user=erin).update(role=Role.ADMIN)
    assert {row.user for row in managers(acme.pk)} == {alice, erin}

    erin.is_active = False
    erin.save(update_fields=["is_active"])
    assert {row.user for row in managers(acme.pk)} == {alice}


def test_creator_who_left_is_not_told_but_the_managers_are(acme, alice, erin, mallory):
    assert [row.user for row in creator_or_managers(acme.pk, erin.pk)] == [erin]

    Membership.objects.filter(user=erin).delete()

    assert [row.user for row in creator_or_managers(acme.pk, erin.pk)] == [alice]
    assert [row.user for row in creator_or_managers(acme.pk, mallory.pk)] == [alice]
    assert [row.user for row in creator_or_managers(acme.pk, None)] == [alice]


def test_notices_of_a_year_ago_are_deleted_and_no_others(alice):
    tell([member(alice)], message("old"))
    tell([member(alice)], message("new"))
    Notice.objects.filter(key="old").update(created_at=timezone.now() - timedelta(days=366))

    assert delete_old_notices() == 1
    assert delete_old_notices() == 0

    assert [row.key for row in Notice.objects.all()] == ["new"]


def test_beat_rings_for_tasks_that_exist():
    app.loader.import_default_modules()

    assert {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()} <= set(app.tasks)


# --- Pages ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def notice(alice):
    tell(
        [member(alice)],
        message(path="/w/acme/members/", body="The file is gone.", next_step="Upload it again."),
    )
    return Notice.objects.get()


PATHS = [
    ("get", "list", False, 200),
    ("post", "read_all", False, 302),
    ("get", "open", True, 302),
    ("post", "read", True, 302),
]


@pytest.mark.parametrize(("method", "name", "is_about_one", "status"), PATHS)
def test_pages_open_to_the_member_alone(
    client, alice, vic, mallory, notice, method, name, is_about_one, status
):
    arguments = {"slug": "acme"} | ({"notice_id": notice.pk} if is_about_one else {})
    path = reverse(f"notices:{name}", kwargs=arguments)

    assert getattr(client, method)(path).url.startswith("/accounts/login/")
    client.force_login(mallory)
    assert getattr(client, method)(path).status_code == 404
    client.force_login(vic)
    assert getattr(client, method)(path).status_code == (404 if is_about_one else status)
    assert Notice.objects.get().read_at is None
    client.force_login(alice)
    assert getattr(client, method)(path).status_code == status


@pytest.mark.parametrize("name", ["read_all", "switches"])
def test_reading_a_page_changes_nothing(browse, alice, name):
    path = reverse(f"notices:{name}", kwargs={"slug": "acme"} if name == "read_all" else {})

    assert browse(alice).get(path).status_code == 405


def test_list_says_what_happened_and_what_to_do(browse, alice, notice):
    html = browse(alice).get("/w/acme/notices/").content.decode()

    assert "Not published: hello" in html
    assert "The file is gone." in html
    assert "Upload it again." in html
    assert Page(html).inline_code == []
    assert Page(html).repeated_ids() == []


def test_list_shows_nothing_of_another_workspace_or_person(browse, alice, erin, rival, notice):
    Membership.objects.create(workspace=rival, user=alice, role=Role.OWNER)

    assert "Nothing to tell yet" in browse(erin).get("/w/acme/notices/").content.decode()
    assert "Nothing to tell yet" in browse(alice).get("/w/rival/notices/").content.decode()


def test_opening_a_notice_reads_it_and_leads_to_its_page(browse, alice, notice):
    answer = browse(alice).get(reverse("notices:open", args=["acme", notice.pk]))

    assert answer.url == "/w/acme/members/"
    assert Notice.objects.get().read_at is not None


def test_notice_cannot_be_opened_under_another_workspace(browse, alice, rival, notice):
    Membership.objects.create(workspace=rival, user=alice, role=Role.OWNER)

    answer = browse(alice).get(reverse("notices:open", args=["rival", notice.pk]))

    assert answer.status_code == 404
    assert Notice.objects.get().read_at is None


def test_all_are_marked_as_read_in_one_workspace_only(browse, alice, rival, notice):
    elsewhere = Membership.objects.create(workspace=rival, user=alice, role=Role.OWNER)
    tell([elsewhere], message("elsewhere"))

    browse(alice).post("/w/acme/notices/read/")

    assert [row.key for row in Notice.objects.unread()] == ["elsewhere"]


def test_marking_as_read_again_keeps_the_first_time(alice, notice):
    assert mark_read(member(alice)) == 1
    first = Notice.objects.get().read_at
    assert mark_read(member(alice), notice.pk) == 0

    assert Notice.objects.get().read_at == first


def bells(html: str) -> list[str]:
    return [a.get("aria-label", "") for a in Page(html).all("a") if "bell" in a.get("class", "")]


def test_bell_counts_what_is_unread_here(browse, alice, erin, rival, notice):
    elsewhere = Membership.objects.create(workspace=rival, user=alice, role=Role.OWNER)
    tell([member(alice)], message("second"))
    tell([elsewhere], message("elsewhere"))
    set_preferences(alice, {NoticeKind.HELD: Switches(on_site=False, by_email=True)})
    tell([member(alice)], message("by mail only", NoticeKind.HELD))

    assert bells(browse(alice).get("/w/acme/members/").content.decode()) == ["Notifications: 2 unread"]
    assert bells(browse(erin).get("/w/acme/members/").content.decode()) == ["Notifications"]


def test_bell_costs_no_query(browse, alice, notice):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = browse(alice)
    client.get("/w/acme/members/")
    with CaptureQueriesContext(connection) as queries:
        client.get("/w/acme/members/")

    about_notices = [query["sql"] for query in queries if "accounts_notice" in query["sql"]]
    assert len(about_notices) == 1
    assert 'SELECT "accounts_membership"' in about_notices[0]


def test_visitor_sees_no_bell_and_asks_nothing(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        html = client.get("/").content.decode()

    assert bells(html) == []


def test_list_takes_as_many_queries_for_many_as_for_few(browse, alice, django_assert_max_num_queries):
    for number in range(40):
        tell([member(alice)], message(str(number)))
    client = browse(alice)
    client.get("/w/acme/notices/")

    with django_assert_max_num_queries(7):
        html = client.get("/w/acme/notices/").content.decode()

    assert "Page 1 of 2" in html


def test_profile_shows_the_switches_and_saves_what_is_ticked(browse, alice):
    client = browse(alice)
    html = client.get("/profile/").content.decode()
    ticked = {box["name"] for box in Page(html).all("input") if "checked" in box}
    assert "published-site" in ticked
    assert "failed-email" in ticked
    assert "published-email" not in ticked

    answer = client.post(reverse("notices:switches"), {"published-email": "on", "held-site": "on"})

    assert answer.url == "/profile/#notifications"
    chosen = preferences_of(alice)
    assert chosen[NoticeKind.PUBLISHED] == Switches(on_site=False, by_email=True)
    assert chosen[NoticeKind.HELD] == Switches(on_site=True, by_email=False)
    assert chosen[NoticeKind.FAILED] == NOWHERE
