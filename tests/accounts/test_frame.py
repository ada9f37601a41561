"""What holds for every page: the frame around it, and no code inside it."""

from __future__ import annotations

import json
import re
from importlib import import_module

import pytest
from allauth.account.models import EmailAddress
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.urls import reverse

from accounts.models import Membership
from config.settings import BASE_DIR
from tests.accounts.conftest import PASSWORD
from tests.accounts.pages import Page, without_tokens

pytestmark = pytest.mark.django_db

PUBLIC = [
    "/",
    "/accounts/login/",
    "/accounts/signup/",
    "/accounts/password/reset/",
    "/accounts/password/reset/done/",
    "/accounts/password/reset/key/done/",
    "/accounts/password/reset/key/1-bad/",
    "/accounts/confirm-email/",
    "/accounts/confirm-email/bad/",
    "/accounts/inactive/",
    "/nothing-here/",
]
INSIDE = [
    "/profile/",
    "/workspaces/",
    "/w/acme/settings/",
    "/w/acme/members/",
    "/accounts/email/",
    "/accounts/password/change/",
    "/accounts/logout/",
    "/accounts/reauthenticate/",
]
ERRORS = ["400.html", "403.html", "403_csrf.html", "404.html", "429.html", "500.html"]


def check(html: str) -> None:
    page = Page(html)
    assert page.inline_code == []
    assert page.repeated_ids() == []
    assert page.unlabelled() == []
    assert html.count("<h1") == 1
    assert html.count("<main") == 1
    assert {"href": "#content", "class": "skip-link"} in page.all("a")
    assert "&lt;svg" not in html


@pytest.mark.parametrize("path", PUBLIC)
def test_public_page_is_sound_and_runs_without_inline_code(client, path):
    check(client.get(path, follow=True).content.decode())


@pytest.mark.parametrize("path", INSIDE)
def test_inside_page_is_sound_and_runs_without_inline_code(alice, vic, browse, path):
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True)

    check(browse(alice).get(path, follow=True).content.decode())


@pytest.mark.parametrize("path", ["/accounts/login/", "/accounts/signup/"])
def test_form_with_errors_is_sound(client, path):
    html = client.post(path, {"login": "x", "email": "x"}).content.decode()

    check(html)
    assert 'aria-invalid="true"' in html


@pytest.mark.parametrize("name", ERRORS)
def test_error_page_needs_nothing_from_its_surroundings(name, django_assert_num_queries):
    with django_assert_num_queries(0):
        html = render_to_string(name)

    check(html)


def test_confirm_page_is_sound(alice, vic, browse):
    member = Membership.objects.get(user=vic)

    check(browse(alice).get(reverse("member_remove", args=["acme", member.pk])).content.decode())


def test_inline_code_is_found_where_there_is_some():
    page = Page(
        '<p style="x"><a onclick="y" href="javascript:z"><script>1</script><style></style><b hx-on:a="">'
    )

    assert page.inline_code == ["p style", "a onclick", "a href", "<script>", "<style>", "b hx-on:a"]


def test_templates_hold_no_inline_code():
    mail = BASE_DIR / "templates/base_email.html"  # shown by mail programs alone
    for path in sorted(set(BASE_DIR.glob("templates/**/*.html")) - {mail}):
        html = re.sub(r"{[{%#].*?[}%#]}", "", path.read_text())
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|hx-on|<script(?![^>]*\ssrc=)", html), path


def test_frame_marks_the_present_page(alice, browse):
    page = Page(browse(alice).get("/w/acme/members/").content.decode())

    current = {anchor["href"] for anchor in page.all("a") if anchor.get("aria-current") == "page"}
    assert current == {"/w/acme/members/"}


@pytest.mark.parametrize(("who", "may"), [("alice", True), ("erin", True), ("vic", False)])
def test_frame_offers_a_new_post_to_those_who_may_publish(request, browse, who, may):
    user = request.getfixturevalue(who)

    links = Page(browse(user).get("/w/acme/members/").content.decode()).links()

    assert (reverse("publishing:post_create", args=["acme"]) in links) is may
    assert reverse("publishing:post_list", args=["acme"]) in links
    assert reverse("connections:list", args=["acme"]) in links


