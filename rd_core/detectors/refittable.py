"""Base of methods whose fit is quick enough to be repeated, which judge normals by models without their parts."""

import copy
import tempfile
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from rd_core.detectors.cross_normals import CrossNormals, HeldOut, Judged, Learnt
from rd_core.detectors.detector import CrossFit, Detection, FitProgress, FitReport, FitRun, Normals
from rd_core.detectors.feature_detector import FeatureDetector
from rd_core.detectors.feature_sources import Gathering, counted_on, feature_sources
from rd_core.detectors.folds import fold_of_each
from rd_core.detectors.settings import DetectorSettings
from rd_core.errors import TooFewNormals
from rd_core.features.cache import ChosenFeatures, FeatureSource, StreamedFeatures, in_order
from rd_core.features.standardisation import ImageMoments
from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.pictures.images import JoinedImages, SomeImages

S = TypeVar("S", bound=DetectorSettings)
Report = Callable[[FitProgress], None]


class RefittableDetector(FeatureDetector[S]):
    """A detector that learns from features in a few passes, without steps."""

    several_passes: ClassVar[bool] = False
    """whether `learn` goes through the features more than once"""

    @abstractmethod
    def learn(self, source: FeatureSource, report: Report) -> Learnt:
        """Learn what is normal, standardisation included, in place; random numbers come from torch's state."""

    def fit(self, normals: Normals, run: FitRun) -> FitReport:
        """See `Detector.fit`."""
        if run.cross is not None:
            return _CrossFit(self, normals, run.report, run.cross).run()
        with ExitStack() as resources:
            source: FeatureSource = StreamedFeatures(self, normals.train, run.shared)
            if self.several_passes:
                (source,) = feature_sources(self, [normals.train], run.report, resources, shared=run.shared)
            report = self.learn(source, run.report).report
        self.fit_map_scale(normals.early_stop)
        return report

    def gather(self, source: FeatureSource, report: Report, gatherings: Sequence[Gathering]) -> None:
        """Feed the accumulators with all features of the source, in one pass."""
        began = time.monotonic()
        with closing(in_order(source)) as passed:
            for indices, features in passed:
                counted = counted_on(self.device, source, indices)
                for statistic, _ in gatherings:
                    statistic.add(tuple(stage.to(self.device) for stage in features), counted)
                report(FitProgress("features", indices.stop, len(source), seconds=time.monotonic() - began))
        for statistic, take in gatherings:
            take(statistic)

    def unfitted_copy(self) -> Self:
        """A copy to learn anew that shares the networks."""
        shared = {id(child): child for child in self.children() if child is not self.standardisation}
        return copy.deepcopy(self, shared)


def in_batches(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


@dataclass(frozen=True)
class _CrossFit:
    """A fit that judges every normal."""

    detector: RefittableDetector[Any]
    normals: Normals
    report: Report
    cross: CrossFit

    def run(self) -> FitReport:
        """See `CrossFit`. The detector is fitted again if images are set aside, and judges all anew."""
        detector, others, parts = self.detector, self.cross.others, self.cross.judged_parts
        random = torch.get_rng_state()
        kind = np.float16 if detector.several_passes else np.float32  # so it learns what it learns without `cross`
        with ExitStack() as resources:
            moments = ImageMoments()
            images = JoinedImages(self.normals.train, self.normals.early_stop)
            gatherings: list[Gathering] = [(moments, lambda _: None)]
            (source,) = feature_sources(detector, [images], self.report, resources, gatherings, kind)
            judged = StreamedFeatures(detector, others.images) if others else source  # the fitted models see it once
            results = resources.enter_context(_Results(len(parts), detector.settings.map_size))
            everything = CrossNormals(
                source, self.cross.parts, judged, parts, (), moments.of_images, detector.standardisation
            )
            report = self._fit_and_judge(everything, (), random, results)
            aside = set(self.cross.set_aside(results.scores.astype(np.float64)))
            if aside:
                report = self._fit_and_judge(everything, aside, random, results)
            for some in in_batches(range(len(parts)), detector.settings.micro_batch):
                self.cross.judge(some, results.of(some))
        return report

    def _fit_and_judge(
        self, everything: CrossNormals, aside: Collection[int], random: Tensor, results: "_Results"
    ) -> FitReport:
        detector, trained = self.detector, len(self.normals.train)
        normals = replace(everything, kept=[number for number in range(trained) if number not in aside])
        _check_parts(normals)
        torch.set_rng_state(random)  # as a fit without those set aside has it
        learnt = detector.learn(ChosenFeatures(normals.source, normals.kept), self.report)
        early_stop = self.normals.early_stop
        usable = [i for i in range(len(early_stop)) if trained + i not in aside] or range(len(early_stop))
        detector.fit_map_scale(SomeImages(early_stop, usable))
        held_out = learnt.leave_out(normals) if learnt.leave_out else self._by_folds(normals, random)
        began, done = time.monotonic(), 0
        for numbers, detection in held_out.judged:
            results.put(numbers, detection)
            done += len(numbers)
            self.report(FitProgress("held out", done, len(results.scores), seconds=time.monotonic() - began))
        return replace(learnt.report, figures={**learnt.report.figures, "folds": held_out.folds})

    def _by_folds(self, normals: CrossNormals, random: Tensor) -> HeldOut:
        """Judge by detectors fitted without a fold of the parts each, images of no part kept by the fitted one."""
        folds = fold_of_each([normals.parts[number] for number in normals.kept])
        fold = {normals.parts[number]: fold for number, fold in zip(normals.kept, folds, strict=True)}

        def judged() -> Judged:
            for one in (None, *range(max(folds) + 1)):
                numbers = [number for number, part in enumerate(normals.judged_parts) if fold.get(part) == one]
                judge = self.detector
                if one is not None:
                    judge = judge.unfitted_copy()
                    torch.set_rng_state(random)
                    others = [number for number in normals.kept if fold[normals.parts[number]] != one]
                    judge.learn(ChosenFeatures(normals.source, others), self.report)
                for some in in_batches(numbers, judge.settings.micro_batch):
                    source = normals.judged
                    yield some, judge.detect_in_features(source.batch(some), source.counted(some))

        return HeldOut(max(folds) + 1, judged())


def _check_parts(normals: CrossNormals) -> None:
    """Raise TooFewNormals if a part cannot be left out."""
    for part, own in normals.kept_by_part.items():
        if len(normals.kept) - len(own) < 2:
            raise TooFewNormals(
                f"of {len(normals.kept)} images to train {len(own)} show the part {part!r}, so fewer than two are "
                "left to judge it by. Give images of more parts, or calibrate by a split."
            )


class _Results:
    """Maps and scores of images by number; the maps in a temporary file."""

    def __init__(self, count: int, size: tuple[int, int]) -> None:
        with tempfile.TemporaryFile() as nameless:
            self._maps = np.memmap(nameless, dtype=np.float32, mode="w+", shape=(count, *size))
        self.scores, self._distances = np.empty((2, count), dtype=np.float32)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        del self._maps

    def put(self, numbers: Sequence[int], detection: Detection) -> None:
        for whole, part in zip((self._maps, self.scores, self._distances), detection, strict=True):
            whole[np.asarray(numbers)] = part.cpu().numpy()

    def of(self, numbers: Sequence[int]) -> AnomalyMaps:
        some = np.asarray(numbers)
        return AnomalyMaps(np.array(self._maps[some]), self.scores[some], self._distances[some])
