"""Every setting, read from the environment (and `.env`), strict about values.

`.env.example` explains each variable. A production start (DEBUG off) without a secret is refused here, with the name
of what is missing, so that it fails at once and not at the first upload.
"""

import os
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django_stubs_ext
import environ
from django.core.exceptions import ImproperlyConfigured

django_stubs_ext.monkeypatch()  # lets annotated classes such as ModelAdmin[Post] be written as they are checked

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
environ.Env.read_env(env.str("ENV_FILE", default=str(BASE_DIR / ".env")))
if "DATABASE_URL" not in os.environ and "ENV_FILE" not in os.environ:
    # A running demo leaves its settings here, so that `manage.py` in another terminal works on it.
    environ.Env.read_env(BASE_DIR / (env.str("DATA_DIR", default="") or ".data") / "demo.env")

DEBUG = env.bool("DEBUG", default=False)


def _secret(name: str, default_for_debug: str) -> str:
    value: str = env.str(name, default=default_for_debug if DEBUG else "")
    if not value:
        raise ImproperlyConfigured(
            f"{name} is not set. Set it in the environment or in .env (see .env.example), "
            "or start the demo, which brings its own (make demo)."
        )
    return value


SECRET_KEY = _secret("SECRET_KEY", "insecure-key-for-debug-only")
# Old ones, so that sessions and links made with them go on for a while after a change.
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])
BASE_URL = env.str("BASE_URL", default="http://127.0.0.1:8000").rstrip("/")
_base = urlsplit(BASE_URL)
# The loopback names are always there: health checks ask from inside.
ALLOWED_HOSTS = [*env.list("ALLOWED_HOSTS", default=[_base.hostname or ""]), "127.0.0.1", "localhost"]
CSRF_TRUSTED_ORIGINS = [BASE_URL]

# The keys that encrypt tokens and upload URLs: Fernet keys, the first encrypts, all decrypt.
ENCRYPTION_KEYS: list[str] = env.list("ENCRYPTION_KEYS", default=[]) or env.list("ENCRYPTION_KEY", default=[])

# --- Applications -----------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "accounts",
    "connections",
    "publishing",
    "config.apps.ConfigApp",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.usersessions",
    "django_htmx",
]

MIDDLEWARE = [
    "config.browser_rules.BrowserRulesMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.tenancy.ScopeMiddleware",
    "accounts.audit.AuditMiddleware",
    "config.middleware.ClosedByDefaultMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.activity.SessionActivityMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.context.workspaces",
            ],
        },
    },
]

# --- Database, broker, cache ------------------------------------------------------------------------------------------

