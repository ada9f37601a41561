"""The one page about second steps that is not allauth's own."""

from __future__ import annotations

from allauth.mfa.webauthn.views import remove_webauthn
from django.views.decorators.http import require_http_methods

# Django's DeleteView answers DELETE too, and past allauth's flow: the key would go without an e-mail to its owner and
# without a line in the audit log.
remove_key = require_http_methods(["GET", "HEAD", "POST"])(remove_webauthn)
