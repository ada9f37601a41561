"""The pages say what the code does: every name, path, command and edge in them is looked up."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.urls import Resolver404, URLResolver, get_resolver, resolve

from accounts import exports, notices
from accounts.demo import LOGINS, PASSWORD
from accounts.invitations import LIFE, PER_DAY
from accounts.notice_emails import WAITS
from accounts.permissions import Permission
from accounts.removal import GRACE
from config import heartbeat
from connections import webhook_views, webhooks
from connections.failures import _BY_CALLBACK_ERROR
from connections.providers.tiktok.errors import ERROR_CLASSES
from connections.providers.tiktok.explanations import EXPLANATIONS, FAILURES
from publishing.backoff import BYTES_PATIENCE, CAP_PATIENCE, MAX_DEATHS, MAX_JOBS, MAX_TRIES
from publishing.dispatch import MAX_RUNG, RING_AGAIN
from publishing.presentation import NO_WORKER_AFTER
from publishing.scannable import ScanProblem
from publishing.scanning import _AGAIN, UPLOAD_SECONDS
from publishing.states import EDGES, DeliveryState
from tests.docs.pages import BASE_DIR, Page, all_pages, page, target
from tests.publishing.clamav import find_clamd

PAGES = all_pages()
ARCHITECTURE = page("docs/architecture.md")
CONNECT = page("docs/connect-tiktok.md")
README = page("README.md")

each_page = pytest.mark.parametrize("one", PAGES, ids=str)

PROGRAMS = ("accounts", "config", "connections", "publishing", "sandbox", "stack", "benchmarks")
MAY_IMPORT = {
    "config": {"config"},
    "accounts": {"accounts", "config"},
    "connections": {"connections", "accounts", "config"},
    "publishing": {"publishing", "connections", "accounts", "config"},
    "sandbox": {"sandbox"},
}
READS_ENVIRONMENT = ("config/settings.py", "config/gunicorn.py", "stack/options.py")
NOT_FOR_PEOPLE = {"ENV_FILE"}
IMAGE_BYTES = 150_000
WORDS = {2: "two", 4: "four", 8: "eight"}
CHECK_ID = re.compile(r"\w+\.[EW]\d{3}")


# --- Links ------------------------------------------------------------------------------------------------------------


@each_page
def test_links_lead_to_a_file_and_a_heading(one: Page):
    places = [(link, *target(one, link)) for link in one.links]

    assert [link for link, path, _ in places if not path.exists()] == []
    assert [link for link, path, anchor in places if anchor and anchor not in Page(path).anchors] == []


def test_every_page_can_be_reached_from_the_readme():
    reached, ahead = set(), [README.path]
    while ahead:
        path = ahead.pop()
        if path not in reached and path.suffix == ".md" and path.exists():
            reached.add(path)
            ahead += [target(Page(path), link)[0] for link in Page(path).links]

    assert {one.path for one in PAGES} - reached == set()


def test_images_are_small_enough_for_a_slow_line():
    images = [
        path for path in (BASE_DIR / "docs").rglob("*") if path.suffix in {".png", ".jpg", ".svg", ".webp"}
    ]

    assert images
    assert [path.name for path in images if path.stat().st_size > IMAGE_BYTES] == []


# --- Commands ---------------------------------------------------------------------------------------------------------


def _commands(one: Page) -> list[tuple[str, list[str]]]:
    """The management commands that a page names, each with its long options."""
    found = [re.search(r"manage\.py ([a-z_]+)(.*)", line) for line in one.code]
    return [(match[1], re.findall(r"(--[a-z][a-z-]+)", match[2])) for match in found if match]


@each_page
def test_management_commands_exist_with_their_options(one: Page):
    known = get_commands()
    named = _commands(one)

    assert [name for name, _ in named if name not in known] == []
    assert [
        (name, option) for name, options in named for option in options if option not in _options(name)
    ] == []


def _options(name: str) -> set[str]:
    command = load_command_class(get_commands()[name], name)
    return set(command.create_parser("manage.py", name)._option_string_actions)


def test_options_that_the_readme_explains_exist():
    section = README.section("## From the terminal")

    assert set(re.findall(r"`(--[a-z-]+)`", section)) - {"--help"} <= _options("publish")


@each_page
def test_make_targets_exist(one: Page):
    targets = set(re.findall(r"^([a-z-]+):", (BASE_DIR / "Makefile").read_text(), re.MULTILINE))
    named = {match[1] for line in one.code if (match := re.match(r"make ([a-z-]+)", line))}

    assert named - targets == set()


def test_demo_logins_are_those_of_the_readme():
    rows = re.findall(r"^\| (\S+@\S+) \| (\S+) \|", README.text, re.MULTILINE)

    assert rows == [(login.email, PASSWORD) for login in LOGINS]


# --- Settings ---------------------------------------------------------------------------------------------------------


def _in_example() -> set[str]:
    return set(
        re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", (BASE_DIR / ".env.example").read_text(), re.MULTILINE)
    )


def test_every_setting_stands_in_the_example():
    source = (BASE_DIR / "config/settings.py").read_text()
    read = set(re.findall(r'(?:\benv\.\w+|_secret)\(\s*"([A-Z0-9_]+)"', source))

    assert len(read) > 20
    assert read - _in_example() == NOT_FOR_PEOPLE


def test_everything_in_the_example_is_read_somewhere():
    read = {name for file in READS_ENVIRONMENT for name in re.findall(r'"([A-Z][A-Z0-9_]+)"', _source(file))}

    assert _in_example() - read == set()


def _source(name: str) -> str:
    return (BASE_DIR / name).read_text()


def _settings_of_the_page() -> dict[str, str]:
    """Each setting of the table in docs/operations.md with its default."""
    section = page("docs/operations.md").section("## Settings")
    rows = re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \| [^|]+ \| ([^|]+) \|$", section, re.MULTILINE)
    assert len(rows) == len(dict(rows))
    return dict(rows)


def test_table_of_settings_is_the_example_and_what_compose_wants():
    compose = set(re.findall(r"\$\{([A-Z_]+)[:}]", _source("docker-compose.yml")))

    assert set(_settings_of_the_page()) == _in_example() | compose


def _literal_defaults() -> dict[str, str]:
    """What the code reads where nothing is set, of those settings whose default is written out and not empty."""
    calls = [
        node
        for name in ("config/settings.py", "config/gunicorn.py")
        for node in ast.walk(ast.parse(_source(name)))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("env.")
    ]
    defaults = {
        str(call.args[0].value): word.value
        for call in calls
        for word in call.keywords
        if word.arg == "default" and isinstance(call.args[0], ast.Constant)
    }
    plain = {
        name: eval(ast.unparse(value))  # noqa: S307 - our own source, without a name in it
        for name, value in defaults.items()
        if not any(isinstance(part, (ast.Name, ast.Call)) for part in ast.walk(value))
    }
    return {name: _as_text(value) for name, value in plain.items() if value not in ("", [], {}, None)}


def _as_text(value: object) -> str:
    """As it is written in the environment."""
    if isinstance(value, list):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(int(value) if isinstance(value, bool) else value)


def test_defaults_of_the_table_are_those_of_the_code():
    told, read = _settings_of_the_page(), _literal_defaults()

    assert len(read) > 25
    assert {name: told[name] for name in read} == {name: f"`{value}`" for name, value in read.items()}


def test_defaults_of_the_example_are_those_of_the_code():
    shown = dict(
        re.findall(r"^# ([A-Z][A-Z0-9_]+)=(.*)$", (BASE_DIR / ".env.example").read_text(), re.MULTILINE)
    )
    read = _literal_defaults()

    assert {name: value for name, value in shown.items() if name in read} == {
        name: value for name, value in read.items() if name in shown
    }


# --- Names of code ----------------------------------------------------------------------------------------------------


@each_page
def test_paths_exist(one: Page):
    paths = [span for span in one.spans if re.fullmatch(r"[a-z][\w-]*/[\w./-]*", span)]

    assert [path for path in paths if not (BASE_DIR / path).exists()] == []


@each_page
def test_modules_and_their_members_exist(one: Page):
    named = [
        span
        for span in one.spans
        if re.fullmatch(rf"(?:{'|'.join(PROGRAMS)})(?:\.\w+)+(?:\(.*\))?", span)
        and not CHECK_ID.fullmatch(span)
    ]

    assert [name for name in named if not _is_there(name.split("(")[0])] == []


def _product_code() -> str:
    return "\n".join(path.read_text() for name in PROGRAMS for path in (BASE_DIR / name).rglob("*.py"))


@pytest.mark.parametrize("one", [one for one in PAGES if "sandbox" not in str(one)], ids=str)
def test_addresses_of_the_site_exist(one: Page):
    named = [span for span in one.spans if re.fullmatch(r"/[a-z][\w/<>.-]*", span)]
    ours = [span for span in named if not span.startswith(("/etc/", "/opt/", "/run/", "/var/"))]

    assert [span for span in ours if not _leads_somewhere(span)] == []


def _leads_somewhere(address: str) -> bool:
    try:
        resolve(re.sub(r"<\w+>", "tiktok", address))
    except Resolver404:
        return any(str(pattern).startswith(address[1:]) for pattern in _patterns(get_resolver()))
    return True


def _patterns(resolver: URLResolver) -> Iterator[str]:
    """Every address of the site as it stands in the URL conf."""
    for one in resolver.url_patterns:
        if isinstance(one, URLResolver):
            yield from (str(one.pattern) + rest for rest in _patterns(one))
        else:
            yield str(one.pattern)


@each_page
def test_system_checks_exist(one: Page):
    named = {span for span in one.spans if CHECK_ID.fullmatch(span)}

    assert named - set(re.findall(r'\bid="([^"]+)"', _product_code())) == set()


def _is_there(name: str) -> bool:
    """Whether `name` is a module, or a member of one."""
    words = name.split(".")
    for length in range(len(words), 0, -1):
        try:
            thing: object = importlib.import_module(".".join(words[:length]))
        except ModuleNotFoundError:
            continue
        for word in words[length:]:
            thing = getattr(thing, word, None)
        return thing is not None
    return False


@each_page
def test_constants_occur_in_the_code(one: Page):
    words = {
        match[1]
        for span in one.spans
        if (match := re.fullmatch(r"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=.*)?", span))
    }
    code = _product_code() + _source("docker-compose.yml")

    assert [word for word in sorted(words) if not re.search(rf"\b{word}\b", code)] == []


@pytest.mark.parametrize("program", MAY_IMPORT)
def test_imports_point_one_way(program: str):
    files = [path for path in (BASE_DIR / program).rglob("*.py") if "migrations" not in path.parts]
    taken = {(path.name, name) for path in files for name in _imports(path) if name in PROGRAMS}

    assert files
    assert sorted(one for one in taken if one[1] not in MAY_IMPORT[program]) == []


def _imports(path: Path) -> set[str]:
    """The first words of what a file imports, at its top or inside its functions."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.split(".")[0] for name in names}


