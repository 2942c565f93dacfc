"""What new normals look like: how the champion scores them, and which of them show the same."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rd_core.detectors.reverse_distillation.settings import MICRO_BATCH
from rd_core.pictures.near_duplicates import near_duplicates, perceptual_hash
from storage.errors import InvalidKey, KeyNotFound, UnreadableImage
from storage.stores.filesystem import Store
from tasks.worker.scorer import Scorer

READERS = 4


@dataclass(frozen=True, eq=False)
class Look:
    """One image as the champion sees it."""

    key: str
    why: str | None
    """it cannot be read; the rest is None then"""
    hash: NDArray[np.bool_] | None = None
    """(256,), see rd_core.pictures.near_duplicates"""
    score: float | None = None


def look_at(images: Store, scorer: Scorer, keys: Sequence[str]) -> list[Look]:
    """Read, hash and score the images, in order, a few in memory at a time."""
    found: list[Look] = []
    for chunk in _read(images, scorer, keys):
        pixels = [one for _, one, _ in chunk if one is not None]
        scores = iter(scorer.model.score(np.stack(pixels)).scores) if pixels else iter(())
        found += [
            Look(key, why) if one is None else Look(key, None, perceptual_hash(one), float(next(scores)))
            for key, one, why in chunk
        ]
    return found


def hashes_of(images: Store, scorer: Scorer, keys: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """The hashes of those that can be read."""
    chunks = _read(images, scorer, keys)
    return {key: perceptual_hash(pixels) for chunk in chunks for key, pixels, _ in chunk if pixels is not None}


def find_twins(looks: Sequence[Look], known: Mapping[str, NDArray[np.bool_]], most_bits: int) -> dict[str, str]:
    """Which of the readable `looks` shows the same as which image of `known`, or as an earlier look."""
    own, names = _stacked([look.hash for look in looks]), list(known)
    among = _stacked([known[name] for name in names])
    twins = {}
    for number, earlier in enumerate(near_duplicates(own, among, most_bits)):
        if earlier is not None:
            nearest = earlier if earlier >= 0 else int((among ^ own[number]).sum(axis=1).argmin())
            twins[looks[number].key] = looks[nearest].key if earlier >= 0 else names[nearest]
    return twins


def log_scores(looks: Sequence[Look]) -> NDArray[np.float64]:
    """(n,): scores grow by factors, so that their logarithms are what is spread evenly."""
    scores = np.array([look.score for look in looks], np.float64)
    return np.log(np.maximum(scores, np.finfo(np.float32).tiny))


def _read(
    images: Store, scorer: Scorer, keys: Sequence[str]
) -> Iterator[list[tuple[str, NDArray[np.uint8] | None, str | None]]]:
    """(key, uint8 (height, width, 3) | None, why not), some at a time."""

    def load(key: str) -> tuple[str, NDArray[np.uint8] | None, str | None]:
        try:
            return key, scorer.prepare(images.read(key))[0], None
        except (UnreadableImage, KeyNotFound, InvalidKey) as e:
            return key, None, str(e)

    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(keys), MICRO_BATCH):
            yield list(pool.map(load, keys[start : start + MICRO_BATCH]))


def _stacked(hashes: Sequence[NDArray[np.bool_] | None]) -> NDArray[np.bool_]:
    """(n, 256)"""
    return np.array(hashes, np.bool_).reshape(len(hashes), 256)
