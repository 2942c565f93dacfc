"""New normals as the champion sees them: scores, and near-duplicates."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from rd_core.pictures.near_duplicates import near_duplicates, perceptual_hash
from storage.filesystem import Store
from tasks.worker.picture_reader import LoadedPicture, micro_batches, read_picture, stacked
from tasks.worker.scorer import Scorer


@dataclass(frozen=True, eq=False)
class Look:
    """One image with the champion's score."""

    key: str
    why: str | None
    """unreadable; the rest is None then"""
    hash: NDArray[np.bool_] | None = None
    """(256,), see rd_core.pictures.near_duplicates"""
    score: float | None = None


def look_at(images: Store, scorer: Scorer, keys: Sequence[str]) -> list[Look]:
    """Read, hash and score the images, in order, a few in memory at a time."""
    looks: list[Look] = []
    for batch in _read(images, scorer, keys):
        pixels = stacked([picture for _, picture in batch])
        scores = iter(scorer.model.score(pixels).scores if len(pixels) else ())
        looks += [
            Look(key, picture.error)
            if picture.pixels is None
            else Look(key, None, perceptual_hash(picture.pixels), float(next(scores)))
            for key, picture in batch
        ]
    return looks


def hashes_of(images: Store, scorer: Scorer, keys: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """The hashes of the readable ones."""
    read = chain.from_iterable(_read(images, scorer, keys))
    return {key: perceptual_hash(picture.pixels) for key, picture in read if picture.pixels is not None}


def find_twins(looks: Sequence[Look], known: Mapping[str, NDArray[np.bool_]], most_bits: int) -> dict[str, str]:
    """The image of `known`, or earlier look, that each readable one of `looks` nearly duplicates."""
    own, names = _stacked([look.hash for look in looks]), list(known)
    among = _stacked([known[name] for name in names])
    twins = {}
    for number, earlier in enumerate(near_duplicates(own, among, most_bits)):
        if earlier is not None:
            nearest = earlier if earlier >= 0 else int((among ^ own[number]).sum(axis=1).argmin())
            twins[looks[number].key] = looks[nearest].key if earlier >= 0 else names[nearest]
    return twins


def log_scores(looks: Sequence[Look]) -> NDArray[np.float64]:
    """(n,): scores vary by factors, so their logarithms are compared."""
    scores = np.array([look.score for look in looks], np.float64)
    return np.log(np.maximum(scores, np.finfo(np.float32).tiny))


def _read(images: Store, scorer: Scorer, keys: Sequence[str]) -> Iterator[list[tuple[str, LoadedPicture]]]:
    return micro_batches(lambda key: (key, read_picture(images, scorer.image_format, key)), keys)


def _stacked(hashes: Sequence[NDArray[np.bool_] | None]) -> NDArray[np.bool_]:
    """(n, 256)"""
    return np.array(hashes, np.bool_).reshape(len(hashes), 256)
