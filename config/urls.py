"""Which URL goes to which app."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from accounts.mfa_views import remove_key
from config import health
from config.favicon import favicon

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("favicon.ico", favicon, name="favicon"),
    path("readyz", health.readyz, name="readyz"),
    path("admin/", admin.site.urls),
    path("webhooks/", include("connections.webhook_urls")),
    path("accounts/", include("allauth.account.urls")),
    path("accounts/2fa/webauthn/keys/<int:pk>/remove/", remove_key, name="mfa_remove_webauthn"),
    path("accounts/2fa/", include("allauth.mfa.urls")),
    path("accounts/sessions/", include("allauth.usersessions.urls")),
    path("accounts/", include("connections.sign_in.urls")),
    path("", include("accounts.urls")),
    path("", include("accounts.notice_urls")),
    path("", include("connections.urls")),
    path("", include("publishing.urls")),
]
