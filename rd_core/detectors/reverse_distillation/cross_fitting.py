"""Held-out scores, by models of folds: each is trained without the parts that it judges.

A fold's model does not depend on the images that it judges: not in its weights, standardisation or blend, not in the
choice to mirror, not in the textures of its synthetic defects. All share the teacher's features, computed once.
"""

import copy
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rd_core.detectors.detector import CrossFit, FitProgress, Normals
from rd_core.detectors.folds import fold_of_each
from rd_core.detectors.reverse_distillation.blend_fitting import fit_blend
from rd_core.detectors.reverse_distillation.descent import Sources, StudentDescent
from rd_core.detectors.reverse_distillation.mirroring import may_be_mirrored
from rd_core.detectors.reverse_distillation.model import TeacherAndStudent
from rd_core.detectors.reverse_distillation.moments import fit_moments
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.errors import TooFewNormals
from rd_core.features.cache import ChosenFeatures, FeatureSource
from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.pictures.images import Images, JoinedImages, SomeImages, counted_in, pictures_in
from rd_core.pictures.preprocessing import resize
from rd_core.pictures.read_ahead import read_ahead

FOLDS = 4
STEPS_SHARE = 1 / 3
"""a fold's steps as a share of the detector's (docs/decisions/0038)"""
FEWEST_PARTS = 2
"""early-stop parts that must remain when normals are set aside: none decides alone when the training ends"""
SMALLEST_SCORE = 1e-12
"""stands for a score of 0, which has no logarithm"""
Numbers = NDArray[np.int64]
"""of images of the fit, the training images, then the early-stop images, or of images to judge"""
Scores = NDArray[np.float64]


