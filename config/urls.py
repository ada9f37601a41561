"""Which URL goes to which app."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from config import health
from config.favicon import favicon

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("favicon.ico", favicon, name="favicon"),
    path("readyz", health.readyz, name="readyz"),
    path("admin/", admin.site.urls),
    path("webhooks/", include("connections.webhook_urls")),
    path("accounts/", include("allauth.account.urls")),
    path("accounts/2fa/", include("accounts.mfa_urls")),
    path("accounts/sessions/", include("allauth.usersessions.urls")),
    path("accounts/", include("connections.sign_in.urls")),
    path("", include("accounts.urls")),
    path("", include("accounts.notice_urls")),
    path("", include("connections.urls")),
    path("", include("publishing.urls")),
]