_database = env.db("DATABASE_URL", default="postgres://broadside@127.0.0.1:5432/broadside")
DATABASES = {
    "default": {
        **_database,
        "OPTIONS": {"connect_timeout": 10, **_database.get("OPTIONS", {})},
        "CONN_MAX_AGE": env.int("DB_CONN_MAX_AGE", default=60),
        "CONN_HEALTH_CHECKS": True,
        # They live longer than a statement, and with them its scope (accounts/scopes.py); no pooling proxy knows them.
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }
}
REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "config.cache.FallbackCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 2},
    }
}

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "publishing.tasks.upload_delivery": {"queue": "uploads"},
    "publishing.tasks.poll_delivery": {"queue": "polls"},
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600, "socket_keepalive": True}
CELERY_TIMEZONE = "UTC"
# A message expires by the clock of the machine that takes it. This is long, so that machines may disagree about the
# time and still work; and it ends a pile that grew while no worker was there.
_BEAT_OPTIONS = {"expires": 2 * 3600}
CELERY_BEAT_SCHEDULE = {
    "dispatch-due-deliveries": {
        "task": "publishing.tasks.dispatch_deliveries",
        "schedule": 1.0,
        "options": _BEAT_OPTIONS,
    },
    "refresh-expiring-tokens": {
        "task": "connections.tasks.refresh_expiring_tokens",
        "schedule": 60.0,
        "options": _BEAT_OPTIONS,
    },
    "sweep-webhook-events": {
        "task": "connections.tasks.sweep_webhook_events",
        "schedule": 60.0,
        "options": _BEAT_OPTIONS,
    },
    "send-notice-emails": {
        "task": "accounts.tasks.send_notice_emails",
        "schedule": 10.0,
        "options": _BEAT_OPTIONS,
    },
    "delete-old-notices": {
        "task": "accounts.tasks.delete_old_notices",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "warn-of-ending-access": {
        "task": "connections.tasks.warn_of_ending_access",
        "schedule": 600.0,
        "options": _BEAT_OPTIONS,
    },
    "remove-workspaces": {
        "task": "accounts.tasks.remove_workspaces",
        "schedule": 300.0,
        "options": _BEAT_OPTIONS,
    },
    "build-exports": {
        "task": "accounts.tasks.build_exports",
        "schedule": 15.0,
        "options": _BEAT_OPTIONS,
    },
    "sweep-exports": {
        "task": "accounts.tasks.sweep_exports",
        "schedule": 3600.0,
        "options": _BEAT_OPTIONS,
    },
    "remove-old-sources": {
        "task": "publishing.tasks.remove_old_sources",
        "schedule": 3600.0,
        "options": _BEAT_OPTIONS,
    },
    "forget-expired-sessions": {
        "task": "accounts.tasks.forget_expired_sessions",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "clean-up-uploads": {
        "task": "publishing.tasks.clean_up_uploads",
        "schedule": 3600.0,
        "options": _BEAT_OPTIONS,
    },
    "scan-waiting-files": {
        "task": "publishing.tasks.scan_waiting_files",
        "schedule": 30.0,
        "options": _BEAT_OPTIONS,
    },
    "beat-heartbeat": {"task": "config.tasks.record_beat", "schedule": 5.0, "options": _BEAT_OPTIONS},
}

# --- People -----------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_FORMS = {"signup": "accounts.forms.SignupForm"}
# On a public site with a mail server people confirm first: only then does signing up not tell who has an account.
_can_confirm = _base.scheme == "https" and bool(env.str("EMAIL_URL", default=""))
ACCOUNT_EMAIL_VERIFICATION = env.str(
    "ACCOUNT_EMAIL_VERIFICATION", default="mandatory" if _can_confirm else "optional"
)
ACCOUNT_CONFIRM_EMAIL_ON_GET = False
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_DEFAULT_HTTP_PROTOCOL = _base.scheme
# How often: per address, per account ("key") and per user. https://docs.allauth.org/en/latest/account/rate_limits.html
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "10/m/ip,5/300s/key",
    "signup": "20/m/ip",
    "reset_password": "20/m/ip,5/m/key",
    "reset_password_from_key": "20/m/ip",
    "change_password": "5/m/user",
    "reauthenticate": "10/m/user",
    "manage_email": "10/m/user",
    "confirm_email": "1/3m/key",
}
# An account that somebody signs in with says who they are. No token of it is kept, and the address is always confirmed.
SOCIALACCOUNT_ADAPTER = "connections.sign_in.adapter.SocialAccountAdapter"
SOCIALACCOUNT_FORMS = {"signup": "connections.sign_in.forms.SignupForm"}
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_EMAIL_VERIFICATION = "mandatory"
USERSESSIONS_ADAPTER = "accounts.adapter.UserSessionsAdapter"
MFA_ADAPTER = "connections.second_factors.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_FORMS = {
    "authenticate_webauthn": "accounts.mfa_forms.AuthenticateForm",
    "login_webauthn": "accounts.mfa_forms.LoginForm",
    "reauthenticate_webauthn": "accounts.mfa_forms.ReauthenticateForm",
    "add_webauthn": "accounts.mfa_forms.AddForm",
    "edit_webauthn": "accounts.mfa_forms.EditForm",
}
MFA_TOTP_ISSUER = "Broadside"
MFA_TOTP_TOLERANCE = 1  # a phone's clock may be half a minute off
MFA_RATE_LIMITS = {"webauthn_login": "10/m/ip"}
# Browsers themselves allow passkeys on http for localhost only.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = _base.scheme == "http"
# What one person may do in an hour, over all their workspaces; 0: no limit.
USER_RATE_LIMITS: dict[str, int] = {"connect": 60, "post": 300} | env.dict(
    "USER_RATE_LIMITS", default={}, cast={"value": int}
)
if unknown := set(USER_RATE_LIMITS) - {"connect", "post"}:
    raise ImproperlyConfigured(f"USER_RATE_LIMITS names {', '.join(unknown)}; it knows connect and post.")

