"""Replacing a damaged part in a seal."""

from collections import Counter
from typing import Any

from storage import layout
from storage.errors import Conflict, CorruptObject, KeyNotFound
from storage.partitions import scores
from storage.partitions.seals import SealedPart
from storage.records import Partition, Receipt
from storage.stores import checked_json
from storage.stores.store import Store
from storage.stores.swap import swap


def replace_part(store: Store, partition: Partition, damaged: SealedPart, mended: Receipt) -> None:
    """Replace `damaged` in the partition's seal by the part of `mended`, which has a row for the same images.

    One swap; the damaged part stays as a left-over. Repeating it changes nothing. Raises Conflict if the seal names
    neither.
    """
    key = layout.seal_key(partition.category, partition.run_date, partition.model_version)

    def change(data: bytes | None) -> bytes | None:
        if data is None:
            raise KeyNotFound(f"{store.address(key)} is gone, so nothing was mended. Run the night again.")
        return _changed(store, key, data, damaged, mended)

    unfinished = (
        f"to name {mended.part}, so that batch is scored and not mended. Find out who writes the seal, and mend "
        "again; nothing is scored twice."
    )
    swap(store, key, change, unfinished=unfinished)


def _changed(store: Store, key: str, data: bytes, damaged: SealedPart, mended: Receipt) -> bytes | None:
    """The seal's new bytes, or None if it is already changed."""
    kept = checked_json.from_bytes(data, store.address(key), "a seal")
    named = [(plan, part) for plan in kept["plans"] for part in plan["parts"]]
    if any((part["key"], part["digest"]) == (mended.part, mended.digest) for _, part in named):
        return None
    wanted = (damaged.key, damaged.digest)
    matching = [(plan, part) for plan, part in named if (part["key"], part["digest"]) == wanted]
    if len(matching) != 1 or mended.rows != damaged.rows:
        raise Conflict(
            f"{store.address(key)} does not name {damaged.key} with {mended.rows} rows any more, so nothing was "
            "mended. Verify the store again; somebody else may have mended it."
        )
    plan, part = matching[0]
    part |= {"key": mended.part, "digest": mended.digest}
    plan |= _counts(store, plan)
    return checked_json.to_bytes(kept)


def _counts(store: Store, plan: dict[str, Any]) -> dict[str, int]:
    """New counts, because the damaged part's own are not stored."""
    statuses: Counter[str] = Counter()
    anomalous = 0
    for part in plan["parts"]:
        try:
            table = scores.read_columns(store, part["key"], ["status", "is_anomalous"])
        except (KeyNotFound, CorruptObject):
            return {}  # another damaged one, whose turn comes
        statuses.update(table["status"].to_pylist())
        anomalous += sum(flag is True for flag in table["is_anomalous"].to_pylist())
    return {**{status: statuses[status] for status in scores.STATUSES}, "anomalous": anomalous}
