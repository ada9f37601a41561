"""What the container files promise, as far as it can be held to the code without containers."""

import re
import stat
import subprocess
import sys

import pytest

from stack.options import BASE_DIR

COMPOSE = (BASE_DIR / "docker-compose.yml").read_text()
DOCKERFILE = (BASE_DIR / "Dockerfile").read_text()


def test_image_collects_static_files_with_nothing_but_its_own_line(tmp_path):
    line = re.search(r"^RUN (.*) python manage.py collectstatic", DOCKERFILE, re.MULTILINE)
    given = dict(pair.split("=", 1) for pair in line.group(1).split())
    env = given | {"STATIC_ROOT": str(tmp_path / "static"), "ENV_FILE": "/dev/null"}

    done = subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"],
        cwd=BASE_DIR,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    collected = list((tmp_path / "static").rglob("*"))
    assert tmp_path / "static" / "staticfiles.json" in collected
    # The image collects as root, and its processes are another account.
    assert [path for path in collected if not path.stat().st_mode & stat.S_IROTH] == []


@pytest.mark.parametrize("name", re.findall(r"^COPY (?!--)(\S+) \S+$", DOCKERFILE, re.MULTILINE))
def test_image_copies_what_exists(name):
    assert (BASE_DIR / name).exists()


def test_image_holds_every_app_of_the_product():
    from django.conf import settings

    apps = {app.partition(".")[0] for app in settings.INSTALLED_APPS}
    ours = {app for app in apps if (BASE_DIR / app).is_dir()}

    assert ours == {"accounts", "config", "connections", "publishing"}
    assert ours <= set(re.findall(r"^COPY (\w+) \w+$", DOCKERFILE, re.MULTILINE))


@pytest.mark.parametrize("app", ["accounts", "config", "connections", "publishing"])
def test_product_needs_neither_the_sandbox_nor_the_stack(app):
    pattern = re.compile(r"^\s*(?:from|import) (?:sandbox|stack|tests)\b", re.MULTILINE)

    assert [path for path in (BASE_DIR / app).rglob("*.py") if pattern.search(path.read_text())] == []


def test_compose_names_each_secret_that_is_missing():
    required = set(re.findall(r"\$\{(\w+):\?", COMPOSE))

    assert required == {
        "SECRET_KEY",
        "ENCRYPTION_KEYS",
        "BASE_URL",
        "TIKTOK_CLIENT_KEY",
        "TIKTOK_CLIENT_SECRET",
        "POSTGRES_PASSWORD",
        "DATABASE_PASSWORD",
    }


def test_compose_worker_takes_every_queue():
    from django.conf import settings

    queues = {settings.CELERY_TASK_DEFAULT_QUEUE, *(r["queue"] for r in settings.CELERY_TASK_ROUTES.values())}

    assert set(re.search(r"--queues=(\S+)", COMPOSE).group(1).split(",")) == queues


def test_compose_role_is_created_without_powers():
    assert "CREATE ROLE broadside LOGIN NOSUPERUSER NOBYPASSRLS" in COMPOSE
