"""From TikTok's codes to our classes: one table, and the reading of TikTok's two error shapes.

Sources: https://developers.tiktok.com/doc/tiktok-api-v2-error-handling
https://developers.tiktok.com/doc/oauth-error-handling
and the error tables of the Content Posting API's reference pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any

from connections.errors import (
    AuthorizationError,
    CapError,
    ConfigurationError,
    JobNotFoundError,
    ProviderError,
    RateLimitError,
    RejectedError,
    ResponseError,
    TokenExpiredError,
    TransportError,
)
from connections.providers.tiktok.http import Answer
from connections.providers.tiktok.parsing import as_object, decode_json

ERROR_CLASSES: Mapping[str, type[ProviderError]] = MappingProxyType(
    {
        # The token. TikTok documents only the first; clients in the field meet the second.
        "access_token_invalid": TokenExpiredError,
        "access_token_expired": TokenExpiredError,
        "scope_not_authorized": AuthorizationError,
        "scope_permission_missed": AuthorizationError,
        # Waiting: seconds for the first, hours for the caps.
        "rate_limit_exceeded": RateLimitError,
        "spam_risk_too_many_posts": CapError,
        "spam_risk_too_many_pending_share": CapError,
        "reached_active_user_cap": CapError,
        # TikTok's own fault.
        "internal_error": TransportError,
        # What the creator can act on: the account's privacy, a ban, a new choice of visibility, an app update.
        "unaudited_client_can_only_post_to_private_accounts": RejectedError,
        "privacy_level_option_mismatch": RejectedError,
        "spam_risk_user_banned_from_posting": RejectedError,
        "spam_risk_text": RejectedError,
        "spam_risk": RejectedError,
        "app_version_check_failed": RejectedError,
        "publish_not_cancellable": RejectedError,
        "invalid_file_upload": RejectedError,
        # Our request is wrong; the tables say invalid_param, the wire invalid_params.
        "invalid_param": RejectedError,
        "invalid_params": RejectedError,
        # Unknown jobs: the first also comes for a moment after the job was made.
        "invalid_publish_id": JobNotFoundError,
        "token_not_authorized_for_specified_publish_id": RejectedError,
        # What an operator has to put right at developers.tiktok.com or in our settings.
        "url_ownership_unverified": ConfigurationError,
        "invalid_client": ConfigurationError,
        "unauthorized_client": ConfigurationError,
        "invalid_request": ConfigurationError,  # also TikTok's word for a wrong redirect URI or PKCE verifier
        "invalid_scope": ConfigurationError,
        "unsupported_grant_type": ConfigurationError,
        "unsupported_response_type": ConfigurationError,
        # The person's consent.
        "invalid_grant": AuthorizationError,
        "access_denied": AuthorizationError,
        "non_sandbox_target": ConfigurationError,
        # OAuth's words for a bad moment.
        "server_error": TransportError,
        "temporarily_unavailable": TransportError,
    }
)

_MAX_WAIT = timedelta(days=1)
_MAX_MESSAGE_LENGTH = 300
_TOKEN = re.compile(r"\b(?:act|rft|clt)\.\S+")  # TikTok marks its tokens by these prefixes
_CODE = re.compile(r"[A-Za-z0-9_.\-]{1,80}")


@dataclass(frozen=True)
class Refusal:
    """TikTok's own account of a failure; each part is "" where TikTok gave none."""

    code: str = ""
    message: str = ""
    log_id: str = ""


def read_refusal(body: Any, headers: Mapping[str, str]) -> Refusal:
    """Read the error part of a decoded body, in any of its shapes: enveloped, bare, or OAuth's flat one.

    The code of a success is "ok". `headers` help out with the log id.
    """
    outer = as_object(body)
    error = outer.get("error")
    if isinstance(error, dict):
        code, message, inner = error.get("code"), error.get("message"), error
    elif error:
        code, message, inner = error, outer.get("error_description"), outer
    else:
        code, message, inner = outer.get("code"), outer.get("message"), outer
    log_id = _word(inner.get("log_id")) or _word(inner.get("logid")) or _word(outer.get("log_id"))
    refusal = Refusal(_word(code), _sentence(message), log_id or _word(headers.get("X-Tt-Logid")))
    if refusal.code in {"invalid_param", "invalid_params"} and refusal.message == "invalid_publish_id":
        return Refusal("invalid_publish_id", refusal.message, refusal.log_id)
    return refusal


def error_from(
    answer: Answer, *, secrets: Iterable[str], unauthorized: type[ProviderError] = TokenExpiredError
) -> ProviderError:
    """Return the error that `answer` stands for, with each of `secrets` taken out of TikTok's words.

    A 5xx or 429 says more than any code. A code that the table lacks goes by its status; `unauthorized` is for a 401.
    """
    refusal = without_secrets(read_refusal(decode_json(answer.body), answer.headers), secrets)
    kind = _kind(refusal.code, answer.status, unauthorized)
    message = refusal.message or f"TikTok answered with HTTP status {answer.status}"
    details: dict[str, Any] = {"code": refusal.code, "log_id": refusal.log_id, "http_status": answer.status}
    if issubclass(kind, RateLimitError):
        details["wait"] = retry_after(answer.headers)
    return kind(message, **details)


def without_secrets(refusal: Refusal, secrets: Iterable[str]) -> Refusal:
    """Return `refusal` with any of `secrets`, and anything that looks like a token, taken out: TikTok may echo them."""
    known = [re.escape(secret) for secret in secrets if secret]
    pattern = re.compile("|".join([*known, _TOKEN.pattern]))
    return Refusal(
        code="" if pattern.search(refusal.code) else refusal.code,
        message=pattern.sub("[removed]", refusal.message)[:_MAX_MESSAGE_LENGTH],
        log_id="" if pattern.search(refusal.log_id) else refusal.log_id,
    )


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Return the wait that a Retry-After header asks for, as seconds or as a date, at most a day; None without one."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(timedelta(seconds=int(value[:9])), _MAX_WAIT)
    until, sent = _http_date(value), _http_date(headers.get("Date", ""))
    if until is None:
        return None
    return min(max(until - (sent or datetime.now(UTC)), timedelta(0)), _MAX_WAIT)


def _kind(code: str, status: int, unauthorized: type[ProviderError]) -> type[ProviderError]:
    if status >= 500 or status == 408:
        return TransportError
    if status == 429:
        known = ERROR_CLASSES.get(code, RateLimitError)
        return known if issubclass(known, RateLimitError) else RateLimitError
    if code in ERROR_CLASSES:
        return ERROR_CLASSES[code]
    if 300 <= status < 400 or (status < 300 and not code):
        return ResponseError
    if status == 401:
        return unauthorized
    return RejectedError


def _http_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _word(value: Any) -> str:
    text = str(value) if isinstance(value, (str, int)) else ""
    return text if _CODE.fullmatch(text) else ""


def _sentence(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in value[:10_000]).split())