# What `manage.py load_demo` runs: each returns the words to print.
DEMO_LOADERS = ["accounts.demo.load_people", "publishing.demo.load_demo_content"]

_email = env.email("EMAIL_URL", default="consolemail://")
if _email["EMAIL_BACKEND"] == "django.core.mail.backends.console.EmailBackend":
    _email["EMAIL_BACKEND"] = "config.console_mail.EmailBackend"
vars().update(_email)
EMAIL_TIMEOUT = env.int("EMAIL_TIMEOUT", default=20)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Broadside <broadside@localhost>")

# --- Files ------------------------------------------------------------------------------------------------------------

MEDIA_ROOT = Path(env.str("MEDIA_ROOT", default=str(BASE_DIR / ".data" / "media")))
MEDIA_URL = "media/"
STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles")))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage",
        # Collected by one account, often root, and served by another; media are for their writer and its group.
        "OPTIONS": {"file_permissions_mode": 0o644},
    },
}
WHITENOISE_USE_FINDERS = DEBUG
if env.str("S3_BUCKET", default=""):
    STORAGES["default"] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": env.str("S3_BUCKET"),
            "endpoint_url": env.str("S3_ENDPOINT_URL", default=None),
            "region_name": env.str("S3_REGION", default=None),
            "access_key": env.str("S3_ACCESS_KEY", default=None),
            "secret_key": env.str("S3_SECRET_KEY", default=None),
            "default_acl": None,
            "querystring_auth": True,
        },
    }
FILE_UPLOAD_PERMISSIONS = 0o640
# Days after which the source video of an ended post is deleted, where its workspace has not chosen; 0: never.
SOURCE_RETENTION_DAYS = env.int("SOURCE_RETENTION_DAYS", default=0)
if not 0 <= SOURCE_RETENTION_DAYS <= 3650:
    raise ImproperlyConfigured("SOURCE_RETENTION_DAYS must be from 0 to 3650.")
MAX_VIDEO_BYTES = env.int("MAX_VIDEO_BYTES", default=4 * 1024**3)
# Bytes of videos and photos that a workspace may keep, unless the admin says otherwise for it; 0: no limit.
WORKSPACE_QUOTA_BYTES = env.int("WORKSPACE_QUOTA_BYTES", default=0)
# How many workspaces one person may own, so that a quota is not met by making another. 0 is no limit.
WORKSPACES_PER_PERSON = env.int("WORKSPACES_PER_PERSON", default=50)
# Where ClamAV's daemon looks through what people upload: clamd://host:port or clamd+unix:///path. Empty: nobody does.
CLAMAV_URL = env.str("CLAMAV_URL", default="").strip()
if CLAMAV_URL and not CLAMAV_URL.startswith(("clamd://", "clamd+unix:///")):
    raise ImproperlyConfigured(
        "CLAMAV_URL must look like clamd://127.0.0.1:3310 or clamd+unix:///run/clamav/clamd.ctl"
    )
# What happens to a file that the scanner gives no verdict on: hold (not published until scanned) or allow.
CLAMAV_WHEN_DOWN = env.str("CLAMAV_WHEN_DOWN", default="hold")
if CLAMAV_WHEN_DOWN not in {"hold", "allow"}:
    raise ImproperlyConfigured(f"CLAMAV_WHEN_DOWN is {CLAMAV_WHEN_DOWN!r}; it must be hold or allow.")

# --- TikTok -----------------------------------------------------------------------------------------------------------

