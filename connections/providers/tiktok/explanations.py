"""TikTok's codes and fail reasons, said to a creator, and what may be done after each fail reason.

Sources: https://developers.tiktok.com/doc/content-posting-api-reference-get-video-status
https://developers.tiktok.com/doc/content-posting-api-reference-direct-post
https://developers.tiktok.com/doc/content-sharing-guidelines
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from connections.providers.base import Explanation, FailureClass

FAILURES: Mapping[str, FailureClass] = MappingProxyType(
    {
        "file_format_check_failed": FailureClass.PERMANENT,
        "duration_check_failed": FailureClass.PERMANENT,
        "frame_rate_check_failed": FailureClass.PERMANENT,
        "picture_size_check_failed": FailureClass.PERMANENT,
        "internal": FailureClass.RETRY,
        "video_pull_failed": FailureClass.RETRY,
        "photo_pull_failed": FailureClass.RETRY,
        "publish_cancelled": FailureClass.CANCELED,
        "auth_removed": FailureClass.REAUTHORIZE,
        "spam_risk_too_many_posts": FailureClass.CAP,
        "spam_risk_user_banned_from_posting": FailureClass.PERMANENT,
        "spam_risk_text": FailureClass.PERMANENT,
        "spam_risk": FailureClass.PERMANENT,
    }
)

_RECONNECT = "Connect the account again. Posts that wait for it then go on by themselves."
_OPERATOR = "Ask the operator of this service to check its TikTok settings. Your post is kept."
_OUR_FAULT = "Try again. If it happens again, send the details below to the operator of this service."
_TIKTOK_FAULT = "Wait a few minutes and try again. Your video and caption are kept."

_DEAD_TOKEN = Explanation("TikTok no longer lets us act for this account.", _RECONNECT)
_SCOPE = Explanation(
    "This account did not give the permission that this needs.",
    "Connect the account again and leave all the permissions ticked on TikTok's page.",
)
_BAD_REQUEST = Explanation("TikTok did not accept what we sent for this post.", _OUR_FAULT)
_APP_SETTINGS = Explanation("This service is not set up correctly at TikTok.", _OPERATOR)
_BUSY = Explanation("TikTok has a problem of its own right now.", _TIKTOK_FAULT)
_UNKNOWN_JOB = Explanation(
    "TikTok does not know this post.", "Look at your TikTok profile first; if it is not there, post it again."
)
_PULL = Explanation(
    "TikTok could not download the file.", "Try again. If it keeps failing, upload the file once more."
)

_UNKNOWN = Explanation(
    "TikTok refused this and gave a reason that we do not know.",
    "Look at your TikTok profile to see whether it was posted; if not, try again or ask the operator of this service.",
)

EXPLANATIONS: Mapping[str, Explanation] = MappingProxyType(
    {
        "access_token_invalid": _DEAD_TOKEN,
        "access_token_expired": _DEAD_TOKEN,
        "invalid_grant": _DEAD_TOKEN,
        "auth_removed": Explanation(
            "This app was removed in TikTok while the video was being processed.", _RECONNECT
        ),
        "scope_not_authorized": _SCOPE,
        "scope_permission_missed": _SCOPE,
        "access_denied": Explanation(
            "TikTok did not connect the account, because access was declined.",
            "Start again and choose Continue on TikTok's page.",
        ),
        "non_sandbox_target": Explanation(
            "This TikTok account is not among the test accounts of this service.",
            "Ask the operator of this service to add it at TikTok, or sign in to TikTok with another account.",
        ),
        "rate_limit_exceeded": Explanation(
            "TikTok asks us to slow down.", "Nothing to do: it goes on by itself in a minute or so."
        ),
        "spam_risk_too_many_posts": Explanation(
            "This account has reached TikTok's limit of posts through apps for 24 hours.",
            "Post this one in the TikTok app, or try again here tomorrow.",
        ),
        "spam_risk_too_many_pending_share": Explanation(
            "Five drafts of the last 24 hours still wait in this account's TikTok inbox, and TikTok allows no more.",
            "Open the TikTok app and finish posting the drafts in your inbox, or try again tomorrow.",
        ),
        "reached_active_user_cap": Explanation(
            "The number of accounts that may post through this service today is used up.",
            "Try again in 24 hours, or ask the operator of this service to have the limit raised.",
        ),
        "spam_risk_user_banned_from_posting": Explanation(
            "TikTok has barred this account from posting.",
            "Open the TikTok app and look for a notice about your account; you can appeal there.",
        ),
        "spam_risk_text": Explanation(
            "TikTok found the caption risky.",
            "Change the caption, leaving out links and unusual tags, and post again.",
        ),
        "spam_risk": Explanation(
            "TikTok's spam check stopped this post.",
            "Change what you post, or its text, before you try again.",
        ),
        "unaudited_client_can_only_post_to_private_accounts": Explanation(
            "Until TikTok has audited this service, it posts only to accounts that are private.",
            "Make your TikTok account private (in the app: Settings and privacy, Privacy, Private account), choose "
            "Only me, and post again. Or send it as a draft, which works with a public account.",
        ),
        "privacy_level_option_mismatch": Explanation(
            "Your account does not offer the chosen visibility any more.",
            "Open the post, choose who can watch it from the present list, and post again.",
        ),
        "app_version_check_failed": Explanation(
            "The TikTok app on your phone is too old for this kind of draft.",
            "Update the TikTok app and try again.",
        ),
        "publish_not_cancellable": Explanation(
            "It is too late to cancel this post.", "You can delete it in the TikTok app once it is there."
        ),
        "url_ownership_unverified": Explanation(
            "TikTok may not fetch files from this service's address yet.", _OPERATOR
        ),
        "invalid_publish_id": _UNKNOWN_JOB,
        "token_not_authorized_for_specified_publish_id": Explanation(
            "This post was sent with another TikTok account.",
            "Look at that account's profile to see what became of it.",
        ),
        "invalid_param": _BAD_REQUEST,
        "invalid_params": _BAD_REQUEST,
        "invalid_file_upload": Explanation(
            "The file does not meet TikTok's rules.",
            "Use an MP4, MOV or WebM video of at most 4 GB and post again.",
        ),
        "invalid_client": _APP_SETTINGS,
        "unauthorized_client": _APP_SETTINGS,
        "invalid_request": _APP_SETTINGS,
        "invalid_scope": _APP_SETTINGS,
        "unsupported_grant_type": _APP_SETTINGS,
        "unsupported_response_type": _APP_SETTINGS,
        "internal_error": _BUSY,
        "server_error": _BUSY,
        "temporarily_unavailable": _BUSY,
        "internal": Explanation(
            "Something went wrong at TikTok while it processed this post.",
            "Try again; the file itself is probably fine.",
        ),
        "upload_expired": Explanation(  # a word of ours: TikTok gives an upload URL an hour
            "TikTok closed the upload several times before the whole video was there; it gives an upload one hour.",
            "Try again when the server's connection is faster, or make the file smaller and post it anew.",
        ),
        "file_format_check_failed": Explanation(
            "TikTok cannot read this kind of file.",
            "Export a video as MP4 with H.264, a photo as JPEG, and post that.",
        ),
        "duration_check_failed": Explanation(
            "The video is too short or too long for this account.",
            "Cut it to a length that your account allows (often 3 seconds to 10 minutes) and post again.",
        ),
        "frame_rate_check_failed": Explanation(
            "TikTok does not take the video's frame rate.",
            "Export it with 23 to 60 frames a second and post that.",
        ),
        "picture_size_check_failed": Explanation(
            "TikTok does not take a picture of this many pixels.",
            "Export a video with each side between 360 and 4096 pixels, a photo with at most 1080 × 1920; post that.",
        ),
        "video_pull_failed": _PULL,
        "photo_pull_failed": _PULL,
        "publish_cancelled": Explanation(
            "This post was canceled.", "Post it again if you still want it on TikTok."
        ),
    }
)


def explain(code: str) -> Explanation:
    """Return the explanation of `code`, matched whole, since TikTok's codes are prefixes of one another."""
    return EXPLANATIONS.get(code, _UNKNOWN)
