"""The template tags of the design system."""

from __future__ import annotations

import pytest
from django import forms
from django.core.paginator import Paginator
from django.http import QueryDict
from django.template import Context, Template

from accounts.templatetags.ui import megabytes
from tests.accounts.pages import Page


class Form(forms.Form):
    name = forms.CharField(help_text="As on <the> door")
    note = forms.CharField(widget=forms.Textarea, required=False)
    kind = forms.ChoiceField(choices=[("a", "A")])
    agreed = forms.BooleanField(label="Agreed")


def render(source: str, **context) -> str:
    return Template("{% load ui %}" + source).render(Context(context))


def test_field_ties_label_hint_and_error_to_the_input():
    html = render("{% field form.name %}", form=Form({}))

    [field] = Page(html).all("input")
    assert field["aria-describedby"] == "id_name-hint id_name-error"
    assert field["aria-invalid"] == "true"
    assert 'id="id_name-hint"' in html
    assert 'id="id_name-error"' in html
    assert "This field is required" in html
    assert "&lt;the&gt;" in html


@pytest.mark.parametrize(("name", "css"), [("name", "input"), ("note", "textarea"), ("kind", "select")])
def test_field_dresses_each_kind_of_input(name, css):
    html = render(f"{{% field form.{name} %}}", form=Form())

    assert f'class="{css}"' in html


def test_field_says_what_may_be_left_out():
    assert "(optional)" in render("{% field form.note %}", form=Form())
    assert "(optional)" not in render("{% field form.name %}", form=Form())


def test_field_passes_attributes_on():
    [field] = Page(render('{% field form.name label="Nick" data_count="x" rows=2 %}', form=Form())).all(
        "input"
    )

    assert (field["data-count"], field["rows"]) == ("x", "2")


def test_field_shows_a_checkbox_inside_its_label():
    html = render("{% field form.agreed %}", form=Form())

    assert html.index("<label") < html.index("<input") < html.index("Agreed")


def test_avatar_shows_the_picture_or_a_letter():
    assert 'src="/media/a.jpg"' in render("{% avatar name url %}", name="Nora", url="/media/a.jpg")
    assert ">N</span>" in render("{% avatar name %}", name=" Nora")
    assert ">?</span>" in render("{% avatar name %}", name="  ")


def test_badge_escapes_its_words():
    assert "&lt;b&gt;" in render("{% badge state label %}", state="failed", label="<b>")


def test_pagination_keeps_the_other_parameters():
    page = Paginator(range(30), 10).page(2)

    html = render("{% pagination page query %}", page=page, query=QueryDict("state=failed&page=2"))

    assert Page(html).links() == ["?state=failed&page=1", "?state=failed&page=3"]


def test_pagination_of_one_page_is_nothing():
    page = Paginator(range(3), 10).page(1)

    assert render("{% pagination page query %}", page=page, query=QueryDict("")).strip() == ""


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (None, ""),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (64_000_000, "64.0 MB"),
        (999_960_000, "1.00 GB"),
        (4 * 1024**3, "4.29 GB"),
    ],
)
def test_megabytes_counts_in_powers_of_ten(count, words):
    assert megabytes(count) == words
