"""The posting page for photos: choose an account, add photos, put them in order, say how, publish."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from accounts.models import Membership, Workspace
from accounts.permissions import Permission
from accounts.tenancy import require_membership
from config.throttle import limit_posts, wait_of, words_for
from connections.models import SocialConnection
from connections.providers import provider_for
from publishing import services
from publishing.composer_views import (
    REFUSED,
    TOO_MANY,
    carried_over,
    current_user,
    lead_to,
    still_a_publisher,
)
from publishing.composing import Account, choose_connection, look_at_account
from publishing.models import Photo, Post
from publishing.photo_forms import PhotoComposerForm
from publishing.photo_uploads import PhotoUploadHandler
from publishing.photos import ACCEPT, delete_unused_photo, find_kept_photos, sign_kept_photo, store_photo
from publishing.receiving import RefusedFile
from publishing.refusals import VideoRefusedError
from publishing.views import is_htmx


@csrf_exempt  # checked in _submit, once the upload handler is in place: reading the token reads the whole body
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@limit_posts("post", is_form_kept=True)
def photo_post_create(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the posting page for photos, or take what was filled in."""
    membership = require_membership(request, slug, at_least=Permission.PUBLISH.least)
    wanted = request.GET.get("connection", "")
    connection = choose_connection(membership.workspace, wanted)
    if connection is None:
        return render(request, "publishing/composer_empty.html")
    provider = provider_for(connection.provider)
    if not provider.pull_url_prefix:
        status = 200 if request.method != "POST" else REFUSED
        context = {"platform": provider.label, "connection": connection}
        return render(request, "publishing/photos_unavailable.html", context, status=status)
    if request.method == "POST":
        request.upload_handlers = [
            PhotoUploadHandler(request, workspace=membership.workspace, provider=provider)
        ]
        return _submit(request, slug)
    return _show(request, membership, connection)


@csrf_protect
def _show(request: HttpRequest, membership: Membership, connection: SocialConnection) -> HttpResponse:
    account = look_at_account(connection)
    form = PhotoComposerForm(account=account, initial=carried_over(request, account))
    part = "publishing/_composer_parts.html" if is_htmx(request) else "publishing/composer_photos.html"
    return render(request, part, _context(membership, form, []))


@csrf_protect
def _submit(request: HttpRequest, slug: str) -> HttpResponse:
    membership = still_a_publisher(request, slug)
    connection = choose_connection(membership.workspace, request.POST.get("connection", ""))
    if connection is None:
        return render(request, "publishing/composer_empty.html", status=REFUSED)
    form = PhotoComposerForm(request.POST, request.FILES, account=look_at_account(connection))
    form.full_clean()
    if post := _already_sent(membership.workspace, form):
        messages.info(
            request, "This form had already been sent, so nothing was posted twice. Here is its post."
        )
        return lead_to(request, membership, post)
    photos = _take_photos(request, membership.workspace, form)
    if "intent" in request.POST:  # only the photos were to change: errors of the rest would be early
        for name in [name for name in form.errors if name != "photos"]:
            del form.errors[name]
        return _show_again(request, membership, form, photos)
    cover_index = _cover_index(request, photos)
    form.add_photo_problems(photos, cover_index=cover_index)
    if str(connection.pk) != request.POST.get("connection"):
        words = "That account is no longer connected. Look at the account chosen now, then publish."
        form.add_error(None, words)
    if wait := wait_of(request):
        form.add_error(None, words_for(wait))
        return _show_again(request, membership, form, photos, refused=TOO_MANY)
    if not form.is_valid():
        return _show_again(request, membership, form, photos)
    options = dataclasses.asdict(form.publish_options(cover_index))
    post = services.create_photo_post(
        workspace=membership.workspace,
        user=current_user(request),
        photos=photos,
        connection=connection,
        title=options.pop("title"),
        caption=options.pop("caption"),
        mode=form.cleaned_data["mode"],
        options=options,
        submission_key=form.cleaned_data["submission_key"],
    )
    return lead_to(request, membership, post)


def _already_sent(workspace: Workspace, form: PhotoComposerForm) -> Post | None:
    key = form.cleaned_data.get("submission_key")
    return workspace.posts.filter(submission_key=key).first() if key else None


def _take_photos(request: HttpRequest, workspace: Workspace, form: PhotoComposerForm) -> list[Photo]:
    """Return the photos of the form in their order, the new ones last. Refusals become errors of the form."""
    kept = find_kept_photos(request.POST.getlist("kept"), workspace=workspace)
    kept.sort(key=lambda photo: _position(request, photo))
    gone = len(set(request.POST.getlist("kept"))) - len(kept)
    if gone:
        words = f"{gone} of the photos sent before {'is' if gone == 1 else 'are'} no longer kept. Choose them again."
        form.add_error("photos", ValidationError(words, code="gone"))
    removed = request.POST.get("intent", "").removeprefix("remove:")
    for photo in [photo for photo in kept if str(photo.pk) == removed]:
        delete_unused_photo(photo)
        kept.remove(photo)
    return kept + _store_new(request, workspace, form)


def _store_new(request: HttpRequest, workspace: Workspace, form: PhotoComposerForm) -> list[Photo]:
    stored: list[Photo] = []
    for file in form.cleaned_data.get("photos") or []:
        try:
            if isinstance(file, RefusedFile):
                raise file.refusal
            provider = form.account.provider
            user = current_user(request)
            stored.append(store_photo(workspace=workspace, user=user, received=file, provider=provider))
        except VideoRefusedError as refusal:
            words = f"{file.name}: {refusal.message}"
            form.add_error("photos", ValidationError(words, code=refusal.code))
    return stored


def _position(request: HttpRequest, photo: Photo) -> float:
    """The place that was typed beside a photo; one without a number keeps its place at the end."""
    text = request.POST.get(f"position-{photo.pk}", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else float("inf")


def _cover_index(request: HttpRequest, photos: list[Photo]) -> int:
    chosen = request.POST.get("cover", "")
    return next((place for place, photo in enumerate(photos) if str(photo.pk) == chosen), 0)


def _show_again(
    request: HttpRequest,
    membership: Membership,
    form: PhotoComposerForm,
    photos: list[Photo],
    *,
    refused: int = REFUSED,
) -> HttpResponse:
    context = _context(membership, form, photos, cover=_cover_index(request, photos))
    status = refused if form.errors else 200
    return render(request, "publishing/composer_photos.html", context, status=status)


def _context(
    membership: Membership, form: PhotoComposerForm, photos: list[Photo], *, cover: int = 0
) -> dict[str, Any]:
    account: Account = form.account
    rules = account.provider.posting_rules
    photo_rules = account.provider.photo_rules
    return {
        "account": account,
        "connections": list(membership.workspace.connections.listed()),
        "form": form,
        "rules": rules,
        "photo_rules": photo_rules,
        "is_photos": True,
        "private_levels": " ".join(sorted(rules.private_levels)),
        "photos": [(photo, sign_kept_photo(photo), place == cover) for place, photo in enumerate(photos)],
        "max_bytes": photo_rules.max_count * photo_rules.max_bytes,
        "accept": ACCEPT,
        "can_reconnect": membership.may(Permission.MANAGE_CONNECTIONS),
    }
