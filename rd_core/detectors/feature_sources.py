"""Where a fit's features come from: a temporary file, or the teacher at every use."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from typing import Any, Protocol

import numpy as np
import torch

from rd_core.detectors.detector import FitProgress
from rd_core.detectors.settings import DetectorSettings
from rd_core.features.cache import (
    CachedFeatures,
    CacheType,
    FeatureMaker,
    FeatureSource,
    StreamedFeatures,
    feature_bytes,
    stream_features,
)
from rd_core.features.shared_pass import SharedPass
from rd_core.pictures.counted_pixels import CountedPixels
from rd_core.pictures.images import Images

Gathering = tuple[Any, Callable[[Any], None]]
"""(an accumulator with `add(features, counted)`, called with all raw features of the first images and what counts of
them; a function called with it at the end)"""


class FittedMaker(FeatureMaker, Protocol):
    """A detector on a frozen teacher, with its settings."""

    @property
    def settings(self) -> DetectorSettings:
        """They bound the cache"""


def feature_sources(
    maker: FittedMaker,
    image_sets: Sequence[Images],
    report: Callable[[FitProgress], None],
    resources: ExitStack,
    gatherings: Sequence[Gathering] = (),
    kind: CacheType = np.float16,
    shared: SharedPass | None = None,
) -> list[FeatureSource]:
    """A source of raw features for each set of images.

    Cached on disk in numbers of this kind, by one pass of the teacher now, if all fit into `feature_cache_bytes`;
    otherwise computed at every use. gatherings: fed from the first set, such as `(Moments(),
    maker.standardisation.fit)`. shared: see `stream_features`.
    """
    began = time.monotonic()
    cached = feature_bytes(maker, sum(map(len, image_sets)), kind) <= maker.settings.feature_cache_bytes
    total = sum(map(len, image_sets)) if cached else len(image_sets[0])
    sources: list[FeatureSource] = []
    before = 0
    for number, images in enumerate(image_sets):
        cache = resources.enter_context(CachedFeatures(maker, images, kind)) if cached and len(images) else None
        sources.append(cache if cache is not None else StreamedFeatures(maker, images, shared))
        gathered = gatherings if number == 0 else ()
        if cache is None and not gathered:
            continue
        with closing(stream_features(maker, images, shared)) as passed:
            for indices, features in passed:
                if cache is not None:
                    cache.put(indices.start, features)
                for statistic, _ in gathered:
                    statistic.add(features, counted_on(maker.device, sources[-1], indices))
                done = before + indices.stop
                report(FitProgress("features", done, total, seconds=time.monotonic() - began))
        for statistic, take in gathered:
            take(statistic)
        before += len(images)
    return sources


def counted_on(device: torch.device, source: FeatureSource, indices: Sequence[int]) -> CountedPixels | None:
    """What counts of these images of a source, on the device."""
    counted = source.counted(indices)
    return None if counted is None else counted.to(device)
