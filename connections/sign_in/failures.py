"""Why a sign-in with TikTok did not work, in the words of the page that says so."""

from __future__ import annotations

from dataclasses import dataclass

from connections.failures import Failure


@dataclass(frozen=True)
class FailurePage:
    """What happened, what to do, and the HTTP status."""

    title: str
    advice: str
    status: int


_OPERATOR = "Log in with your e-mail address for now, and tell the people who run this installation."
_AGAIN = "Start again, or log in with your e-mail address."
_PAGES = {
    Failure.CANCELED: FailurePage(
        "You canceled on TikTok’s page", "Nothing was changed. Start again, or log in another way.", 200
    ),
    Failure.DENIED: FailurePage("TikTok did not let you in", _AGAIN, 200),
    Failure.NOT_A_TEST_USER: FailurePage(
        "This TikTok account is not among the test accounts",
        "TikTok’s app for this installation is a sandbox: only accounts that are its target users can come in by it.",
        200,
    ),
    Failure.STATE_UNKNOWN: FailurePage(
        "This log-in was not started here",
        "It was started in another browser or over ten minutes ago, or was used already. For your safety it was "
        f"ignored. {_AGAIN}",
        400,
    ),
    Failure.STATE_FOREIGN: FailurePage(
        "This was started by somebody else", "For your safety it was ignored, and nothing was changed.", 400
    ),
    Failure.CODE_REFUSED: FailurePage(
        "TikTok did not take its own code back", f"It works once and for a short time. {_AGAIN}", 400
    ),
    Failure.BAD_REQUEST: FailurePage("TikTok’s answer makes no sense", _AGAIN, 400),
    Failure.NOT_CONFIGURED: FailurePage("TikTok is not set up here", _OPERATOR, 503),
    Failure.BAD_CREDENTIALS: FailurePage("TikTok does not accept this service’s credentials", _OPERATOR, 503),
    Failure.REDIRECT_MISMATCH: FailurePage(
        "The return address is not the one that TikTok knows", _OPERATOR, 503
    ),
    Failure.PKCE_MISMATCH: FailurePage("TikTok did not accept the proof key", _OPERATOR, 503),
    Failure.OUR_KEYS: FailurePage(
        "What we kept while you were away does not open any more",
        f"Our encryption key changed. {_AGAIN}",
        503,
    ),
    Failure.UNREACHABLE: FailurePage(
        "TikTok could not be reached",
        "Wait a minute and start again, or log in with your e-mail address.",
        503,
    ),
    Failure.PROVIDER_FAULT: FailurePage(
        "TikTok had a fault", "Wait a minute and start again, or log in with your e-mail address.", 503
    ),
}


def page_of(failure: Failure) -> FailurePage:
    """Return the words for `failure`."""
    return _PAGES.get(failure, _PAGES[Failure.BAD_REQUEST])
