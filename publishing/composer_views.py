"""The posting page: choose an account, add a video, say how, publish."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from accounts.models import Membership, User, Workspace
from accounts.permissions import Permission
from accounts.tenancy import require_membership
from config.throttle import limit_posts, wait_of, words_for
from publishing import sample, services
from publishing.composing import Account, choose_connection, look_at_account
from publishing.forms import ACCEPT, ComposerForm
from publishing.models import Post, Video
from publishing.receiving import ReceivedFile
from publishing.refusals import VideoRefusedError
from publishing.uploads import VideoUploadHandler
from publishing.videos import delete_unused_video, find_kept_video, sign_kept_video, store_video
from publishing.views import is_htmx

REFUSED = 422
"""The status of a form that comes back with errors; scripts put its page in place of the old one."""
TOO_MANY = 429


@csrf_exempt  # checked in _submit, once the upload handler is in place: reading the token reads the whole body
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@limit_posts("post", is_form_kept=True)
def post_create(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the posting page, or take what was filled in."""
    membership = require_membership(request, slug, at_least=Permission.PUBLISH.least)
    if request.method == "POST":
        request.upload_handlers = [VideoUploadHandler(request, workspace=membership.workspace)]
        return _submit(request, slug)
    return _show(request, membership)


@csrf_protect
def _show(request: HttpRequest, membership: Membership) -> HttpResponse:
    connection = choose_connection(membership.workspace, request.GET.get("connection", ""))
    if connection is None:
        return render(request, "publishing/composer_empty.html")
    account = look_at_account(connection)
    form = ComposerForm(account=account, initial=carried_over(request, account))
    part = "publishing/_composer_parts.html" if is_htmx(request) else "publishing/composer.html"
    return render(request, part, _context(membership, account, form, None))


def carried_over(request: HttpRequest, account: Account) -> dict[str, Any]:
    """What a posting page keeps when another account is chosen: all that this account offers too.

    `?from=` names a post of the workspace whose words are written once more; nothing is chosen with them.
    """
    keys = (
        "mode",
        "allow_comment",
        "allow_duet",
        "allow_stitch",
        "disclose",
        "is_own_brand",
        "is_paid_partnership",
        "adds_music",
    )
    kept: dict[str, Any] = {
        key: request.GET[key] for key in (*keys, "is_ai_generated") if request.GET.get(key)
    }
    level = request.GET.get("privacy_level", "")
    kept |= {"privacy_level": level} if level in dict(account.privacy_choices) else {}
    return kept | _words_of(request.GET.get("from", ""), account)


def _words_of(post_id: str, account: Account) -> dict[str, str]:
    """The title and caption of a post of the account's workspace; nothing where there is no such post."""
    try:
        wanted = uuid.UUID(post_id)
    except ValueError:
        return {}
    post = Post.objects.filter(workspace=account.connection.workspace_id, pk=wanted).first()
    return {"title": post.title, "caption": post.caption} if post else {}


@csrf_protect
def _submit(request: HttpRequest, slug: str) -> HttpResponse:
    membership = still_a_publisher(request, slug)
    connection = choose_connection(membership.workspace, request.POST.get("connection", ""))
    if connection is None:
        return render(request, "publishing/composer_empty.html", status=REFUSED)
    account = look_at_account(connection)
    form = ComposerForm(request.POST, request.FILES, account=account)
    form.full_clean()
    video = _take_video(request, membership.workspace, form)
    if (
        "intent" in request.POST
    ):  # only the video was to change: its own errors are of interest, the others are early
        return _show_again(request, membership, form, video)
    if video is None and not form.has_error("video"):
        gone = "The video you sent before is no longer kept. Choose it again."
        words = gone if request.POST.get("kept_video") else "Choose a video first."
        form.add_error("video", ValidationError(words, code="required"))
    if form.is_valid() and video is not None:
        form.add_problems(video)
    if str(connection.pk) != request.POST.get("connection"):
        form.add_error(
            None, "That account is no longer connected. Look at the account chosen now, then publish."
        )
    if wait := wait_of(request):
        form.add_error(None, words_for(wait))
        return _show_again(request, membership, form, video, status=TOO_MANY)
    if not form.is_valid() or video is None:
        return _show_again(request, membership, form, video, status=REFUSED)
    return _publish(request, membership, form, video)


