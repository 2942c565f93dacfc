"""Results that stand for as long as nothing that they were made from has changed.

Beside its files a result leaves a small JSON object: a digest of all that went in, of the files, and what the task
returned. Whoever asks again with the same inputs gets that, and nothing is computed. The digest covers the code too:
a mended figure must not hide behind an old one.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import date
from typing import Any

from storage import checked_json
from storage.errors import CorruptObject, KeyNotFound, ObjectDenied
from storage.filesystem import Store
from storage.images import content_digest
from tasks.software import code_digest

FORMAT = 1


def digest_of(inputs: Any) -> str:
    """SHA-256 (hex) of the inputs (JSON values, dates and dataclasses of them), of the code and of the libraries."""
    told = json.dumps([FORMAT, code_digest(), inputs], sort_keys=True, default=_plain)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


def bytes_there(store: Store, key: str) -> str | None:
    """SHA-256 (hex) of the object; None if it is not there or may not be read."""
    try:
        return content_digest(store.read(key))
    except (KeyNotFound, ObjectDenied):
        return None


def listed(store: Store, prefix: str) -> list[tuple[str, str, int]]:
    """(key, etag, size) of what lies below `prefix`: other bytes have another etag."""
    return [(info.key, info.etag, info.size) for info in store.list(prefix)]


def stated(store: Store, keys: Iterable[str]) -> list[tuple[str, str | None]]:
    """(key, etag, None where there is no such object), each key once, sorted."""
    found = ((key, store.info(key)) for key in sorted(set(keys)))
    return [(key, info.etag if info else None) for key, info in found]


def keep(store: Store, key: str, inputs: str, result: Any, files: Mapping[str, str]) -> None:
    """Leave under `key` that `result` (as for `digest_of`, and JSON can give it back) was made of `inputs`, a digest
    taken before anything was read, and wrote `files` (their SHA-256 by key). To be called last."""
    plain = json.loads(json.dumps(result, default=_plain))
    content = {"schema_version": FORMAT, "inputs": inputs, "result": plain, "files": dict(files)}
    store.write(key, checked_json.to_bytes(content))


def kept(store: Store, key: str, inputs: str) -> Any:
    """What was kept under `key`, as JSON gives it, if it was made of `inputs` and its files are as they were written;
    else None."""
    try:
        content = checked_json.from_bytes(store.read(key), store.address(key), "a kept result", known_format=FORMAT)
    except (KeyNotFound, ObjectDenied, CorruptObject):  # damaged or of another version: made anew, and written over
        return None
    as_written = all(bytes_there(store, name) == digest for name, digest in content["files"].items())
    return content["result"] if content["inputs"] == inputs and as_written else None


def _plain(value: object) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, date):  # datetimes are dates
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be kept, nor told from another")