class CrossFitting:
    """The folds of one fit.

    Fold k's model is trained without fold k's images and blended by the early-stop images. One more model judges
    those: it has the weights of fold 0, blended by fold 0's images. So that no weights depend on early-stop images,
    folds keep those of the last step.
    """

    def __init__(
        self, fresh: TeacherAndStudent, normals: Normals, cross: CrossFit, report: Callable[[FitProgress], None]
    ) -> None:
        """fresh: the detector, not to be changed before `fit` returns; folds start from its weights. Raises
        TooFewNormals for a fold without images to train on, ValueError for a part in both sets of normals."""
        train = len(normals.train)
        self.fold_of = np.array(fold_of_each(cross.parts[:train], FOLDS))
        """(train,) int64"""
        _check(self.fold_of, cross.parts)
        fold = dict(zip(cross.parts, self.fold_of.tolist(), strict=False))  # early-stop parts are in none
        self._fresh = fresh
        self._settings, self._normals, self._cross, self._report = fresh.settings, normals, cross, report
        self._images = JoinedImages(normals.train, normals.early_stop)
        self._judged = self._images if cross.others is None else cross.others.images
        self._early_stop = np.arange(train, train + len(normals.early_stop))
        self.count = int(self.fold_of.max()) + 1
        self._judged_by = np.array([fold.get(part, self.count) for part in cross.judged_parts])
        """(m,) the fold whose model judges each image to judge; `count`: that of the early-stop images"""
        few = pictures_in(normals.train) < fresh.settings.training.mirrored_below
        self.mirrored = [few and self._may_be_mirrored(fold) for fold in range(self.count)]
        """whether each fold is trained on mirrored images too"""
        self._judges: list[TeacherAndStudent] = []
        """the folds' models, and that of the early-stop images"""
        self._of_early_stop: list[Scores] = []
        """the folds' scores of the early-stop images"""
        self._last_to_first = 1.0
        """ratio of the scores of fold 0 to those of the early-stop images' model"""
        self._set_aside: frozenset[int] = frozenset()
        self.figures: dict[str, Any] = {}
        """JSON values for the report"""

    def fit(self, sources: Mapping[bool, Sources]) -> None:
        """Train the folds, then ask which images to set aside. sources: of all images, by whether mirrored ones are
        among them."""
        began = time.monotonic()
        steps = math.ceil(STEPS_SHARE * self._settings.training.total_steps(len(self.fold_of)))
        for fold in range(self.count):
            self._fit_fold(fold, sources[self.mirrored[fold]], steps, began)
        scores = np.empty(len(self._judged))
        for fold, (model, ratio) in enumerate(zip(self._judges, self._ratios(self._of_early_stop[0]), strict=True)):
            judged = np.flatnonzero(self._judged_by == fold)
            scores[judged] = ratio * self._scores(model, self._judged, judged)
        self._set_aside = frozenset(self._cross.set_aside(scores))
        self.figures = {"steps": steps, "seconds": time.monotonic() - began}

    def kept(self, sources: Sources) -> Sources:
        """The sources without what was set aside. Raises TooFewNormals if less than two training images remain."""
        train = np.array([i for i in range(len(self.fold_of)) if i not in self._set_aside], np.int64)
        if len(train) < 2:
            raise TooFewNormals(
                f"{len(train)} of {len(self.fold_of)} training images remain, the others are set aside. Set fewer "
                "aside, or label more normal images."
            )
        own, copies = _some(sources.train, sources.synthetic_train, self._shown(sources, train))
        early_stop = _some(sources.early_stop, sources.synthetic_early_stop, self._kept_early_stop())
        return Sources(own, early_stop[0], copies, early_stop[1])

    def judge(self, detector: TeacherAndStudent) -> None:
        """Judge every image, on the scale of the fitted detector."""
        witnesses = self._kept_early_stop()
        ratios = self._ratios(self._scores(detector, self._images, self._early_stop[witnesses]), witnesses)
        began, done = time.monotonic(), 0
        for fold, (model, ratio) in enumerate(zip(self._judges, ratios, strict=True)):
            for numbers, scored in self._scored(model, self._judged, np.flatnonzero(self._judged_by == fold)):
                maps, scores = (np.float32(ratio) * values for values in (scored.maps, scored.scores))
                self._cross.judge(numbers.tolist(), AnomalyMaps(maps, scores, scored.feature_distances))
                done += len(numbers)
                seconds = time.monotonic() - began
                self._report(FitProgress("held out", done, len(self._judged), seconds=seconds))
        self.figures |= {"ratios": ratios, "set_aside": len(self._set_aside)}

    def _fit_fold(self, fold: int, sources: Sources, steps: int, began: float) -> None:
        inside, outside = np.flatnonzero(self.fold_of == fold), np.flatnonzero(self.fold_of != fold)
        train, copies = _some(sources.train, sources.synthetic_train, self._shown(sources, outside))
        own = Sources(train, sources.early_stop, copies, sources.synthetic_early_stop)

        def report(progress: FitProgress) -> None:
            done, seconds = fold * steps + progress.done, time.monotonic() - began
            self._report(replace(progress, phase="folds", done=done, total=self.count * steps, seconds=seconds))

        model = _copy(self._fresh)
        fit_moments(model, own.train)
        StudentDescent(model, _in_steps(self._settings, steps), own, report).run()
        other = _copy(model) if fold == 0 else None
        fit_blend(model, own.early_stop, own.synthetic_early_stop)
        self._judges.insert(fold, model)
        self._of_early_stop.append(self._scores(model, self._images, self._early_stop))
        if other is not None:
            fit_blend(other, *_some(sources.train, sources.synthetic_train, inside))
            self._judges.append(other)
            self._last_to_first = ratio(*(self._scores(judge, self._images, inside) for judge in (model, other)))

    def _may_be_mirrored(self, fold: int) -> bool:
        """By images that neither this fold's model judges nor, with the same weights, that of the early-stop
        images: those of the next fold beside the rest."""
        after = (fold + 1) % self.count
        known, tested = (
            SomeImages(self._normals.train, np.flatnonzero(chosen).tolist())
            for chosen in ((self.fold_of != fold) & (self.fold_of != after), self.fold_of == after)
        )
        return len(known) > 1 and may_be_mirrored(self._fresh, known, tested, self._settings.seed)

    def _shown(self, sources: Sources, train: Numbers) -> Numbers:
        """These training images in the source, as they are and mirrored if it has mirrored ones."""
        count = len(self.fold_of)
        return np.concatenate([train + first for first in range(0, len(sources.train), count)])

    def _kept_early_stop(self) -> Numbers:
        """Places among the early-stop images; all, if otherwise too few parts remained."""
        kept = np.array([at for at, i in enumerate(self._early_stop) if i not in self._set_aside], np.int64)
        parts = {self._cross.parts[self._early_stop[at]] for at in kept}
        return kept if len(parts) >= FEWEST_PARTS else np.arange(len(self._early_stop))

    def _ratios(self, reference: Scores, witnesses: Numbers | slice = slice(None)) -> list[float]:
        """Of the reference's scores of these early-stop images to each judge's."""
        ratios = [ratio(reference, scores[witnesses]) for scores in self._of_early_stop]
        return [*ratios, self._last_to_first * ratios[0]]

    def _scores(self, model: TeacherAndStudent, images: Images, numbers: Numbers) -> Scores:
        return np.array(
            [score for _, scored in self._scored(model, images, numbers) for score in scored.scores], float
        )

    def _scored(
        self, model: TeacherAndStudent, images: Images, numbers: Numbers
    ) -> Iterator[tuple[Numbers, AnomalyMaps]]:
        """These images, some at a time, scored as in a night."""
        height, width, at_once = self._settings.image_height, self._settings.image_width, self._settings.micro_batch
        pixels = read_ahead(
            lambda number: resize(np.asarray(images[number]), height, width), numbers.tolist(), 3 * height * width
        )
        for start in range(0, len(numbers), at_once):
            some = numbers[start : start + at_once]
            chosen = np.stack(list(islice(pixels, len(some))))
            yield some, model.eval().score(chosen, counted_in(images, some.tolist()))


