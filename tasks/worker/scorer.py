"""Loaded models, kept by a worker process between batches."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rd_core.calibration.threshold import conformal_p_values
from rd_core.detectors import checkpoint
from rd_core.detectors.detector import Detector
from rd_core.engines.choice import TORCH
from rd_core.engines.engine import Engine, computed_by
from rd_core.engines.tiled import seeing
from rd_core.kernels.precision import default_device
from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.pictures.image_view import ImageView
from rd_core.pictures.tiling import Tiling
from storage.filesystem import Store
from storage.models import models
from storage.models.card import ModelCard
from tasks.worker.picture_reader import LoadedPicture, counted_in, stacked
from tasks.worker.preprocessing import ImageFormat, check_preprocessing
from tasks.worker.worker_process import return_freed_memory

WARM_MODELS = 4
"""models kept in one process, because a worker may serve many categories"""

_lock = threading.Lock()
_warm: OrderedDict[tuple[str, str, str, str, str], "Scorer"] = OrderedDict()


@dataclass(frozen=True)
class Decider:
    """A model card's calibration and thresholds, which decide about scores and maps."""

    card: ModelCard
    calibration_scores: np.ndarray
    """float32 [n], sorted: scores of held-out normals"""

    @classmethod
    def of(cls, card: ModelCard) -> "Decider":
        return Decider(card, _held_out(card))

    @property
    def map_size(self) -> tuple[int, int]:
        """Height and width of the maps."""
        return self.card.maps.height, self.card.maps.width

    @property
    def preprocessing(self) -> str:
        return self.card.preprocessing.version

    @property
    def threshold(self) -> np.float32:
        """Of the score."""
        return np.float32(self.card.threshold.value)

    @property
    def review_band(self) -> tuple[float, float]:
        """Ends of the threshold's 95 % interval."""
        return self.card.threshold.low, self.card.threshold.high

    @property
    def pixel_threshold(self) -> float:
        return self.card.pixel_threshold.value

    @property
    def map_threshold(self) -> float:
        return self.card.map_threshold

    @property
    def defect_peak(self) -> float:
        return self.card.defect_peak

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """float32 [B] -> float64 [B]"""
        return conformal_p_values(scores, self.calibration_scores)


@dataclass(frozen=True)
class Scorer(Decider):
    """One loaded model version with its card's calibration and thresholds."""

    model: Engine
    image_format: ImageFormat

    def score(self, pictures: Sequence[LoadedPicture]) -> AnomalyMaps:
        """The model's maps and scores of pictures, all of them readable, without their ignored pixels."""
        return self.model.score(stacked(pictures), counted_in(pictures))


def warm_scorer(store: Store, category: str, version: str, engine: str = TORCH) -> Scorer:
    """The scorer of `version`, from memory or the store (digest checked), with the engine of a plan.

    Raises CorruptObject, KeyNotFound, OtherPreprocessing, EngineUnavailable.
    """
    key = (store.uri, category, version, engine, str(default_device()))
    with _lock:  # also while loading: two threads of one worker must not load the same model twice
        if key not in _warm:
            _warm[key] = _load(store, category, version, engine)
            return_freed_memory()
            while len(_warm) > WARM_MODELS:
                _warm.popitem(last=False)
        _warm.move_to_end(key)
        return _warm[key]


def model_for_scoring(weights: bytes, device: torch.device | None = None) -> Detector:
    """The detector of a checkpoint with folded batch norms, on the GPU if there is one. Raises CheckpointError."""
    return checkpoint.from_bytes(weights, device=device or default_device()).ready()


def _load(store: Store, category: str, version: str, engine: str) -> Scorer:
    card = models.read_card(store, category, version)
    check_preprocessing(card)
    # A plan of OpenVINO is one of the CPU, whatever else this machine has.
    device = default_device() if engine == TORCH else torch.device("cpu")
    image_format = ImageFormat.of(card.preprocessing)
    return Scorer(card, _held_out(card), _model(store, card, image_format.view, engine, device), image_format)


def _model(store: Store, card: ModelCard, view: ImageView, engine: str, device: torch.device) -> Engine:
    """The model of another version with the same weights, tiles and input, if it is in memory; else a new one."""
    ignoring = not view.counts_all
    for (uri, category, _, its_engine, its_device), scorer in _warm.items():
        same = (uri, category, its_engine, its_device) == (store.uri, card.category, engine, str(default_device()))
        its_view = scorer.image_format.view
        same = same and (Tiling.of(its_view), not its_view.counts_all) == (Tiling.of(view), ignoring)
        if same and scorer.card.weights.sha256 == card.weights.sha256:
            return scorer.model
    detector = model_for_scoring(models.read_weights(store, card.category, card.version), device)
    return seeing(view, computed_by(engine, detector, ignoring=ignoring), detector)


def _held_out(card: ModelCard) -> np.ndarray:
    return np.sort(np.asarray(card.calibration.scores, dtype=np.float32))
