"""Bits flipped one at a time in every kind of object of a small sealed store, and how many of them `verify` sees.

    python -m benchmarks.flipped_bits [--flips 150] [--seed 0]

Prints a line a kind of object: flips, those that `verify` sees, and those that `verify --deep` sees. Exit code 1 if
one passes `--deep`.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from storage import layout
from storage.models import models
from storage.stores.filesystem import Store, open_store
from storage.verification.verification import Scope, verify
from tests.storage.small_nights import put_images, put_model, put_night

_KINDS = {
    "c/": "shard of maps",
    "zarr.json": "zarr.json",
    "part-": "Parquet part",
    layout.MANIFESTS: "manifest",
    "card.json": "model card",
    "decision.json": "decision",
    "champion.json": "champion pointer",
    "weights": "weights",
    layout.SEALS: "seal",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=150, help="of each kind of object")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random = np.random.default_rng(given.seed)
    passed = 0
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(str(Path(folder) / "plant"), create=True)
        put_model(store)
        models.publish_decision(store, "cloth", "v1", {"promote": True, "words": "better"})
        put_images(store, "a", "b", "c", "d", "e")
        put_night(store)
        print(f"{'flipped in a':<18}{'bits':>6}{'verify sees':>13}{'--deep sees':>13}")
        for kind in dict.fromkeys(_KINDS.values()):
            found = [_seen(store, key, place) for key, place in _places(store, kind, given.flips, random)]
            plain, deep = (sum(column) for column in zip(*found, strict=True))
            passed += len(found) - deep
            print(f"{kind:<18}{len(found):>6}{plain:>13}{deep:>13}", flush=True)
    print(f"{passed} passed verify --deep")
    return int(passed > 0)


def _places(store: Store, kind: str, flips: int, random: np.random.Generator) -> Iterator[tuple[str, int]]:
    """(key, bit), drawn evenly over the bytes of all objects of the kind."""
    objects = [(one.key, one.size) for one in store.list("") if _kind(one.key) == kind]
    ends = np.cumsum([size for _, size in objects])
    for at in random.integers(0, 8 * ends[-1], flips):
        i = int(np.searchsorted(ends, at // 8, side="right"))
        yield objects[i][0], int(at) - 8 * int(ends[i] - objects[i][1])


def _kind(key: str) -> str | None:
    return next((kind for word, kind in _KINDS.items() if word in key and not key.startswith("images/")), None)


def _seen(store: Store, key: str, place: int) -> tuple[bool, bool]:
    """Whether `verify` and `verify --deep` see the flip; the object is whole again afterwards."""
    whole = store.read(key)
    flipped = bytearray(whole)
    flipped[place // 8] ^= 1 << place % 8
    store.write(key, bytes(flipped))
    seen = [verify(store, store, Scope(deep=deep)).wrong > 0 for deep in (False, True)]
    store.write(key, whole)
    return seen[0], seen[1]


if __name__ == "__main__":
    sys.exit(main())