def ratio(reference: Scores, scores: Scores) -> float:
    """The typical ratio of two models' scores (n,) of the same images: the geometric mean of the middle half of the
    ratios, less noisy than their median and as deaf to one odd image."""
    from scipy.stats import trim_mean  # noqa: PLC0415  # half a second to import, and scoring imports this module too

    logs = [np.log(np.maximum(values, SMALLEST_SCORE)) for values in (reference, scores)]
    return float(np.exp(trim_mean(logs[0] - logs[1], 0.25)))


def _check(fold_of: Numbers, parts: Sequence[str]) -> None:
    train = len(fold_of)
    if both := set(parts[:train]) & set(parts[train:]):
        raise ValueError(
            f"part {min(both)!r} is among the training and the early-stop images, so models that have seen it would "
            "judge it. Split by part."
        )
    if train - np.bincount(fold_of).max() < 2:
        part, own = Counter(parts[:train]).most_common(1)[0]
        raise TooFewNormals(
            f"of {train} images to train {own} show the part {part!r}, so fewer than two are left to judge it by. "
            "Give images of more parts, or calibrate by a split."
        )


def _copy(model: TeacherAndStudent) -> TeacherAndStudent:
    """With the same teacher, which is frozen."""
    return copy.deepcopy(model, {id(model.teacher): model.teacher})


def _in_steps(settings: ReverseDistillationSettings, steps: int) -> ReverseDistillationSettings:
    training = settings.training
    seconds = None if training.seconds is None else STEPS_SHARE * training.seconds
    return replace(
        settings, training=replace(training, steps=steps, epochs=None, seconds=seconds, patience=None, keep="last")
    )


def _some(source: FeatureSource, synthetic: FeatureSource, numbers: Numbers) -> tuple[FeatureSource, FeatureSource]:
    """These images, and their copies with synthetic defects: number i * copies + j is the j-th of image i."""
    copies = len(synthetic) // len(source)
    of_each = numbers[:, None] * copies + np.arange(copies)
    return ChosenFeatures(source, numbers.tolist()), ChosenFeatures(synthetic, of_each.ravel().tolist())
