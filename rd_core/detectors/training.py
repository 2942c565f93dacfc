"""Training of a detector of any method."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rd_core.detectors.detector import Detector, FitReport, FitRun, Normals
from rd_core.detectors.registry import build
from rd_core.detectors.settings import DetectorSettings
from rd_core.errors import ConfigError, TooFewNormals
from rd_core.features.shared_pass import seconds_saved
from rd_core.kernels.precision import default_device


@dataclass(frozen=True)
class Fitted:
    """A trained detector and its report."""

    detector: Detector[Any]
    """in eval mode, on the device it was fitted on"""
    report: FitReport


def train(
    name: str,
    settings: DetectorSettings,
    normals: Normals,
    run: FitRun = FitRun(),
    *,
    start: Detector[Any] | None = None,
    teacher_weights: Path | None = None,
    device: torch.device | None = None,
) -> Fitted:
    """Fit a detector of the method `name` to normal images.

    normals: decoded images, uint8 (H, W, 3) of any size, indexed from two threads at once and never all in memory.
    Deterministic for the same seed, threads and images. start: a detector of the same method and settings (see
    `DetectorSettings.of_weights`) to start from, teacher included; it is not changed. Raises TooFewNormals,
    ConfigError for another start, one together with `run.cross`, `run.cross` of a method that does not cross-fit, or
    others to judge by a method that knows places, TeacherUnavailable, and as `Detector.fit`.
    """
    if len(normals.train) < 2 or len(normals.early_stop) < 1:
        raise TooFewNormals(
            f"{len(normals.train)} images to train and {len(normals.early_stop)} to stop early are too few. Give at "
            "least 2 and 1."
        )
    if run.cross is not None:
        settings.require_cross_fits()
    if run.cross is not None and run.cross.others is not None and settings.knows_places:
        raise ConfigError(
            f"{name} keeps what is normal at each place of an image, so it cannot judge others such as tiles. Use "
            "another method, or judge the images of the fit."
        )
    if start is not None and run.cross is not None:
        raise ConfigError(
            "the model to start from has seen the normals that held-out scores are wanted of, so they would not be "
            "held out. Train from scratch, or without cross-fitting."
        )
    began = time.monotonic()
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they were
        torch.manual_seed(settings.seed)
        detector = _initial_detector(name, settings, start, teacher_weights).to(device or default_device())
        before = seconds_saved.set(0.0)
        report = detector.fit(normals, run)
        report = replace(report, seconds=time.monotonic() - began, shared_seconds=seconds_saved.get())
        seconds_saved.reset(before)
    return Fitted(detector.eval(), report)


def _initial_detector(
    name: str, settings: DetectorSettings, start: Detector[Any] | None, teacher_weights: Path | None
) -> Detector[Any]:
    """The detector before its fit."""
    if start is None:
        return build(name, settings, teacher_weights=teacher_weights)
    if not start.continues or start.settings.of_weights() != settings.of_weights():
        raise ConfigError(
            f"the model to start from is {start.name} with {start.settings}, the model to train {name} with "
            f"{settings}, so its weights are of no use. Train from scratch, or with its settings."
        )
    detector = build(name, settings, pretrained=False)
    try:
        detector.load_state_dict(start.state_dict())
    except RuntimeError as e:
        raise ConfigError(
            "the model to start from was made ready for scoring: its batch norms are folded, so it cannot be "
            "trained. Give the result of checkpoint.from_bytes()."
        ) from e
    return detector
