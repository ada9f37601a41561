"""Pages of connections. Every member looks; who may change is said in `connections.permissions`."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from accounts.models import Membership, Role, User
from accounts.scopes import narrow_to
from accounts.tenancy import require_membership
from config.media_headers import media_headers
from config.redirects import is_ours
from config.throttle import limit_posts
from connections import oauth, services
from connections.cards import card_for, cards_for
from connections.errors import AuthorizationError, ProviderError
from connections.failures import ConnectError, Failure
from connections.forms import LabelForm
from connections.models import ConnectionStatus, SocialConnection
from connections.permissions import MANAGES_CONNECTIONS, SEES_CONNECTIONS, can_manage_connections
from connections.profiles import creator_info_for, profile_for
from connections.providers import provider_for, provider_names
from connections.providers.base import Provider, PublishMode
from connections.services import Revocation, TestOutcome

_TEST_LEVELS = {
    TestOutcome.OK: messages.SUCCESS,
    TestOutcome.NEEDS_RECONNECT: messages.ERROR,
    TestOutcome.UNREACHABLE: messages.WARNING,
    TestOutcome.OPERATOR: messages.ERROR,
}


@require_safe
def connection_list(request: HttpRequest, slug: str) -> HttpResponse:
    """The workspace's accounts: each with its state, permissions and actions."""
    membership = require_membership(request, slug, at_least=SEES_CONNECTIONS)
    now = timezone.now()
    rows = SocialConnection.objects.filter(workspace=membership.workspace)
    gone = rows.filter(status=ConnectionStatus.REVOKED).order_by("-disconnected_at", "pk")
    context = {
        "cards": cards_for(rows.listed().select_related("connected_by"), now=now),
        "disconnected": list(gone[:20]),
        "providers": [provider_for(name) for name in provider_names()],
        "can_manage": can_manage_connections(membership),
    }
    return render(request, "connections/list.html", context)


@require_POST
@limit_posts("connect")
def connect(request: HttpRequest, slug: str, provider: str) -> HttpResponse:
    """Send the browser to the platform's consent page; also what "Reconnect" does."""
    membership = require_membership(request, slug, at_least=MANAGES_CONNECTIONS)
    platform = _provider_or_404(provider)
    try:
        url = oauth.start(
            workspace=membership.workspace,
            user=_user(request),
            session_key=_session_key(request),
            provider_name=provider,
            next_url=_local_url(request, request.POST.get("next", "")),
        )
    except ConnectError as error:
        return _show_failure(request, error, platform)
    return redirect(url)


@require_GET
@never_cache
def callback(request: HttpRequest, provider: str) -> HttpResponse:
    """Where the platform sends the browser back to, with a code or a reason why not."""
    platform = _provider_or_404(provider)
    try:
        result = oauth.finish(
            provider_name=provider,
            params=request.GET.dict(),
            user=_user(request),
            session_key=_session_key(request),
            now=timezone.now(),
        )
    except ConnectError as error:
        return _show_failure(request, error, platform)
    narrow_to(result.connection.workspace_id)
    slug = result.connection.workspace.slug
    if result.is_new:
        _tell_others_lost(request, result.connection, platform)
    if result.missing_scopes:
        return redirect("connections:connected", slug=slug, pk=result.connection.pk)
    verb = "connected" if result.is_new else "connected again"
    messages.success(request, f"{result.connection.display_name} is {verb}.")
    return redirect(result.next_url or reverse("connections:list", kwargs={"slug": slug}))


@require_safe
def connected(request: HttpRequest, slug: str, pk: UUID) -> HttpResponse:
    """Connected, but not everything was ticked: what works and what does not."""
    membership, connection = _connection(request, slug, pk)
    context = {
        "card": card_for(connection, now=timezone.now()),
        "can_manage": can_manage_connections(membership),
    }
    return render(request, "connections/connected.html", context)


@require_safe
def connect_help(request: HttpRequest, provider: str) -> HttpResponse:
    """What to do on the platform's own error page, from which nobody is sent back."""
    platform = _provider_or_404(provider)
    return render(request, f"connections/help/{platform.name}.html", {"provider": platform})