@each_page
def test_sources_in_brackets_are_listed(one: Page):
    named = set(re.findall(r"\[([A-Z]{2,4}(?:-[A-Z]{2,4})?)\]", one.prose))
    listed = re.findall(r"^\| ([A-Z]{2,4}(?:-[A-Z]{2,4})?) \| https://", one.prose, re.MULTILINE)

    assert named == set(listed)
    assert len(listed) == len(set(listed))


# --- The life of a delivery -------------------------------------------------------------------------------------------


def _drawn_edges() -> list[tuple[str, str]]:
    """The arrows of the state diagram, those of a box taken apart into those of its states."""
    (diagram,) = [block for block in ARCHITECTURE.blocks if "stateDiagram" in block]
    box = re.search(r'state "[^"]+" as (\w+) \{(.*?)\}', diagram, re.DOTALL)
    assert box
    inside = {state for arrow in _arrows(box[2]) for state in arrow}
    members = {box[1]: sorted(inside)}
    return [
        (start, end)
        for source, goal in _arrows(diagram)
        for start in members.get(source, [source])
        for end in members.get(goal, [goal])
    ]


def _arrows(text: str) -> list[tuple[str, str]]:
    return re.findall(r"(\w+) --> (\w+)", text)


def test_state_diagram_has_the_edges_of_the_code():
    drawn = _drawn_edges()

    assert len(drawn) == len(set(drawn))
    assert set(drawn) == {(source.value, goal.value) for source, goals in EDGES.items() for goal in goals}


