"""Results that stay valid while their inputs are unchanged.

A small JSON object beside a result's files has a digest of the inputs, the files' digests and the returned value.
Equal inputs return that value without computation. The digest covers the code, so that a corrected figure replaces an
old one.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, is_dataclass
from datetime import date
from functools import partial
from typing import Any

from reports.around import Around, linked
from storage.errors import CorruptObject, KeyNotFound, ObjectDenied, StorageError, TransientFault
from storage.filesystem import Store
from storage.images import content_digest
from storage.layout import path_from_index
from storage.stores import checked_json
from tasks.worker.software import code_digest

FORMAT = 1
_WORTH_A_LISTING = 32
"""keys of one folder from which one listing is cheaper than single requests"""
_ASKERS = 16
"""threads; requests mostly wait for the store"""


def inputs_digest(inputs: Any) -> str:
    """SHA-256 (hex) of the inputs (JSON values, dates and dataclasses of them), the code and the libraries."""
    text = json.dumps([FORMAT, code_digest(), inputs], sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def bytes_there(store: Store, key: str) -> str | None:
    """SHA-256 (hex) of the object; None if it does not exist, the reason if it is unreadable."""
    try:
        return content_digest(store.read(key))
    except KeyNotFound:
        return None
    except TransientFault:
        raise
    except StorageError as e:
        return str(e)


def listed(store: Store, prefix: str) -> list[tuple[str, str, int]] | str:
    """(key, etag, size) of the objects below `prefix`, or why it cannot be listed."""
    try:
        return [(info.key, info.etag, info.size) for info in store.list(prefix)]
    except TransientFault:
        raise
    except StorageError as e:
        return str(e)


def stated(store: Store, keys: Iterable[str]) -> list[tuple[str, str | None]]:
    """(key, etag or None if missing), each key once, sorted. Many keys of a folder are looked up by a listing. Keys
    come from people and may be anything; invalid ones are reported by their reader."""
    folders: defaultdict[str, list[str]] = defaultdict(list)
    for key in set(keys):
        folders[key.rpartition("/")[0]].append(key)
    etag_of: dict[str, str | None] = {}
    with ThreadPoolExecutor(_ASKERS) as pool:
        for folder, some in folders.items():
            there = listed(store, f"{folder}/") if folder and len(some) >= _WORTH_A_LISTING else ""
            if isinstance(there, str):
                etag_of |= zip(some, pool.map(partial(_etag, store), some), strict=True)
            else:
                etags = {key: etag for key, etag, _ in there}
                etag_of |= {key: etags.get(key) for key in some}
    return sorted(etag_of.items())


def _etag(store: Store, key: str) -> str | None:
    try:
        info = store.info(key)
    except TransientFault:
        raise
    except StorageError as e:
        return str(e)
    return info.etag if info else None


def file_digest(key: str, data: bytes) -> str:
    """SHA-256 (hex) of a result's file; of a page without its links to others, which change with every new report."""
    return content_digest(linked(data, path_from_index(key), Around()) if key.endswith(".html") else data)


def keep(
    store: Store, key: str, inputs: str, result: Any, files: Mapping[str, str], drawn: Sequence[Any] = ()
) -> None:
    """Store under `key` that `result` (JSON values or dataclasses of them) was made of `inputs`, a digest taken
    before reading, with `files` (their `file_digest` by key). Call it last. `drawn`: shown images, as `stated` before
    reading."""
    plain = json.loads(json.dumps(result, default=_plain))
    content = {"schema_version": FORMAT, "inputs": inputs, "result": plain, "files": dict(files), "drawn": drawn}
    store.write(key, checked_json.to_bytes(content))


def kept(store: Store, key: str, inputs: str, images: Store | None = None) -> Any:
    """The result stored under `key`, as JSON, if inputs, files and shown images are unchanged; else None."""
    try:
        content = checked_json.from_bytes(store.read(key), store.address(key), "a kept result", known_format=FORMAT)
    except (KeyNotFound, ObjectDenied, CorruptObject):  # damaged or of another version: made anew, and written over
        return None
    if content["inputs"] != inputs:
        return None
    as_written = all(_is_as_written(store, name, digest) for name, digest in content["files"].items())
    drawn = dict(content["drawn"])
    as_drawn = not drawn or (images is not None and dict(stated(images, drawn)) == drawn)
    return content["result"] if as_written and as_drawn else None


def _is_as_written(store: Store, key: str, digest: str) -> bool:
    try:
        return file_digest(key, store.read(key)) == digest
    except (KeyNotFound, ObjectDenied):
        return False


def _plain(value: object) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, date):  # datetimes are dates
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be kept, nor told from another")
