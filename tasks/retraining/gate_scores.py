"""Two models' scores of the same images, a few images in memory at a time."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.pictures.image_view import ImageView
from storage.filesystem import Store
from tasks.retraining.gate_regions import MaskedMaps, RegionPair
from tasks.retraining.gate_set import GateImage
from tasks.worker.computing_time import computing_seconds
from tasks.worker.picture_reader import LoadedPicture, micro_batches, read_picture
from tasks.worker.scorer import Scorer

ROUNDS, SECONDS = 9, 30.0
"""most timing rounds, both models in turns, of which the fastest counts, and the time in seconds after which none
begins: a large image in tiles takes a minute"""


@dataclass(frozen=True, eq=False)
class PairScores:
    """Both models' scores of the n readable images."""

    images: tuple[GateImage, ...]
    """(n,)"""
    champion: NDArray[np.float32]
    """(n,)"""
    candidate: NDArray[np.float32]
    """(n,)"""
    regions: RegionPair | None
    """None without a mask, or if the models' maps differ in what they show or in size, or are the same"""
    left_out: tuple[tuple[str, str], ...]
    """(key, why): unreadable images and masks"""
    seconds: tuple[float, float]
    """of computing time for an image, champion and candidate; NaN where not measured"""


@dataclass(frozen=True, eq=False)
class _ReadTwice:
    """One image in each model's preprocessing."""

    key: str
    champion: LoadedPicture
    candidate: LoadedPicture

    @property
    def error(self) -> str | None:
        return self.champion.error or self.candidate.error


def score_pair(
    store: Store, images: Store, judging: Sequence[GateImage], champion: Scorer, candidate: Scorer
) -> PairScores:
    """Score all readable images with both models, and time them in turns on the first few.

    Give the champion twice for a candidate with its weights: images are scored once, nothing is timed, and no map is
    compared.
    """
    by_key = {image.key: image for image in judging}
    view = None if candidate is champion else _one_view(champion, candidate)
    maps = MaskedMaps(store, judging, view)
    kept: list[GateImage] = []
    scores: list[NDArray[np.float32]] = []
    left_out: list[tuple[str, str]] = []
    seconds = (float("nan"), float("nan"))
    for batch in _read_for(images, list(by_key), champion, candidate):
        left_out += [(image.key, image.error) for image in batch if image.error is not None]
        readable = [image for image in batch if image.error is None]
        if not readable:
            continue
        scored = _scored(champion, candidate, readable)
        if not kept and candidate is not champion:
            seconds = _timed((champion, candidate), readable)
        scores.append(np.stack([image.scores for image in scored]))
        members = [by_key[image.key] for image in readable]
        maps.add(members, [image.champion for image in readable], *scored)
        kept += members
    both = np.concatenate(scores, axis=1) if scores else np.zeros((2, 0), np.float32)
    return PairScores(tuple(kept), both[0], both[1], maps.regions(), (*left_out, *maps.problems), seconds)


def score_unchanged(
    images: Store, digests: Mapping[str, str], champion: Scorer, candidate: Scorer
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """(champion's, candidate's) scores (g,) of the images, by key, whose bytes have these digests; None if none can
    be read."""
    scores: list[NDArray[np.float32]] = []
    for batch in _read_for(images, list(digests), champion, candidate):
        readable = [image for image in batch if image.error is None and image.champion.digest == digests[image.key]]
        if readable:
            scored = _scored(champion, candidate, readable)
            scores.append(np.stack([image.scores for image in scored]))
    if not scores:
        return None
    both = np.concatenate(scores, axis=1)
    return both[0], both[1]


def _one_view(champion: Scorer, candidate: Scorer) -> ImageView | None:
    """What the maps of both show of an image; None if they show it differently."""
    first, second = champion.image_format.view, candidate.image_format.view
    return first if replace(first, tile=None, overlap=0) == replace(second, tile=None, overlap=0) else None


def _read_for(images: Store, keys: Sequence[str], champion: Scorer, candidate: Scorer) -> Iterator[list[_ReadTwice]]:
    """Reads once for both models, unless their preprocessing differs."""

    def read(key: str) -> _ReadTwice:
        first = read_picture(images, champion.image_format, key)
        if candidate.image_format == champion.image_format:
            return _ReadTwice(key, first, first)
        return _ReadTwice(key, first, read_picture(images, candidate.image_format, key))

    formats = {champion.image_format, candidate.image_format}
    return micro_batches(read, keys, sum(one.picture_bytes for one in formats))


def _scored(champion: Scorer, candidate: Scorer, readable: Sequence[_ReadTwice]) -> tuple[AnomalyMaps, AnomalyMaps]:
    first = champion.score([image.champion for image in readable])
    return first, first if candidate is champion else candidate.score([image.candidate for image in readable])


def _timed(scorers: tuple[Scorer, Scorer], readable: Sequence[_ReadTwice]) -> tuple[float, float]:
    """Seconds for an image with each; the models are warm."""
    batches = [image.champion for image in readable], [image.candidate for image in readable]
    fastest = [float("inf"), float("inf")]
    first = time.perf_counter()
    for done in range(ROUNDS):
        if done and time.perf_counter() - first > SECONDS:
            break
        for number, (scorer, batch) in enumerate(zip(scorers, batches, strict=True)):
            began = computing_seconds()
            scorer.score(batch)
            fastest[number] = min(fastest[number], (computing_seconds() - began) / len(batch))
    return fastest[0], fastest[1]