@require_safe
def avatar(request: HttpRequest, slug: str, pk: UUID) -> HttpResponse:
    """The picture of an account, to members only."""
    _, connection = _connection(request, slug, pk)
    if not connection.avatar:
        raise Http404("No picture")
    try:
        with connection.avatar.open("rb") as file:
            content = file.read()
    except FileNotFoundError:
        raise Http404("No picture") from None
    return HttpResponse(
        content, headers=media_headers("account.jpg", "image/jpeg", cache="private, max-age=3600")
    )


@require_http_methods(["GET", "POST"])
def edit_label(request: HttpRequest, slug: str, pk: UUID) -> HttpResponse:
    """Give an account a label."""
    _, connection = _connection(request, slug, pk, at_least=MANAGES_CONNECTIONS)
    form = LabelForm(request.POST if request.method == "POST" else None, instance=connection)
    if request.method == "POST" and form.is_valid():
        services.set_label(connection, form.cleaned_data["account_label"])
        messages.success(request, f"The account is called {connection.display_name} now.")
        return redirect("connections:list", slug=slug)
    return render(request, "connections/label.html", {"form": form, "connection": connection})


@require_POST
def make_primary(request: HttpRequest, slug: str, pk: UUID) -> HttpResponse:
    """Preselect this account for new posts."""
    _, connection = _connection(request, slug, pk, at_least=MANAGES_CONNECTIONS)
    try:
        services.set_primary(connection)
        messages.success(request, f"{connection.display_name} is the primary account now.")
    except services.NotUsableError as error:
        messages.error(request, str(error))
    return redirect("connections:list", slug=slug)


@require_POST
def test(request: HttpRequest, slug: str, pk: UUID) -> HttpResponse:
    """Ask the platform now whether the connection works."""
    _, connection = _connection(request, slug, pk, at_least=MANAGES_CONNECTIONS)
    result = services.test_connection(connection)
    details = f" ({result.code} {result.log_id})".replace(" )", ")") if result.code else ""
    messages.add_message(
        request, _TEST_LEVELS[result.outcome], f"{connection.display_name}: {result.message}{details}"
    )
    return redirect("connections:list", slug=slug)


@require_POST
def refresh_profile(request: HttpRequest, slug: str, pk: UUID) -> HttpResponse:
    """Read the account's name, picture and settings anew."""
    _, connection = _connection(request, slug, pk, at_least=MANAGES_CONNECTIONS)
    provider = provider_for(connection.provider)
    try:
        profile_for(connection, force=True)
    except AuthorizationError:
        messages.error(request, connection.status_reason or "Reconnect this account to read its profile.")
    except ProviderError as error:
        explanation = provider.explain(error.code)
        messages.warning(request, f"The profile could not be read. {explanation.message}")
    else:
        messages.success(request, f"The profile of {connection.display_name} is up to date.")
        _refresh_settings(request, connection, provider)
    return redirect("connections:list", slug=slug)


def _refresh_settings(request: HttpRequest, connection: SocialConnection, provider: Provider) -> None:
    """Read what the account may post anew, and say what stands in its way: a ban, a cap."""
    if not connection.has_scope(provider.publish_scopes[PublishMode.DIRECT]):
        return
    try:
        creator_info_for(connection, force=True)
    except AuthorizationError:
        messages.error(request, connection.status_reason or "Reconnect this account to post to it.")
    except ProviderError as error:
        explanation = provider.explain(error.code)
        messages.warning(request, f"Nothing can be posted to it right now. {explanation.message}")