TIKTOK_CLIENT_KEY = env.str("TIKTOK_CLIENT_KEY", default="")
TIKTOK_CLIENT_SECRET = env.str("TIKTOK_CLIENT_SECRET", default="")
TIKTOK_AUTHORIZE_URL = env.str("TIKTOK_AUTHORIZE_URL", default="https://www.tiktok.com/v2/auth/authorize/")
TIKTOK_API_URL = env.str("TIKTOK_API_URL", default="https://open.tiktokapis.com").rstrip("/")
TIKTOK_REDIRECT_URI = env.str("TIKTOK_REDIRECT_URI", default=f"{BASE_URL}/connections/tiktok/callback/")
TIKTOK_SCOPES: list[str] = env.list(
    "TIKTOK_SCOPES",
    default=[
        "user.info.basic",
        "user.info.profile",
        "video.upload",
        "video.publish",
    ],
)
# People may sign up and log in with their TikTok account. It connects nothing.
TIKTOK_SIGN_IN = env.bool("TIKTOK_SIGN_IN", default=False)
if TIKTOK_SIGN_IN and not (TIKTOK_CLIENT_KEY and TIKTOK_CLIENT_SECRET):
    raise ImproperlyConfigured(
        "TIKTOK_SIGN_IN is on, but TIKTOK_CLIENT_KEY or TIKTOK_CLIENT_SECRET is not set. Set both, or turn it off."
    )
# Calls a minute and account where TikTok granted other than its usual ones (start=6,creator=20,status=30); 0: no limit.
TIKTOK_RATE_LIMITS: dict[str, int] = {}
for _pair in env.list("TIKTOK_RATE_LIMITS", default=[]):
    _name, _, _amount = _pair.partition("=")
    if _name not in {"start", "creator", "status"} or not _amount.isdecimal():
        raise ImproperlyConfigured(
            f"TIKTOK_RATE_LIMITS has {_pair!r}; it takes start=N, creator=N and status=N."
        )
    TIKTOK_RATE_LIMITS[_name] = int(_amount)
TIKTOK_PKCE = env.str("TIKTOK_PKCE", default="auto")
if TIKTOK_PKCE not in {"auto", "on", "off"}:
    raise ImproperlyConfigured(f"TIKTOK_PKCE is {TIKTOK_PKCE!r}; it must be auto, on or off.")
# Hosts that an upload may be sent to: a leading dot allows every host below. The API's own host is always allowed.
TIKTOK_UPLOAD_HOSTS: list[str] = env.list("TIKTOK_UPLOAD_HOSTS", default=[".tiktokapis.com"])
# Where TikTok may fetch files of ours: the beginning of such an address, verified at TikTok. Empty: files are uploaded.
TIKTOK_PULL_URL_PREFIX = env.str("TIKTOK_PULL_URL_PREFIX", default="").strip()
if TIKTOK_PULL_URL_PREFIX:
    _pull, _api = urlsplit(TIKTOK_PULL_URL_PREFIX), urlsplit(TIKTOK_API_URL)
    _is_local = all(
        one.scheme == "http" and one.hostname in {"127.0.0.1", "localhost"} for one in (_pull, _api)
    )
    if not _pull.hostname or _pull.query or _pull.fragment or not _pull.path.endswith("/media/pull/"):
        raise ImproperlyConfigured(
            "TIKTOK_PULL_URL_PREFIX must look like https://broadside.example.com/media/pull/"
        )
    if _pull.scheme != "https" and not _is_local:
        raise ImproperlyConfigured(
            "TIKTOK_PULL_URL_PREFIX must begin with https://; TikTok fetches from nowhere else."
        )
    if _pull.hostname not in ALLOWED_HOSTS:
        ALLOWED_HOSTS.append(_pull.hostname)