def test_frame_offers_settings_to_managers_and_the_admin_to_operators(alice, vic, browse):
    alice.is_staff = True
    alice.save(update_fields=["is_staff"])

    alices = Page(browse(alice).get("/w/acme/members/").content.decode()).links()
    vics = Page(browse(vic).get("/w/acme/members/").content.decode()).links()

    assert {"/w/acme/settings/", "/admin/"} <= set(alices)
    assert not {"/w/acme/settings/", "/admin/"} & set(vics)


def test_frame_sends_the_csrf_token_with_every_htmx_request(alice, browse):
    [body] = Page(browse(alice).get("/profile/").content.decode()).all("body")

    assert len(json.loads(body["hx-headers"])["X-CSRFToken"]) == 64


def test_htmx_may_not_evaluate_anything(client):
    metas = Page(client.get("/").content.decode()).all("meta")

    [config] = [json.loads(meta["content"]) for meta in metas if meta.get("name") == "htmx-config"]
    assert config["allowEval"] is False
    assert config["includeIndicatorStyles"] is False
    assert config["historyCacheSize"] == 0


def test_every_icon_in_use_is_drawn():
    drawn = set(re.findall(r'<symbol id="([a-z]+)"', (BASE_DIR / "static/img/icons.svg").read_text()))

    used = {
        name
        for path in BASE_DIR.glob("templates/**/*.html")
        for name in re.findall(r'{% icon "([a-z]+)"', path.read_text())
    }

    assert used - drawn == set()


def test_every_static_file_in_use_exists():
    used = {
        name
        for path in BASE_DIR.glob("templates/**/*.html")
        for name in re.findall(r"""{% static ["']([^"']+)["']""", path.read_text())
    }

    assert [name for name in sorted(used) if not finders.find(name)] == []


def test_stranger_and_missing_workspace_look_the_same(mallory, alice, browse):
    client = browse(mallory)

    theirs = client.get("/w/acme/members/")
    missing = client.get("/w/nowhere/members/")

    assert (theirs.status_code, missing.status_code) == (404, 404)
    assert without_tokens(theirs.content.decode()) == without_tokens(missing.content.decode())


def test_low_role_is_told_in_words(vic, browse):
    answer = browse(vic).get("/w/acme/settings/")

    assert answer.status_code == 403
    assert "This is not yours to open" in answer.content.decode()


def test_forged_form_is_refused_in_words(alice):
    client = import_module("django.test").Client(enforce_csrf_checks=True)
    client.force_login(alice)

    answer = client.post("/profile/", {"name": "Eve"})

    alice.refresh_from_db()
    assert answer.status_code == 403
    assert "This form is out of date" in answer.content.decode()
    assert alice.name == "Alice"


def test_crash_shows_the_static_page(client, monkeypatch):
    client.raise_request_exception = False
    monkeypatch.setattr("accounts.views.render", lambda *_: 1 / 0)

    answer = client.get("/")

    assert answer.status_code == 500
    assert "Something broke on our side" in answer.content.decode()


def test_bad_host_shows_the_static_page(client):
    answer = client.get("/", headers={"Host": "elsewhere.example"})

    assert answer.status_code == 400
    assert "That request made no sense" in answer.content.decode()


def test_frame_reads_the_database_only_when_it_is_shown(alice, django_assert_num_queries):
    from accounts.context import workspaces

    request = RequestFactory().get("/")
    request.user = alice

    with django_assert_num_queries(0):
        workspaces(request)


def test_whole_way_in_by_form_keeps_working_with_csrf_enforced(alice):
    client = import_module("django.test").Client(enforce_csrf_checks=True)
    page = client.get("/accounts/login/").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page).group(1)

    answer = client.post(
        "/accounts/login/", {"login": alice.email, "password": PASSWORD, "csrfmiddlewaretoken": token}
    )

    assert answer.status_code == 302