def test_every_state_is_explained_once():
    rows = re.findall(r"^\| `(\w+)` \|", ARCHITECTURE.section("## The life of a delivery"), re.MULTILINE)

    assert sorted(rows) == sorted(DeliveryState.values)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("docs/architecture.md", "(`DELIVERY_LEASE_SECONDS`, {lease})", id="lease"),
        pytest.param("docs/architecture.md", '"Waiting for a worker" after {no_worker} s', id="no worker"),
        pytest.param("docs/architecture.md", "`rung_at` renewed every {ring} s", id="rings"),
        pytest.param("docs/architecture.md", "2 s doubling to 5 min, {tries} times", id="retries"),
        pytest.param(
            "docs/decisions/0003-one-clock-and-leases.md", "at most {rung} unclaimed rings", id="unclaimed"
        ),
        pytest.param("docs/architecture.md", "at most {jobs} jobs in all", id="jobs"),
        pytest.param("docs/connect-tiktok.md", "with at most {jobs} jobs in all", id="jobs at TikTok"),
        pytest.param(
            "docs/architecture.md", "too few bytes for {bytes_patience} minutes", id="missing bytes"
        ),
        pytest.param("docs/architecture.md", "`held` after the {deaths} claim", id="deaths"),
        pytest.param("docs/connect-tiktok.md", "tries hourly for {cap} hours", id="daily cap"),
        pytest.param("docs/operations.md", "after {stale} seconds of silence", id="signs of life"),
        pytest.param(
            "docs/operations.md", "every {interval} seconds from a thread of its own", id="interval"
        ),
        pytest.param("docs/operations.md", "more than {webhook} KiB", id="webhook body"),
        pytest.param("docs/operations.md", "Events are deleted after {events} days", id="webhook events"),
        pytest.param("docs/operations.md", "needs longer than {scan} seconds", id="scan in the form"),
        pytest.param(
            "docs/operations.md", "asked about every {too_large} minutes", id="scan of a large file"
        ),
        pytest.param(
            "docs/operations.md", "tried again after {minutes} minutes, {hours} and 12 hours", id="e-mails"
        ),
        pytest.param(
            "docs/personal-data.md", "| Notices to a person | database | {notices} days |", id="notices"
        ),
        pytest.param("docs/personal-data.md", "It can be downloaded for {exports} days", id="exports"),
    ],
)
def test_numbers_are_those_of_the_code(name: str, words: str):
    lease = re.search(r'"DELIVERY_LEASE_SECONDS", default=(\d+)', _source("config/settings.py"))
    expected = words.format(
        lease=lease and lease[1],
        no_worker=NO_WORKER_AFTER.seconds,
        ring=RING_AGAIN.seconds,
        tries=MAX_TRIES,
        rung=MAX_RUNG,
        jobs=WORDS[MAX_JOBS],
        deaths=f"{WORDS[MAX_DEATHS]}h",
        bytes_patience=WORDS[BYTES_PATIENCE.seconds // 60],
        cap=int(CAP_PATIENCE.total_seconds()) // 3600,
        stale=heartbeat.STALE_SECONDS,
        interval=heartbeat.INTERVAL_SECONDS,
        webhook=webhook_views.MAX_BYTES // 1024,
        events=webhooks.KEPT.days,
        scan=int(UPLOAD_SECONDS),
        too_large=_AGAIN[ScanProblem.TOO_LARGE].seconds // 60,
        minutes=", ".join(str(wait.seconds // 60) for wait in WAITS if wait.seconds < 3600),
        hours=", ".join(str(wait.seconds // 3600) for wait in WAITS[:-1] if wait.seconds >= 3600),
        notices=notices.KEPT_FOR.days,
        exports=exports.KEPT_FOR.days,
    )

    assert expected in page(name).text


# --- TikTok's codes ---------------------------------------------------------------------------------------------------


def test_codes_in_the_trouble_shooting_are_known():
    section = Page(CONNECT.path).section("## 11. When it does not work")
    codes = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", section))

    assert len(codes) > 15
    assert codes - set(ERROR_CLASSES) - set(FAILURES) - set(_BY_CALLBACK_ERROR) - set(EXPLANATIONS) == set()


def test_failure_pages_in_the_trouble_shooting_exist():
    section = CONNECT.section("### The connect comes back and ends on one of our pages")
    titles = [
        row for row in re.findall(r"^\| ([^|]+?) \|", section, re.MULTILINE) if row not in {"page", "---"}
    ]
    folder = BASE_DIR / "templates/connections/failures"
    text = "\n".join(path.read_text() for path in folder.glob("*.html"))
    shown = text.replace("{{ provider.label }}", "TikTok").replace("’", "'")

    assert len(titles) > 5
    assert [title for title in titles if title not in shown] == []


def test_roles_of_the_page_are_those_of_the_code():
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|$", page("docs/teams.md").text, re.MULTILINE)

    assert rows[1:] == [(one.words, one.who) for one in Permission]


def test_times_of_the_page_about_teams_are_those_of_the_code():
    words = page("docs/teams.md").text

    assert f"for **{LIFE.days} days**" in words
    assert f"For **{GRACE.days} days**" in words
    assert f"can send {PER_DAY} a day" in words


def test_memory_figures_of_the_readme_are_the_measured_ones():
    (figure,) = re.findall(r"takes (\d+ MB) of memory", README.text)

    assert f"{figure} proportional" in page("benchmarks/README.md").text


# --- Operations -------------------------------------------------------------------------------------------------------


def test_table_of_metrics_is_what_is_measured():
    table = page("docs/operations.md").section("## Health").split("| worth an alarm |")[1]
    first_cells = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    told = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    source = _source("publishing/metrics.py")

    measured = set(re.findall(r'(?:_gauge|_labelled)\(\s*"(\w+)"', source))
    counted = {f"{name}_total" for name in re.findall(r'CounterMetricFamily\("broadside_(\w+)"', source)}
    assert len(measured) > 15
    assert told == measured | counted


@pytest.mark.parametrize("name", ["docs/operations.md", "config/doctor/parts.py"])
def test_worker_that_is_told_of_takes_every_queue_and_leaves_room_for_polls(name):
    queues = {settings.CELERY_TASK_DEFAULT_QUEUE, *(r["queue"] for r in settings.CELERY_TASK_ROUTES.values())}

    (threads, taken), *more = re.findall(r"worker -P threads -c (\d+) -Q (\S+?)(?=[\s\"`])", _source(name))

    assert not more
    assert set(taken.split(",")) == queues
    assert int(threads) > settings.UPLOAD_SLOTS


def test_scanner_takes_the_lines_that_the_page_gives_it(tmp_path):
    (block,) = [block for block in page("docs/operations.md").blocks if "StreamMaxLength" in block]
    lines = [*block.splitlines()[1:-1], "TCPSocket 9", f"DatabaseDirectory {tmp_path}", "Foreground yes"]
    (tmp_path / "clamd.conf").write_text("\n".join([*lines, ""]))

    done = subprocess.run(
        [find_clamd(), "-c", tmp_path / "clamd.conf"], capture_output=True, text=True, check=False, timeout=60
    )

    assert "parse" not in done.stdout + done.stderr  # it ends all the same, since it has no signatures
    assert "No supported database files found" in done.stdout + done.stderr


def test_icons_of_the_page_are_those_of_the_sprite():
    line = re.search(r'`\{% icon "plus" %\}`.*: ([a-z ]+)$', page("docs/interface.md").text, re.MULTILINE)
    drawn = set(re.findall(r'id="(?:icon-)?([a-z-]+)"', _source("static/img/icons.svg")))

    assert line
    assert set(line[1].split()) == drawn
