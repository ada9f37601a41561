"""Under /accounts/2fa/: allauth's pages about second steps, one of them narrowed."""

from allauth.mfa.webauthn.views import remove_webauthn
from django.urls import include, path
from django.views.decorators.http import require_http_methods

# Django's DeleteView answers DELETE too, and past allauth's flow: the key would go without an e-mail to its owner and
# without a line in the audit log.
remove_key = require_http_methods(["GET", "HEAD", "POST"])(remove_webauthn)

urlpatterns = [
    path("webauthn/keys/<int:pk>/remove/", remove_key, name="mfa_remove_webauthn"),
    path("", include("allauth.mfa.urls")),
]
