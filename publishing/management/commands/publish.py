"""Publish a video from a terminal, through the same services and the same worker as the pages."""

from __future__ import annotations

import dataclasses
import textwrap
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.models import User, Workspace
from accounts.permissions import Permission, Role
from accounts.scopes import System, system_scope, workspace_scope
from connections.models import SocialConnection
from connections.providers.base import PublishMode, PublishOptions
from publishing import services
from publishing.composing import Account, look_at_account
from publishing.models import Delivery, Video
from publishing.preflight import find_problems, format_duration
from publishing.presentation import Panel
from publishing.receiving import receive_stream
from publishing.refusals import VideoRefusedError
from publishing.states import DeliveryState
from publishing.videos import delete_unused_video, inspect_file, store_video
from publishing.watching import watch_delivery

USAGE, REFUSED, FAILED, HELD, CANCELED, INTERRUPTED = 1, 3, 4, 5, 6, 130
HELP = """\
exit codes:
  0    published, in the inbox, or with --no-wait on its way; with --dry-run: nothing found that speaks against it
  1    the command cannot be carried out as given (unknown workspace, ambiguous account, no such file …)
  2    the command line could not be understood
  3    refused before anything was sent: the video, the caption or a choice breaks a rule
  4    the platform refused or failed it
  5    it waits for a person (reconnect the account, or look whether it is already posted)
  6    it was canceled
  130  interrupted with Ctrl-C; the post goes on
"""
_GIVEN_BY = {
    "caption": "--caption",
    "privacy_level": "--privacy",
    "cover_timestamp_ms": "--cover-ms",
    "allow_comment": "--allow-comment",
    "allow_duet": "--allow-duet",
    "allow_stitch": "--allow-stitch",
}
"""Where on the command line each choice is made."""
_ENDS = {DeliveryState.FAILED: FAILED, DeliveryState.HELD: HELD, DeliveryState.CANCELED: CANCELED}


