"""Everything that the stand-in knows, and the few rules that keep it consistent.

One World lives in one event loop and is touched from there only, so it needs no locks. Whoever changes a record
says so with `save`.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import secrets
import time
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sandbox.agenda import Agenda
from sandbox.faults import Faults
from sandbox.limits import SlidingWindows
from sandbox.models import App, Creator, Grant, Hook, Post, Record, Task, Token
from sandbox.seed import seed_creators
from sandbox.settings import Settings
from sandbox.store import Store

DAY_SECONDS = 86_400.0
LOG_LENGTH = 5_000
HOOKS_KEPT = 5_000
TOKENS_SWEPT_AT = 20_000

R = TypeVar("R", bound=Record)


@dataclass
class Code:
    """An authorization code, good for one exchange."""

    client_key: str
    handle: str
    scopes: list[str]
    redirect_uri: str
    challenge: str
    expires_at: float
    used: bool = False


@dataclass
class RequestLog:
    """What was asked of the API: the latest requests, and counts since the last reset."""

    entries: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=LOG_LENGTH))
    counts: Counter[str] = field(default_factory=Counter)
    statuses: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    rate_limited: int = 0
    warnings: deque[str] = field(default_factory=lambda: deque(maxlen=200))

    def add(self, entry: dict[str, Any]) -> None:
        self.entries.append(entry)
        self.counts[entry["endpoint"]] += 1
        self.statuses[entry["endpoint"]][str(entry["status"])] += 1
        self.rate_limited += entry["code"] == "rate_limit_exceeded"


class World:
    """Apps, creators, consents, tokens, publish tasks, posts and webhook events."""

    def __init__(
        self,
        data_dir: Path,
        *,
        apps: list[App],
        profile: str = "strict",
        flags: Mapping[str, Any] | None = None,
    ) -> None:
        """Open the state under `data_dir`. `apps` and `flags` (settings) win over what an earlier run left there."""
        self.media_dir = data_dir / "media"
        self.media_dir.mkdir(parents=True, exist_ok=True)
        self.base_url = ""
        self.started_with = (profile, dict(flags or {}), [copy.deepcopy(app) for app in apps])
        self.store = Store(data_dir / "sandbox.sqlite3")
        self.agenda = Agenda()
        self._numbers_of: tuple[int, set[int]] = (0, set())
        self.settings = Settings()
        self.secret = ""
        self._empty()
        self._load()
        self.settings.update({"profile": profile, **self.overrides, **self.started_with[1]})
        self._register(apps)
        if not self.creators:
            self._seed()
        if not self.secret:
            self.secret = secrets.token_hex(16)
            self.store.save_document("document", "secret", {"value": self.secret})

    # Time and identity

    def now(self) -> float:
        """Unix seconds by the stand-in's clock, which the `clock_offset` knob moves."""
        return time.time() + self.settings.clock_offset

    def new_number(self) -> int:
        """A 19-digit id as TikTok's: the second in the upper half, chance below; always odd, so that rounding shows."""
        second = int(self.now())
        if second != self._numbers_of[0]:
            self._numbers_of = (second, set())
        while (number := (second << 32) | secrets.randbits(32) | 1) in self._numbers_of[1]:
            pass
        self._numbers_of[1].add(number)
        return number

    def sign(self, text: str) -> str:
        """A short signature over `text` for media URLs."""
        return hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()[:24]

    # Records

    def save(self, record: Record) -> None:
        """Have `record` written soon, unless a reset threw it away in the meantime."""
        if self.holds(record):
            self.store.save(record)

    def holds(self, record: Record) -> bool:
        """Whether `record` is the one known under its key."""
        return self._tables[record.kind].get(record.key()) is record

    def change_settings(self, changes: Mapping[str, Any]) -> None:
        """Set knobs, and keep them over a restart. SettingError: nothing was changed."""
        self.settings.update(changes)
        if "profile" in changes:
            self.overrides.clear()
        self.overrides.update(changes)
        self.agenda.nudge()
        self.store.save_document("document", "settings", self.overrides)

    def add_task(self, task: Task) -> None:
        """Take a new publish task into all indexes."""
        self.tasks[task.publish_id] = task
        self.creator_tasks[task.handle].append(task)
        if task.upload_id:
            self.uploads[task.upload_id] = task
        if task.mode == "direct":
            users = self.active_users[task.client_key]
            users[task.handle] = max(users.get(task.handle, 0.0), task.created_at)
        self.save(task)

    def add_post(self, post: Post) -> None:
        self.posts[post.post_id] = post
        self.creator_posts[post.handle].append(post)
        self.save(post)

    def add_hook(self, hook: Hook) -> None:
        self.hooks[hook.hook_id] = hook
        self.save(hook)
        if len(self.hooks) > HOOKS_KEPT:
            self._forget_hooks()

    def remove_creator(self, creator: Creator) -> None:
        """Forget an account with its consents; what it posted stays listed."""
        del self.creators[creator.handle]
        self.store.delete(creator)
        for grant in [g for g in self.grants.values() if g.handle == creator.handle]:
            grant.active = False
            self.save(grant)

    # Consents and tokens

    def grant_for(self, app: App, creator: Creator, scopes: list[str]) -> Grant:
        """The consent of `creator` to `app`, now for `scopes`."""
        grant = self.grants.get(f"{app.client_key}|{creator.handle}")
        if grant is None:
            grant = Grant(app.client_key, creator.handle, self.open_id(app, creator), scopes, self.now())
            self.grants[grant.key()] = grant
        grant.scopes = scopes
        grant.active = True
        grant.consents += 1
        self.save(grant)
        return grant

    def open_id(self, app: App, creator: Creator) -> str:
        """The creator's id for this app: opaque, beginning with a dash, the same each time."""
        digest = hashlib.sha256(f"open:{app.client_key}:{creator.handle}".encode()).hexdigest()
        return f"-000{digest[:32]}"

    def union_id(self, creator: Creator) -> str:
        """The creator's id for all apps of one developer."""
        digest = hashlib.sha256(f"union:{creator.handle}".encode()).hexdigest()
        return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"

    def issue(self, grant_key: str, purpose: str, scopes: list[str], expires_at: float) -> str:
        """A new token with TikTok's prefix for its purpose: access `act.`, refresh `rft.`, client `clt.`."""
        prefix = {"access": "act.", "refresh": "rft.", "client": "clt."}[purpose]
        text = f"{prefix}{secrets.token_urlsafe(32)}!{secrets.randbelow(9000) + 1000}.va"
        token = Token(digest(text), purpose, grant_key, scopes, expires_at, self.now())
        if len(self.tokens) > TOKENS_SWEPT_AT:
            self._sweep_tokens()
        self.tokens[token.digest] = token
        self.issued[purpose] += 1
        self.save(token)
        return text

    def find_token(self, text: str, purpose: str) -> Token | None:
        """The living token that reads `text`, or None if it is unknown, dead, expired or its consent withdrawn."""
        token = self.tokens.get(digest(text))
        if token is None or token.purpose != purpose or token.dead or token.expires_at <= self.now():
            return None
        if purpose != "client" and not self.grants[token.grant].active:
            return None
        return token

    def tokens_of(self, grant: Grant) -> list[Token]:
        key = grant.key()
        return [token for token in self.tokens.values() if token.grant == key]

    # Counting towards caps

    def direct_posts_today(self, creator: Creator) -> int:
        """Direct posts of the last 24 h that did not fail, through this stand-in and elsewhere."""
        return creator.posts_elsewhere + sum(
            task.mode == "direct" and task.status != "FAILED" for task in self._tasks_today(creator)
        )

    def pending_drafts(self, creator: Creator) -> int:
        """Drafts of the last 24 h that the creator has not posted yet."""
        return creator.drafts_elsewhere + sum(
            task.mode == "inbox" and task.status not in {"FAILED", "PUBLISH_COMPLETE"}
            for task in self._tasks_today(creator)
        )

    def active_users_today(self, app: App) -> set[str]:
        """Handles that `app` posted for in the last 24 h."""
        since = self.now() - DAY_SECONDS
        return {handle for handle, last in self.active_users[app.client_key].items() if last > since}

    def _tasks_today(self, creator: Creator) -> list[Task]:
        since = self.now() - DAY_SECONDS
        tasks = self.creator_tasks[creator.handle]
        first = len(tasks)
        while first and tasks[first - 1].created_at > since:
            first -= 1
        return tasks[first:]

    # Start, reset

    def reset(self) -> None:
        """Back to how this process was started, with nothing issued and nothing posted."""
        self.store.clear()
        self.agenda.clear()
        self._empty()
        self.store.save_document("document", "secret", {"value": self.secret})
        profile, flags, apps = self.started_with
        self.settings.update({**vars(Settings()), "profile": profile, **flags})
        self._register(copy.deepcopy(apps))
        self._seed()
        for path in self.media_dir.iterdir():
            path.unlink(missing_ok=True)

    def _register(self, apps: list[App]) -> None:
        for app in apps:
            self.apps[app.client_key] = app
            self.save(app)

    def _empty(self) -> None:
        self.overrides: dict[str, Any] = {}
        self.apps: dict[str, App] = {}
        self.creators: dict[str, Creator] = {}
        self.grants: dict[str, Grant] = {}
        self.tokens: dict[str, Token] = {}
        self.codes: dict[str, Code] = {}
        self.tasks: dict[str, Task] = {}
        self.uploads: dict[str, Task] = {}
        self.posts: dict[str, Post] = {}
        self.hooks: dict[str, Hook] = {}
        self._tables: dict[str, Mapping[str, Record]] = {
            "app": self.apps,
            "creator": self.creators,
            "grant": self.grants,
            "token": self.tokens,
            "task": self.tasks,
            "post": self.posts,
            "hook": self.hooks,
        }
        self.creator_tasks: defaultdict[str, list[Task]] = defaultdict(list)
        self.creator_posts: defaultdict[str, list[Post]] = defaultdict(list)
        self.active_users: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self.issued: Counter[str] = Counter()
        self.windows = SlidingWindows()
        self.log = RequestLog()
        self.faults = Faults()

    def _seed(self) -> None:
        for creator in seed_creators():
            self.creators[creator.handle] = creator
            self.save(creator)

    def _load(self) -> None:
        rows: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for kind, key, body in self.store.load():
            if (kind, key) == ("document", "secret"):
                self.secret = body["value"]
            elif (kind, key) == ("document", "settings"):
                self.overrides = body
            rows[kind].append(body)
        self.apps.update((r.key(), r) for r in _records(App, rows))
        self.creators.update((r.key(), r) for r in _records(Creator, rows))
        self.grants.update((r.key(), r) for r in _records(Grant, rows))
        self.tokens.update((r.key(), r) for r in _records(Token, rows))
        self.hooks.update((r.key(), r) for r in sorted(_records(Hook, rows), key=lambda r: r.created_at))
        for task in sorted(_records(Task, rows), key=lambda r: r.created_at):
            self.add_task(task)
        for post in sorted(_records(Post, rows), key=lambda r: r.created_at):
            self.add_post(post)

    def _sweep_tokens(self) -> None:
        now = self.now()
        for token in [t for t in self.tokens.values() if t.dead or t.expires_at <= now]:
            del self.tokens[token.digest]
            self.store.delete(token)

    def _forget_hooks(self) -> None:
        done = [hook for hook in self.hooks.values() if hook.state != "pending"]
        for hook in done[: HOOKS_KEPT // 10]:
            del self.hooks[hook.hook_id]
            self.store.delete(hook)


def digest(text: str) -> str:
    """SHA-256 in hex: what is kept of a token."""
    return hashlib.sha256(text.encode()).hexdigest()


def _records(cls: type[R], rows: dict[str, list[dict[str, Any]]]) -> list[R]:
    known = cls.__dataclass_fields__
    return [cls(**{k: v for k, v in row.items() if k in known}) for row in rows[cls.kind]]