def still_a_publisher(request: HttpRequest, slug: str) -> Membership:
    """Read the whole form, which may take an hour, and only then ask for the membership. Raises as that does."""
    _ = request.POST
    return require_membership(request, slug, at_least=Permission.PUBLISH.least)


def _take_video(request: HttpRequest, workspace: Workspace, form: ComposerForm) -> Video | None:
    """Return the video to post: the file just sent, else the one kept. Refusals become errors of the form."""
    kept = find_kept_video(form.data.get("kept_video", ""), workspace=workspace)
    intent = request.POST.get("intent")
    received: ReceivedFile | None = form.cleaned_data.get("video")
    try:
        if intent == "sample" and received is None:
            received = sample.receive_sample()
        if received is None:
            if intent != "remove":
                return kept
            _forget(kept)
            return None
        video = store_video(
            workspace=workspace, user=current_user(request), received=received, provider=form.account.provider
        )
    except VideoRefusedError as refusal:
        form.add_error("video", ValidationError(refusal.message, code=refusal.code))
        return kept
    _forget(kept)
    return video


def _forget(video: Video | None) -> None:
    if video is not None:
        delete_unused_video(video)


def _publish(request: HttpRequest, membership: Membership, form: ComposerForm, video: Video) -> HttpResponse:
    options = dataclasses.asdict(form.publish_options())
    caption = options.pop("caption")
    post = services.create_post(
        workspace=membership.workspace,
        user=current_user(request),
        video=video,
        connection=form.account.connection,
        caption=caption,
        mode=form.cleaned_data["mode"],
        options=options,
        submission_key=form.cleaned_data["submission_key"],
    )
    if post.video_id != video.pk:
        delete_unused_video(video)
        messages.info(
            request, "This form had already been sent, so nothing was posted twice. Here is its post."
        )
    return lead_to(request, membership, post)


def lead_to(request: HttpRequest, membership: Membership, post: Post) -> HttpResponse:
    """Lead to the post: by a redirect, or by a header for the script, which must not fetch the page itself."""
    url = reverse("publishing:post_detail", kwargs={"slug": membership.workspace.slug, "post_id": post.pk})
    if request.headers.get("X-Requested-With") == "XMLHttpRequest":
        return HttpResponse(status=201, headers={"Location": url})
    return redirect(url)


def _show_again(
    request: HttpRequest,
    membership: Membership,
    form: ComposerForm,
    video: Video | None,
    *,
    status: int = 200,
) -> HttpResponse:
    if "intent" in request.POST:
        for name in [name for name in form.errors if name != "video"]:
            del form.errors[name]
        status = REFUSED if form.errors else status
    return render(
        request, "publishing/composer.html", _context(membership, form.account, form, video), status=status
    )


def _context(
    membership: Membership, account: Account, form: ComposerForm, video: Video | None
) -> dict[str, Any]:
    rules = account.provider.posting_rules
    return {
        "account": account,
        "connections": list(membership.workspace.connections.listed()),
        "form": form,
        "rules": rules,
        "private_levels": " ".join(sorted(rules.private_levels)),
        "video": video,
        "kept_reference": sign_kept_video(video) if video else "",
        "has_sample": video is None and sample.is_available(),
        "max_bytes": min(settings.MAX_VIDEO_BYTES, account.provider.max_video_bytes),
        "accept": ACCEPT,
        "can_reconnect": membership.may(Permission.MANAGE_CONNECTIONS),
    }


def current_user(request: HttpRequest) -> User | None:
    """Who is logged in."""
    return request.user if isinstance(request.user, User) else None
