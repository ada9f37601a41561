"""The parts of the design system that take arguments: icon, field, badge, avatar, bytes, page links."""

from __future__ import annotations

from typing import Any

from django import template
from django.core.paginator import Page
from django.forms import BoundField, CheckboxInput, ClearableFileInput, Select, Textarea
from django.http import QueryDict
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def icon(name: str, size: str = "") -> SafeString:
    """Draw the icon `name` of the sprite; `size` is empty, "small" or "large". Decorative: give it words beside it."""
    css = f"icon icon-{size}" if size else "icon"
    return format_html(
        '<svg class="{}" aria-hidden="true"><use href="{}#{}"></use></svg>',
        css,
        static("img/icons.svg"),
        name,
    )


@register.simple_tag
def badge(value: str, label: str) -> SafeString:
    """Show a state as a badge: `value` picks the colour (a DeliveryState, a connection status or a tone)."""
    return format_html('<span class="badge badge-{}">{}</span>', value, label)


@register.inclusion_tag("components/avatar.html")
def avatar(name: str, url: str = "", size: str = "") -> dict[str, str]:
    """Show a round picture, or the first letter of `name`; `size` is empty, "small" or "large"."""
    return {"letter": (name.strip() or "?")[0], "url": url, "size": size}


def _input_class(field: BoundField) -> str:
    widget = field.field.widget
    if isinstance(widget, Textarea):
        return "textarea"
    if isinstance(widget, Select):
        return "select"
    return "input"


@register.inclusion_tag("components/field.html")
def field(bound: BoundField, label: str = "", hint: str | None = None, **attributes: Any) -> dict[str, Any]:
    """Show a form field with label, hint and errors, tied together for screen readers.

    `label` and `hint` replace the form's own (an empty hint: none). Other keyword arguments become attributes of the
    input ("_" is written "-"). A checkbox becomes a `.check` row. Radio buttons and file inputs have markup of their
    own.
    """
    hint = str(bound.help_text) if hint is None else hint
    described = [f"{bound.id_for_label}-hint"] if hint else []
    if bound.errors:
        described.append(f"{bound.id_for_label}-error")
        attributes["aria-invalid"] = "true"
    if described:
        attributes["aria-describedby"] = " ".join(described)
    is_check = isinstance(bound.field.widget, CheckboxInput)
    if not is_check and not isinstance(bound.field.widget, ClearableFileInput):
        attributes["class"] = _input_class(bound)
    attributes = {key.replace("_", "-"): value for key, value in attributes.items()}
    return {
        "field": bound,
        "label": label or bound.label,
        "hint": hint,
        "is_check": is_check,
        "widget": bound.as_widget(attrs={**bound.field.widget.attrs, **attributes}),
    }


@register.inclusion_tag("components/pagination.html")
def pagination(page: Page[Any], query: QueryDict, name: str = "page") -> dict[str, Any]:
    """Link to the page before and after, keeping the other parameters of `query` (`request.GET`)."""

    def link(number: int) -> str:
        parameters = query.copy()
        parameters[name] = str(number)
        return parameters.urlencode()

    return {
        "page": page,
        "previous": link(page.previous_page_number()) if page.has_previous() else "",
        "next": link(page.next_page_number()) if page.has_next() else "",
    }


@register.filter
def megabytes(count: int | None) -> str:
    """Write a number of bytes as TikTok counts them, in powers of ten: 812 B, 64.0 MB, 1.20 GB."""
    if count is None:
        return ""
    if count < 1000:
        return f"{count} B"
    if count < 999_500:
        return f"{count / 1000:.0f} kB"
    if count < 999_950_000:
        return f"{count / 1_000_000:.1f} MB"
    return f"{count / 1_000_000_000:.2f} GB"