class Command(BaseCommand):
    """`manage.py publish VIDEO --workspace W …`."""

    help = (
        "Publish a video to an account of a workspace, and follow it to the end. "
        "Photos are posted on the pages only."
    )
    requires_migrations_checks = True

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Keep the line breaks of the exit codes."""
        return super().create_parser(
            prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, epilog=HELP, **kwargs
        )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name what may be given."""
        parser.add_argument("video", metavar="VIDEO", type=Path, help="path of an MP4, MOV or WebM file")
        parser.add_argument("--workspace", required=True, metavar="SLUG", help="the workspace's slug")
        parser.add_argument(
            "--connection", metavar="LABEL", help="label, @handle or id; default: the primary account"
        )
        parser.add_argument("--user", metavar="EMAIL", help="the member in whose name it is done")
        parser.add_argument("--caption", default="", help=r"what to say with it; \n begins a new line")
        parser.add_argument(
            "--privacy",
            metavar="LEVEL",
            default="",
            help="who can see it, as the account offers it: SELF_ONLY or only-me, for example",
        )
        parser.add_argument(
            "--inbox", action="store_true", help="send a draft to the inbox: no caption, no settings"
        )
        for word, several in (("comment", "comments"), ("duet", "duets"), ("stitch", "stitches")):
            parser.add_argument(
                f"--allow-{word}", action="store_true", help=f"allow {several}; off otherwise"
            )
        parser.add_argument(
            "--your-brand", action="store_true", help="disclose: it promotes the creator's own business"
        )
        parser.add_argument("--branded-content", action="store_true", help="disclose: a paid partnership")
        parser.add_argument("--ai-generated", action="store_true", help="label it as AI-generated")
        parser.add_argument(
            "--cover-ms", type=int, metavar="MS", help="cover frame, in milliseconds from the start"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="check, and show what would be sent; send nothing"
        )
        parser.add_argument("--no-wait", action="store_true", help="do not follow it, only start it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check everything, hand it to the worker, follow it."""
        workspace = _workspace(options["workspace"])
        with workspace_scope(workspace.pk):
            self._publish(workspace, options)

    def _publish(self, workspace: Workspace, options: dict[str, Any]) -> None:
        account = look_at_account(_connection(workspace, options["connection"]))
        user = _user(workspace, options["user"])
        mode = PublishMode.INBOX if options["inbox"] else PublishMode.DIRECT
        choices = _choices(options, account)
        _look_at_file(options["video"])
        if not account.can(mode):
            raise CommandError(_obstacle(account, mode), returncode=REFUSED)
        if options["dry_run"]:
            self._rehearse(workspace, account, options["video"], mode, choices)
            return
        delivery = self._start(workspace, user, account, options["video"], mode, choices)
        if options["no_wait"]:
            self.stdout.write(f"On its way: delivery {delivery.pk}")
            return
        self._follow(delivery)

    def _rehearse(
        self, workspace: Workspace, account: Account, path: Path, mode: PublishMode, choices: PublishOptions
    ) -> None:
        try:
            with path.open("rb") as file:
                video = inspect_file(
                    file, name=path.name, total_bytes=path.stat().st_size, workspace=workspace
                )
        except VideoRefusedError as refusal:
            raise CommandError(refusal.message, returncode=REFUSED) from refusal
        _raise_problems(account, video, mode, choices)
        plan = account.provider.plan_chunks(video.total_bytes)
        last = plan.chunk(plan.count - 1).size
        parts = (
            "1 part"
            if plan.count == 1
            else f"{plan.count} parts of {plan.chunk_size:,} bytes, the last {last:,}"
        )
        self._table(
            ("Account", f"{account.name} (@{account.username}) on {account.provider.label}"),
            ("Mode", "post to the profile" if mode is PublishMode.DIRECT else "draft to the inbox"),
            ("File", f"{path.name}, {video.total_bytes:,} bytes"),
            ("Video", _picture(video)),
            ("Upload", parts),
            *(_choice_lines(choices) if mode is PublishMode.DIRECT else ()),
        )
        self.stdout.write("Nothing speaks against it. Nothing was sent.")

    def _table(self, *lines: tuple[str, str]) -> None:
        width = max(len(name) for name, _ in lines) + 2
        for name, text in lines:
            self.stdout.write(name.ljust(width) + textwrap.indent(text, " " * width).lstrip())

    def _start(
        self,
        workspace: Workspace,
        user: User | None,
        account: Account,
        path: Path,
        mode: PublishMode,
        choices: PublishOptions,
    ) -> Delivery:
        try:
            with path.open("rb") as source:
                received = receive_stream(source, name=path.name)
            video = store_video(workspace=workspace, user=user, received=received, provider=account.provider)
        except VideoRefusedError as refusal:
            raise CommandError(refusal.message, returncode=REFUSED) from refusal
        try:
            _raise_problems(account, video, mode, choices)
        except CommandError:
            delete_unused_video(video)
            raise
        values = dataclasses.asdict(choices)
        caption = values.pop("caption")
        with transaction.atomic():
            post = services.create_post(
                workspace=workspace,
                user=user,
                video=video,
                connection=account.connection,
                caption=caption,
                mode=mode,
                options=values,
            )
        return Delivery.objects.get(post=post)

    def _follow(self, delivery: Delivery) -> None:
        try:
            panel = watch_delivery(delivery, self.stdout)
        except KeyboardInterrupt:
            self.stdout.write("")
            raise CommandError(
                f"Stopped watching. The post goes on without this command: delivery {delivery.pk}.",
                returncode=INTERRUPTED,
            ) from None
        self._tell_end(panel)

    def _tell_end(self, panel: Panel) -> None:
        code = _ENDS.get(DeliveryState(panel.delivery.state), 0)
        words = [panel.headline, *panel.sentences]
        if code:
            ids = (("code", panel.delivery.reason_code), ("log id", panel.delivery.reason_log_id))
            words += [f"{name}: {value}" for name, value in ids if value]
            raise CommandError("\n".join([*words, f"delivery: {panel.delivery.pk}"]), returncode=code)
        for line in (*panel.sentences, *(link.url for link in panel.links)):
            self.stdout.write(line)


def _look_at_file(path: Path) -> None:
    if not path.is_file():
        raise CommandError(f"There is no file {path}.", returncode=USAGE)
    try:
        path.open("rb").close()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.", returncode=USAGE) from None


@system_scope(System.COMMAND)
def _workspace(slug: str) -> Workspace:
    found = Workspace.objects.filter(slug=slug).first()
    if found is None:
        known = (
            ", ".join(Workspace.objects.order_by("slug").values_list("slug", flat=True)[:30])
            or "there is none yet"
        )
        raise CommandError(f"There is no workspace {slug!r}. Known: {known}.", returncode=USAGE)
    return found


def _connection(workspace: Workspace, wanted: str | None) -> SocialConnection:
    listed = list(workspace.connections.listed())
    if not listed:
        raise CommandError(
            f"{workspace.name} has no connected account. Connect one in the pages.", returncode=USAGE
        )
    if wanted is None:
        return listed[0]
    word = wanted.lstrip("@").casefold()
    names = {one.pk: {one.display_name.casefold(), one.username.casefold(), str(one.pk)} for one in listed}
    found = [one for one in listed if word in names[one.pk]]
    if len(found) == 1:
        return found[0]
    lines = "\n".join(f"  {one.display_name} (@{one.username}) {one.pk}" for one in found or listed)
    problem = (
        f"{wanted!r} means several accounts; give the id" if found else f"There is no account {wanted!r}"
    )
    raise CommandError(f"{problem}. Accounts:\n{lines}", returncode=USAGE)


def _user(workspace: Workspace, email: str | None) -> User | None:
    if email is None:
        return None
    found = User.objects.filter(email__iexact=email, memberships__workspace=workspace).first()
    if found is None:
        raise CommandError(f"{email} is no member of {workspace.name}.", returncode=USAGE)
    role = found.memberships.get(workspace=workspace).role
    if not Permission.PUBLISH.is_of(Role(role)):
        raise CommandError(
            f"{email} is {role} in {workspace.name} and may not publish there.", returncode=USAGE
        )
    return found


def _choices(options: dict[str, Any], account: Account) -> PublishOptions:
    return PublishOptions(
        caption=options["caption"].replace("\\n", "\n"),
        privacy_level=_privacy_level(options["privacy"], account),
        allow_comment=options["allow_comment"],
        allow_duet=options["allow_duet"],
        allow_stitch=options["allow_stitch"],
        is_own_brand=options["your_brand"],
        is_paid_partnership=options["branded_content"],
        is_ai_generated=options["ai_generated"],
        cover_timestamp_ms=options["cover_ms"],
    )


def _privacy_level(word: str, account: Account) -> str:
    """Take the platform's name of a level, or the label that the pages show ("Only me", only-me)."""
    plain = word.casefold().replace("-", " ")
    labels = {label.casefold(): level for level, label in account.provider.privacy_labels.items()}
    return labels.get(plain, word)


def _choice_lines(choices: PublishOptions) -> tuple[tuple[str, str], ...]:
    flags = [name for name, value in dataclasses.asdict(choices).items() if value is True]
    return (
        ("Caption", choices.caption or "none"),
        ("Privacy", choices.privacy_level),
        ("Set", ", ".join(flags) or "nothing allowed, nothing disclosed"),
    )


def _picture(video: Video) -> str:
    rate = "" if video.frame_rate is None else f" {video.frame_rate:g} fps"
    duration = "" if video.duration is None else f", {format_duration(video.duration)}"
    return f"{video.container} {video.video_codec} {video.width}×{video.height}{rate}{duration}"


def _obstacle(account: Account, mode: PublishMode) -> str:
    reason = next(choice.reason for choice in account.modes if choice.mode is mode)
    obstacle = account.obstacle
    if obstacle is None or mode is PublishMode.INBOX:
        return reason
    ids = " ".join(part for part in (obstacle.code, obstacle.log_id) if part)
    return f"{obstacle.title}. {obstacle.message}" + (f" ({ids})" if ids else "")


def _raise_problems(account: Account, video: Video, mode: PublishMode, choices: PublishOptions) -> None:
    problems = find_problems(
        video=video, provider=account.provider, creator=account.creator, mode=mode, options=choices
    )
    if problems:
        lines = [f"{_GIVEN_BY.get(one.field, one.field)}: {one.message}" for one in problems]
        if any(one.field == "privacy_level" for one in problems) and account.privacy_choices:
            offered = ", ".join(level for level, _ in account.privacy_choices)
            lines.append(f"--privacy may be: {offered}")
        raise CommandError("\n".join(lines), returncode=REFUSED)
