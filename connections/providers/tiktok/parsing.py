"""Take typed values out of decoded JSON.

Missing or mistyped is a ResponseError that names the field, never its value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from connections.errors import ResponseError


def decode_json(body: bytes) -> Any:
    """Return the decoded body, or None if it is no JSON. Integers of any size stay exact.

    Raises nothing: a decoding error would carry the whole body, which may hold tokens.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def as_object(value: Any) -> dict[str, Any]:
    """Return `value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def required_object(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the JSON object under `key`. Raises ResponseError."""
    value = data.get(key)
    if not isinstance(value, dict):
        raise _malformed(key)
    return value


def required_list(data: Mapping[str, Any], key: str) -> list[Any]:
    """Return the list under `key`, which may be empty. Raises ResponseError."""
    value = data.get(key)
    if not isinstance(value, list):
        raise _malformed(key)
    return value


def required_word(data: Mapping[str, Any], key: str) -> str:
    """Return a non-empty string of visible ASCII (an id, a token, a URL). Raises ResponseError."""
    value = data.get(key)
    if not isinstance(value, str) or not value or not all("!" <= character <= "~" for character in value):
        raise _malformed(key)
    return value


def required_text(data: Mapping[str, Any], key: str) -> str:
    """Return a non-empty string for people. Raises ResponseError."""
    value = optional_text(data, key)
    if not value:
        raise _malformed(key)
    return value


def optional_text(data: Mapping[str, Any], key: str) -> str:
    """Return a string for people, "" if it is missing, without what a database cannot store. Raises ResponseError."""
    value = data.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _malformed(key)
    return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "")


def optional_bool(data: Mapping[str, Any], key: str) -> bool | None:
    """Return a boolean, or None if it is missing. Raises ResponseError."""
    value = data.get(key)
    if value is not None and not isinstance(value, bool):
        raise _malformed(key)
    return value


def optional_int(data: Mapping[str, Any], key: str) -> int | None:
    """Return an integer from 0, sent as a number or as digits, or None if it is missing. Raises ResponseError."""
    value = data.get(key)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise _malformed(key)
    return value


def required_int(data: Mapping[str, Any], key: str) -> int:
    """Return an integer from 0. Raises ResponseError."""
    value = optional_int(data, key)
    if value is None:
        raise _malformed(key)
    return value


def id_list(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return the ids under `key`, sent as numbers or digits, as exact strings; () if missing. Raises ResponseError."""
    if data.get(key) is None:
        return ()
    return tuple(_id(value, key) for value in required_list(data, key))


def _id(value: Any, key: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return str(value)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return value
    raise _malformed(key)


def _malformed(key: str) -> ResponseError:
    return ResponseError(f"TikTok's answer has no usable {key}")
