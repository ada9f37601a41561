"""The product's settings, on the test session's own Postgres and Redis (`tests/embedded.py`)."""

from tests.embedded import prepare_environment

prepare_environment()

from config.settings import *  # noqa: E402, F403
from config.settings import STORAGES  # noqa: E402

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast, and only here
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
