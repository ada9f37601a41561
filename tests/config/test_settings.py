"""A production start without its secrets is refused at once, with the name of what is missing."""

import os
import re
import subprocess
import sys

import pytest

from stack.options import BASE_DIR

COMPLETE = {"SECRET_KEY": "x" * 50, "DATABASE_URL": "postgres://u:p@127.0.0.1:5432/d", "ENV_FILE": os.devnull}


def _read(env, expression="None"):
    """Read the settings in a fresh process; give its result."""
    code = f"from config import settings as s; print({expression})"
    argv = [sys.executable, "-c", code]
    return subprocess.run(argv, env=env, cwd=BASE_DIR, capture_output=True, text=True, check=False)


def test_settings_refuse_to_start_without_a_secret_key():
    done = _read({"ENV_FILE": os.devnull})

    assert done.returncode != 0
    assert "SECRET_KEY is not set" in done.stderr


@pytest.mark.parametrize("argv", [["manage.py", "doctor"], ["-m", "config.startup"]])
def test_missing_setting_is_named_without_a_traceback(argv):
    env = {"ENV_FILE": os.devnull, "DATA_DIR": os.devnull}

    done = subprocess.run(
        [sys.executable, *argv], env=env, cwd=BASE_DIR, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "SECRET_KEY is not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_web_server_reads_the_same_file_and_the_environment_wins(tmp_path):
    (tmp_path / "env").write_text("WEB_THREADS=3\nBIND=127.0.0.1:9\n")
    code = (
        "from config import gunicorn as g; import os; print(g.bind, g.threads, 'WEB_THREADS' in os.environ)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"ENV_FILE": str(tmp_path / "env"), "BIND": "127.0.0.1:10"},
        cwd=BASE_DIR,
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout == "127.0.0.1:10 3 False\n"


def test_settings_refuse_a_wrong_pkce_value():
    done = _read(COMPLETE | {"TIKTOK_PKCE": "sometimes"})

    assert "it must be auto, on or off" in done.stderr


def test_cookies_are_secure_behind_https_and_usable_without():
    expression = "s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE"

    assert _read(COMPLETE | {"BASE_URL": "https://example.com"}, expression).stdout == "True True\n"
    assert _read(COMPLETE | {"BASE_URL": "http://127.0.0.1:8000"}, expression).stdout == "False False\n"


def test_loopback_stays_an_allowed_host_for_health_checks():
    done = _read(COMPLETE | {"ALLOWED_HOSTS": "example.com"}, "s.ALLOWED_HOSTS")

    assert done.stdout == "['example.com', '127.0.0.1', 'localhost']\n"


@pytest.mark.parametrize(
    ("env", "host"),
    [
        pytest.param({}, "10.0.0.9", id="no settings of one's own: the running demo's"),
        pytest.param({"DATABASE_URL": "postgres://u:p@db.example/d"}, "db.example", id="one's own"),
    ],
)
def test_manage_py_finds_the_running_demo(tmp_path, env, host):
    (tmp_path / "demo.env").write_text(f"SECRET_KEY={'x' * 50}\nDATABASE_URL=postgres://u:p@10.0.0.9/d\n")

    done = _read({"DATA_DIR": str(tmp_path), "SECRET_KEY": "y" * 50} | env, "s.DATABASES['default']['HOST']")

    assert done.stdout.strip() == host


def test_env_example_names_every_setting():
    source = (BASE_DIR / "config" / "settings.py").read_text()
    example = (BASE_DIR / ".env.example").read_text()
    names = set(re.findall(r'(?:env\.\w+|_secret)\(\s*"([A-Z0-9_]+)"', source))

    assert len(names) > 20
    assert {name for name in names if f"\n{name}=" not in example and f"\n# {name}=" not in example} == {
        "ENV_FILE"
    }


def test_rate_limits_are_read_by_name():
    read = _read(COMPLETE | {"TIKTOK_RATE_LIMITS": "start=60,status=0"}, "s.TIKTOK_RATE_LIMITS")

    assert read.stdout.strip() == "{'start': 60, 'status': 0}"


def test_rate_limits_refuse_what_they_do_not_know():
    read = _read(COMPLETE | {"TIKTOK_RATE_LIMITS": "uploads=6"})

    assert read.returncode != 0
    assert "takes start=N" in read.stderr


LOCAL = {"TIKTOK_API_URL": "http://127.0.0.1:8787"}


@pytest.mark.parametrize(
    ("prefix", "env"),
    [
        pytest.param("http://broadside.example.com/media/pull/", {}, id="http"),
        pytest.param("http://127.0.0.1:8000/media/pull/", {}, id="loopback for the real TikTok"),
        pytest.param("http://broadside.example.com/media/pull/", LOCAL, id="http beyond this machine"),
        pytest.param("https://broadside.example.com/media/pull", {}, id="no slash at the end"),
        pytest.param("https://broadside.example.com/", {}, id="another path"),
        pytest.param("https://broadside.example.com/media/pull/?a=/media/pull/", {}, id="query"),
        pytest.param("/media/pull/", {}, id="no host"),
    ],
)
def test_a_pull_prefix_that_cannot_work_stops_the_start(prefix, env):
    done = _read(COMPLETE | env | {"TIKTOK_PULL_URL_PREFIX": prefix})

    assert "TIKTOK_PULL_URL_PREFIX must" in done.stderr


@pytest.mark.parametrize(
    ("prefix", "env"),
    [
        pytest.param("https://media.example.com/media/pull/", {}, id="https"),
        pytest.param("http://127.0.0.1:8000/media/pull/", LOCAL, id="loopback for a local TikTok"),
    ],
)
def test_the_host_of_a_pull_prefix_is_answered(prefix, env):
    done = _read(COMPLETE | env | {"TIKTOK_PULL_URL_PREFIX": prefix}, "s.ALLOWED_HOSTS")

    assert prefix.split("/")[2].split(":")[0] in done.stdout