@require_http_methods(["GET", "POST"])
def disconnect(request: HttpRequest, slug: str, pk: UUID) -> HttpResponse:
    """Ask first, then give the account up."""
    _, connection = _connection(request, slug, pk, at_least=MANAGES_CONNECTIONS)
    provider = provider_for(connection.provider)
    if connection.status == ConnectionStatus.REVOKED:
        messages.info(request, f"{connection.display_name} is disconnected already.")
        return redirect("connections:list", slug=slug)
    if request.method == "GET":
        return render(
            request, "connections/disconnect.html", {"connection": connection, "provider": provider}
        )
    try:
        result = services.disconnect(connection)
    except ProviderError:
        messages.warning(request, "The account is busy right now. Try again in a minute.")
        return redirect("connections:list", slug=slug)
    _tell_disconnected(request, connection, provider, result.revocation)
    return redirect("connections:list", slug=slug)


def _tell_disconnected(
    request: HttpRequest, connection: SocialConnection, provider: Provider, revocation: Revocation
) -> None:
    name = connection.display_name
    if revocation == Revocation.FAILED:
        messages.warning(
            request,
            f"{name} is disconnected here, but {provider.label} could not be told. To be sure, remove this app in the "
            f"{provider.label} app too: Settings and privacy, Security & permissions, Apps and services permissions.",
        )
    elif revocation == Revocation.SHARED:
        messages.success(
            request, f"{name} is disconnected from this workspace. Another workspace still uses the account."
        )
    else:
        messages.success(request, f"{name} is disconnected, and {provider.label} has withdrawn our access.")


def _tell_others_lost(request: HttpRequest, connection: SocialConnection, provider: Provider) -> None:
    """Whoever wanted to reconnect one account and was signed in to the platform with another shall notice."""
    lost = SocialConnection.objects.filter(
        workspace_id=connection.workspace_id,
        provider=connection.provider,
        status=ConnectionStatus.NEEDS_REAUTH,
    )
    names = [row.display_name for row in lost.order_by("created_at", "pk")[:3]]
    if names:
        messages.warning(
            request,
            f"This is a new account. If you meant to reconnect {' or '.join(names)}, sign in to {provider.label} with "
            "that account and reconnect it.",
        )


def _show_failure(request: HttpRequest, error: ConnectError, provider: Provider) -> HttpResponse:
    """The failure's own page, with a way back. 200 for a choice of the person's own, 400 or so for the rest."""
    membership = None
    if error.workspace is not None:
        membership = Membership.objects.filter(workspace=error.workspace, user=_user(request)).first()
        if membership is not None:
            membership.workspace = error.workspace
            request.membership = membership  # type: ignore[attr-defined]
    context = {
        "failure": error.failure,
        "code": error.code,
        "log_id": error.log_id,
        "provider": provider,
        "workspace": error.workspace if membership else None,
        "can_manage": can_manage_connections(membership),
    }
    page = f"connections/failures/{error.failure.value}.html"
    return render(request, page, context, status=_STATUS.get(error.failure, 400))


_STATUS = {
    Failure.CANCELED: 200,
    Failure.DENIED: 200,
    Failure.NOT_A_TEST_USER: 200,
    Failure.ROLE_LOST: 403,
    Failure.NOT_CONFIGURED: 503,
    Failure.BAD_CREDENTIALS: 503,
    Failure.REDIRECT_MISMATCH: 503,
    Failure.PKCE_MISMATCH: 503,
    Failure.OUR_KEYS: 503,
    Failure.UNREACHABLE: 503,
    Failure.PROVIDER_FAULT: 503,
}


def _connection(
    request: HttpRequest, slug: str, pk: UUID, *, at_least: Role = SEES_CONNECTIONS
) -> tuple[Membership, SocialConnection]:
    membership = require_membership(request, slug, at_least=at_least)
    rows = SocialConnection.objects.filter(workspace=membership.workspace)
    return membership, get_object_or_404(rows, pk=pk)


def _provider_or_404(name: str) -> Provider:
    try:
        return provider_for(name)
    except LookupError:
        raise Http404("No such provider") from None


def _user(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise PermissionDenied("Log in first")
    return request.user


def _session_key(request: HttpRequest) -> str:
    if not request.session.session_key:
        request.session.save()
    return str(request.session.session_key)


def _local_url(request: HttpRequest, url: str) -> str:
    """`url` if it leads to a page of ours and fits the column, else ""."""
    return url if is_ours(request, url) else ""
