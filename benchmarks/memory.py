"""How much the worker's memory grows while it uploads: `python -m benchmarks.memory [--size BYTES] [--count N]`.

The real worker of a running demo sends sparse files to the local TikTok, which counts the bytes and keeps none. Growth
is the peak of the worker's resident memory over what it had before the upload, after one small post as a warm-up.
"""

from __future__ import annotations

import argparse
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.running import Demo, machine, peak_mb, reset_peak, resident_mb, running_demo

if TYPE_CHECKING:
    from publishing.models import Post

LIMIT_SECONDS = 900


def main() -> None:
    """Print idle memory, peak, growth and throughput."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000_000, help="bytes of each video")
    parser.add_argument("--count", type=int, default=1, help="videos sent at once")
    given = parser.parse_args()
    with running_demo() as demo:
        demo.control("PATCH", "/settings", _QUICK)
        worker = demo.process("celery", "worker")
        _publish(demo, [_post(demo, 5_000_000)])
        reset_peak(worker)
        before = resident_mb(worker)
        posts = [_post(demo, given.size) for _ in range(given.count)]
        seconds = _publish(demo, posts)
        peak = peak_mb(worker)
    total = given.size * given.count
    print(
        f"{given.count} x {given.size:,} bytes to published in {seconds:.1f} s ({total / seconds / 1e6:.0f} MB/s)"
    )
    print(f"worker: {before:.1f} MB before, {peak:.1f} MB at the peak, growth {peak - before:.1f} MB")
    print(machine())


_QUICK = {
    "processing_seconds": 0.0,
    "moderation_seconds": 0.0,
    "keep_bodies": False,
    "media_checks": False,
    "rate_limits_on": False,
}


def _post(demo: Demo, size: int) -> Post:
    from accounts.models import Workspace
    from connections.providers.base import PublishMode
    from publishing.models import Video
    from publishing.services import create_post

    workspace = Workspace.objects.get(slug="demo-studio")
    video = Video(
        workspace=workspace,
        original_name="sparse.mp4",
        content_type="video/mp4",
        total_bytes=size,
        sha256="0" * 64,
        duration_ms=5_000,
        width=720,
        height=1280,
        frame_rate=30.0,
        container="mp4",
        video_codec="h264",
    )
    video.file.name = f"videos/{workspace.pk}/{video.pk}.mp4"
    path = Path(video.file.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
    path.chmod(0o644)
    video.save()
    return create_post(
        workspace=workspace,
        user=None,
        video=video,
        connection=_connection(demo),
        caption="measured",
        mode=PublishMode.DIRECT,
        options={"privacy_level": "PUBLIC_TO_EVERYONE"},
        submission_key=uuid.uuid4(),
    )


def _connection(demo: Demo):  # type: ignore[no-untyped-def]
    from datetime import timedelta

    from django.utils import timezone

    from accounts.models import Workspace
    from connections.crypto import seal
    from connections.models import SocialConnection

    workspace = Workspace.objects.get(slug="demo-studio")
    found = SocialConnection.objects.filter(workspace=workspace).first()
    if found is not None:
        return found
    grant = demo.control("POST", "/tokens", {"creator": "demo.public"})
    row = SocialConnection(
        workspace=workspace,
        provider="tiktok",
        provider_account_id=grant["open_id"],
        scopes=grant["scope"].split(","),
        access_expires_at=timezone.now() + timedelta(seconds=grant["expires_in"]),
        refresh_expires_at=timezone.now() + timedelta(seconds=grant["refresh_expires_in"]),
        profile={"username": "demo.public"},
        is_primary=True,
    )
    row.access_token = seal(row, "access_token", grant["access_token"])
    row.refresh_token = seal(row, "refresh_token", grant["refresh_token"])
    row.save()
    return row


def _publish(demo: Demo, posts: list[Post]) -> float:
    from publishing.models import Delivery
    from publishing.states import DeliveryState

    started = time.monotonic()
    rows = Delivery.objects.filter(post__in=posts)
    while time.monotonic() - started < LIMIT_SECONDS:
        if rows.filter(state=DeliveryState.PUBLISHED).count() == len(posts):
            return time.monotonic() - started
        if bad := rows.filter(state__in=[DeliveryState.FAILED, DeliveryState.HELD]).first():
            raise RuntimeError(f"{bad.state}: {bad.reason_message}")
        time.sleep(0.05)
    raise RuntimeError(f"not published after {LIMIT_SECONDS} s")


if __name__ == "__main__":
    main()