# With a prefix: whether videos are fetched too, as photos always are. Off, they are uploaded.
TIKTOK_PULL_VIDEOS = env.bool("TIKTOK_PULL_VIDEOS", default=True)
# Seconds for making a connection, and for each wait for an answer.
TIKTOK_CONNECT_TIMEOUT = env.float("TIKTOK_CONNECT_TIMEOUT", default=5.0)
TIKTOK_READ_TIMEOUT = env.float("TIKTOK_READ_TIMEOUT", default=20.0)
# Bytes of each part of an upload that is sent in parts; a file of up to twice as many goes in one.
TIKTOK_CHUNK_BYTES = env.int("TIKTOK_CHUNK_BYTES", default=32_000_000)
if not 5_000_000 <= TIKTOK_CHUNK_BYTES <= 32_000_000:
    raise ImproperlyConfigured("TIKTOK_CHUNK_BYTES must be from 5000000 to 32000000.")

# --- Engine -----------------------------------------------------------------------------------------------------------

DELIVERY_LEASE = timedelta(seconds=env.int("DELIVERY_LEASE_SECONDS", default=30))
UPLOAD_SLOTS = env.int("UPLOAD_SLOTS", default=16)
# Multiplies the engine's own waits (not those that the platform asks for). For tests: 1.0 on a server.
ENGINE_TIME_SCALE = env.float("ENGINE_TIME_SCALE", default=1.0)

# --- Watching it ------------------------------------------------------------------------------------------------------

# What a monitor shows at /metrics, as "Authorization: Bearer …". Empty: there is no such page.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
# A Sentry server that errors are told to, without anything of anybody's (config/error_tracking.py). Empty: none.
SENTRY_DSN = env.str("SENTRY_DSN", default="").strip()
if SENTRY_DSN and not re.fullmatch(r"https?://[^\s/:@]+@[^\s/@]+/([^\s/?#]+/)*\d+", SENTRY_DSN):
    raise ImproperlyConfigured("SENTRY_DSN must look like https://key@sentry.example.com/1")

# --- Web --------------------------------------------------------------------------------------------------------------

SESSION_ENGINE = "accounts.sessions"  # keys hashed, data encrypted
_is_https = _base.scheme == "https"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _is_https
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True  # scripts take the token from the page
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = (
    "Lax"  # Strict would lose the session on the way back from TikTok
)
# The browser takes a __Host- cookie only over https and from this very host, so no neighbour below the domain sets it.
SESSION_COOKIE_NAME = "__Host-sessionid" if _is_https else "sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken" if _is_https else "csrftoken"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# Further addresses that pages may show pictures and films from; all of ours pass through our own views.
CSP_MEDIA_ORIGINS: list[str] = env.list("CSP_MEDIA_ORIGINS", default=[])
# Bytes and fields of a form without its files. A file is taken only by a view that expects one, with its own limit.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
DATA_UPLOAD_MAX_NUMBER_FILES = 100
FILE_UPLOAD_HANDLERS = ["config.uploads.RefuseFiles"]
TRUST_PROXY_HEADERS = env.bool("TRUST_PROXY_HEADERS", default=False)
if TRUST_PROXY_HEADERS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    ALLAUTH_TRUSTED_PROXY_COUNT = 1  # else all people behind it share one log-in limit
# With https and a proxy that says which requests were, both are on by themselves.
_is_known_https = _is_https and TRUST_PROXY_HEADERS
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=_is_known_https)
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]  # asked over plain http from inside
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000 if _is_known_https else 0)
# Other hosts below this domain are the operator's to decide on, and so is the browsers' preload list.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

DEFAULT_EXCEPTION_REPORTER = "config.error_reports.ErrorReporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "config.error_reports.ReportFilter"
_is_command = Path(sys.argv[0]).name == "manage.py"
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "config.redaction.RedactingFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    # A command's own words are what its terminal is for.
    "root": {
        "handlers": ["console"],
        "level": env.str("LOG_LEVEL", default="WARNING" if _is_command else "INFO"),
    },
    "loggers": {
        # Django's own handlers, for DEBUG and for `runserver`, write past the formatter that blots out secrets.
        "django": {"handlers": []},
        "django.server": {"handlers": [], "propagate": True},
        # Each of these writes a line for every task, several a second, and knows nothing of deliveries.
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
    },
}
