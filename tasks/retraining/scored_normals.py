"""The champion's scores of new normals, and their near-duplicates."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from rd_core.pictures.near_duplicates import near_duplicates, perceptual_hash
from storage.filesystem import Store
from tasks.worker.picture_reader import LoadedPicture, micro_batches, read_picture
from tasks.worker.scorer import Scorer


@dataclass(frozen=True, eq=False)
class ScoredNormal:
    """A normal image with the champion's score."""

    key: str
    why: str | None
    """unreadable; the rest is None then"""
    hash: NDArray[np.bool_] | None = None
    """(256,), see rd_core.pictures.near_duplicates"""
    score: float | None = None


def score_normals(images: Store, scorer: Scorer, keys: Sequence[str]) -> list[ScoredNormal]:
    """Read, hash and score the images, in order, a few in memory at a time."""
    scored: list[ScoredNormal] = []
    for batch in _read(images, scorer, keys):
        readable = [picture for _, picture in batch if picture.pixels is not None]
        scores = iter(scorer.score(readable).scores if readable else ())
        scored += [
            ScoredNormal(key, picture.error)
            if picture.pixels is None
            else ScoredNormal(key, None, perceptual_hash(picture.pixels), float(next(scores)))
            for key, picture in batch
        ]
    return scored


def hashes_of(images: Store, scorer: Scorer, keys: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """The hashes of the readable ones."""
    read = chain.from_iterable(_read(images, scorer, keys))
    return {key: perceptual_hash(picture.pixels) for key, picture in read if picture.pixels is not None}


def find_duplicates(
    scored: Sequence[ScoredNormal], known: Mapping[str, NDArray[np.bool_]], most_bits: int
) -> dict[str, str]:
    """The image of `known`, or the earlier image, that each readable one of `scored` nearly duplicates."""
    own, names = _stacked([image.hash for image in scored]), list(known)
    among = _stacked([known[name] for name in names])
    twins = {}
    for number, earlier in enumerate(near_duplicates(own, among, most_bits)):
        if earlier is not None:
            nearest = earlier if earlier >= 0 else int((among ^ own[number]).sum(axis=1).argmin())
            twins[scored[number].key] = scored[nearest].key if earlier >= 0 else names[nearest]
    return twins


def log_scores(scored: Sequence[ScoredNormal]) -> NDArray[np.float64]:
    """(n,): scores vary by factors, so their logarithms are compared."""
    scores = np.array([image.score for image in scored], np.float64)
    return np.log(np.maximum(scores, np.finfo(np.float32).tiny))


def _read(images: Store, scorer: Scorer, keys: Sequence[str]) -> Iterator[list[tuple[str, LoadedPicture]]]:
    image_format = scorer.image_format
    return micro_batches(lambda key: (key, read_picture(images, image_format, key)), keys, image_format.picture_bytes)


def _stacked(hashes: Sequence[NDArray[np.bool_] | None]) -> NDArray[np.bool_]:
    """(n, 256)"""
    return np.array(hashes, np.bool_).reshape(len(hashes), 256)
