"""What two models say of the same images, a few images in memory at a time."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rd_core.detectors.reverse_distillation.model import default_device
from rd_core.detectors.reverse_distillation.settings import MICRO_BATCH
from storage.errors import InvalidKey, KeyNotFound, UnreadableImage
from storage.stores.filesystem import Store
from tasks.retraining.frozen_regions import MaskedMaps, RegionPair
from tasks.retraining.frozen_set import FrozenImage
from tasks.worker.scorer import Scorer

READERS = 4
ROUNDS = 9
"""of timing, both models in turns; the fastest counts"""


@dataclass(frozen=True, eq=False)
class PairScores:
    """Both models' scores of the n images that could be read."""

    images: tuple[FrozenImage, ...]
    """(n,)"""
    champion: NDArray[np.float32]
    """(n,)"""
    candidate: NDArray[np.float32]
    """(n,)"""
    regions: RegionPair | None
    """None without a mask, or where the models' maps differ in size"""
    left_out: tuple[tuple[str, str], ...]
    """(key, why): images that could not be read, masks that could not"""
    seconds: tuple[float, float]
    """of computing an image takes, champion and candidate; NaN without an image"""


@dataclass(frozen=True, eq=False)
class _Read:
    """One image as each model wants it."""

    key: str
    pixels: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None
    """the champion's and the candidate's; None if it cannot be read"""
    size: tuple[int, int] = (0, 0)
    """own height and width"""
    why: str | None = None


def score_pair(
    store: Store, images: Store, frozen: Sequence[FrozenImage], champion: Scorer, candidate: Scorer
) -> PairScores:
    """Score all that can be read with both models, and time them in turns on the first few."""
    by_key = {one.key: one for one in frozen}
    maps = MaskedMaps(store, frozen, (champion.height, champion.width) == (candidate.height, candidate.width))
    kept: list[FrozenImage] = []
    scores: list[NDArray[np.float32]] = []
    left_out: list[tuple[str, str]] = []
    seconds = (float("nan"), float("nan"))
    for chunk in _read_ahead(images, list(by_key), champion, candidate):
        left_out += [(one.key, one.why) for one in chunk if one.why is not None]
        readable = [one for one in chunk if one.pixels is not None]
        if not readable:
            continue
        batches = _batches(readable)
        found = [scorer.model.score(batch) for scorer, batch in zip((champion, candidate), batches, strict=True)]
        if not kept:
            seconds = _timed((champion, candidate), batches)
        scores.append(np.stack([one.scores for one in found]))
        members = [by_key[one.key] for one in readable]
        maps.add(members, [one.size for one in readable], found[0].maps, found[1].maps)
        kept += members
    both = np.concatenate(scores, axis=1) if scores else np.zeros((2, 0), np.float32)
    return PairScores(tuple(kept), both[0], both[1], maps.regions(), (*left_out, *maps.problems), seconds)


def score_keys(
    images: Store, keys: Sequence[str], champion: Scorer, candidate: Scorer
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """(champion's, candidate's) scores (g,) of the images that can be read; None if none can."""
    found: list[NDArray[np.float32]] = []
    for chunk in _read_ahead(images, keys, champion, candidate):
        readable = [one for one in chunk if one.pixels is not None]
        if readable:
            pairs = zip((champion, candidate), _batches(readable), strict=True)
            found.append(np.stack([scorer.model.score(batch).scores for scorer, batch in pairs]))
    if not found:
        return None
    both = np.concatenate(found, axis=1)
    return both[0], both[1]


def _read_ahead(images: Store, keys: Sequence[str], champion: Scorer, candidate: Scorer) -> Iterator[list[_Read]]:
    def load(key: str) -> _Read:
        try:
            data = images.read(key)
            (first, size), (second, _) = champion.prepare(data), candidate.prepare(data)
        except (UnreadableImage, KeyNotFound, InvalidKey) as e:
            return _Read(key, None, why=str(e))
        return _Read(key, (first, second), size)

    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(keys), MICRO_BATCH):
            yield list(pool.map(load, keys[start : start + MICRO_BATCH]))


def _batches(readable: Sequence[_Read]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """uint8 (b, H, W, 3) for the champion, and for the candidate."""
    pixels = [one.pixels for one in readable if one.pixels is not None]
    return np.stack([one for one, _ in pixels]), np.stack([one for _, one in pixels])


def _clock() -> Callable[[], float]:
    """Seconds. Others share the machine, so on processors only the time counts that this process had one."""
    return time.process_time if default_device().type == "cpu" else time.perf_counter


def _timed(
    scorers: tuple[Scorer, Scorer], batches: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> tuple[float, float]:
    """Seconds an image of each; the models are warm already."""
    clock = _clock()
    fastest = [float("inf"), float("inf")]
    for _ in range(ROUNDS):
        for number, (scorer, batch) in enumerate(zip(scorers, batches, strict=True)):
            began = clock()
            scorer.model.score(batch)
            fastest[number] = min(fastest[number], (clock() - began) / len(batch))
    return fastest[0], fastest[1]
