"""JSON objects with the SHA-256 of their own content, so that edits and flipped bits are noticed."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from storage.errors import CorruptObject

_DIGEST = "sha256"
_FORMAT = "schema_version"


def to_bytes(content: Mapping[str, Any]) -> bytes:
    """`content` (JSON values, no NaN) as readable JSON with its digest; equal content gives equal bytes."""
    plain = json.loads(json.dumps(content, allow_nan=False))
    whole = {**plain, _DIGEST: _digest(plain)}
    return (json.dumps(whole, sort_keys=True, indent=2, allow_nan=False) + "\n").encode()


def from_bytes(data: bytes, address: str, what: str, *, known_format: int | None = None) -> dict[str, Any]:
    """The content without its digest; `address` and `what`, such as 'a seal', name it in messages.

    Raises CorruptObject if it is no JSON object, not the content that was written, or has another 'schema_version'
    than `known_format`.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise CorruptObject(f"{address} is not {what}: it is not JSON ({e}). Restore it from a copy.") from e
    if not isinstance(content, dict):
        raise CorruptObject(f"{address} is not {what}: it is JSON but no object. Restore it from a copy.")
    format_read = content.get(_FORMAT)
    if known_format is not None and type(format_read) is int and format_read != known_format:
        raise CorruptObject(
            f"{address} is not {what} of a known format: it names format {format_read}, and only {known_format} is "
            "known here, so nothing of it is used. Read it with the rd-inspect that wrote it."
        )
    if _DIGEST not in content:
        raise CorruptObject(
            f"{address} is not {what} as rd-inspect writes it: it carries no digest ({_DIGEST!r}) of its content, so "
            "it was written by hand or by another version, and nothing of it is used. Restore it from a copy."
        )
    promised, digest = content.pop(_DIGEST), _digest(content)
    if promised != digest or not _is_as_written(content, data):
        raise CorruptObject(
            f"{address} is not {what} as it was written but edited or damaged since: its content has the SHA-256 "
            f"{digest}, and it promises {promised}. Restore it from a copy."
        )
    return content


def _is_as_written(content: Mapping[str, Any], data: bytes) -> bool:
    """Compared byte by byte: other spellings of the same content, such as 1.50, come only from an edit or a flipped
    bit."""
    try:
        return to_bytes(content) == data
    except ValueError:  # NaN
        return False


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
