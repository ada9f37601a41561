"""What can go wrong when a provider is called, sorted by what a caller should do next.

Two facts decide that: may the same request work later, and is it sure that nothing happened. Each class states both;
the base is pessimistic. An error carries no request, response or header, so its text may reach logs and the admin.
"""

from __future__ import annotations

from datetime import timedelta


class ProviderError(Exception):
    """A provider call failed.

    `code` and `log_id` are the provider's own, empty where it gave none. `message` is the provider's or the client's
    wording for logs and operators, never for creators.
    """

    may_work_later = False
    nothing_happened = False

    def __init__(
        self, message: str, *, code: str = "", log_id: str = "", http_status: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.log_id = log_id
        self.http_status = http_status

    def __str__(self) -> str:
        return " ".join(part for part in (self.message, self.code and f"[{self.code}]", self.log_id) if part)


class TransportError(ProviderError):
    """No usable answer: refused, reset, timed out, or a 5xx. The request may have been acted on."""

    may_work_later = True


class UnreachableError(TransportError):
    """The connection was never made, so nothing was sent and nothing happened."""

    nothing_happened = True


class RateLimitError(ProviderError):
    """Refused before acting, because too much was asked. `wait` is how long, where the provider said so."""

    may_work_later = True
    nothing_happened = True

    def __init__(
        self,
        message: str,
        *,
        wait: timedelta | None = None,
        code: str = "",
        log_id: str = "",
        http_status: int | None = None,
    ) -> None:
        super().__init__(message, code=code, log_id=log_id, http_status=http_status)
        self.wait = wait


class CapError(RateLimitError):
    """A daily cap of the account or the app is reached: waiting takes hours, not seconds."""


class AuthorizationError(ProviderError):
    """The token is dead or lacks a scope: the person must connect the account again."""

    nothing_happened = True


class TokenExpiredError(AuthorizationError):
    """The access token was refused. A refresh may heal it; try that once before asking the person."""


class RejectedError(ProviderError):
    """Understood and refused. Also what an unknown code becomes."""

    nothing_happened = True


class JobNotFoundError(RejectedError):
    """The provider does not know the publish job. Just after it was made that may pass: ask again before giving up."""


class ConfigurationError(RejectedError):
    """Our own client key, secret, redirect URI or URL ownership is wrong: an operator must act, not the creator."""


class ResponseError(ProviderError):
    """A success status with an unreadable body: their change or our bug. The request may have been acted on."""


class UploadError(ProviderError):
    """Base of the refusals that a chunk can meet."""

    nothing_happened = True


class UploadExpiredError(UploadError):
    """The upload URL is no longer valid (403) or unknown (404): a new publish job is needed."""


class UploadRangeError(UploadError):
    """The chunk does not start where the provider expects it (416). `stored_bytes` is what it holds, if it said so."""

    def __init__(
        self,
        message: str,
        *,
        stored_bytes: int | None = None,
        code: str = "",
        log_id: str = "",
        http_status: int | None = None,
    ) -> None:
        super().__init__(message, code=code, log_id=log_id, http_status=http_status)
        self.stored_bytes = stored_bytes
