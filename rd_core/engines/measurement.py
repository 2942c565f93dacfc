"""Measure which engine computes a detector fastest where it was trained."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from rd_core.detectors.detector import Detector
from rd_core.detectors.settings import DetectorSettings
from rd_core.engines.choice import OPENVINO, TORCH, engine_here
from rd_core.engines.engine import Engine, computed_by
from rd_core.engines.graph_inputs import noise_for
from rd_core.errors import EngineUnavailable
from rd_core.kernels.precision import default_device

IMAGES = 5_000
"""number of images within which OpenVINO must recover the time to build its graph, in each scoring process"""
ROUNDS, SECONDS = 5, 10.0
"""most rounds, of a micro-batch by each engine, and the time in seconds after which no round begins"""


@dataclass(frozen=True)
class EngineChoice:
    """The library to compute a model's scores, and the reason."""

    library: str
    why: str
    """"OpenVINO is not installed where the model was trained" """
    images_per_second: Mapping[str, float] = field(default_factory=dict)
    """by library, with torch's number of threads; empty where nothing was measured"""


def choose_engine(detector: Detector, *, ignoring: bool = False) -> EngineChoice:
    """Choose the fastest engine for `detector`, which is ready for inference, and images with ignored pixels or
    without. OpenVINO must agree with torch up to rounding."""
    if reason := _torch_alone(detector):
        return EngineChoice(TORCH, reason)
    began = time.process_time()  # the clock would count the disk and other processes, too
    try:
        other = computed_by(engine_here(OPENVINO), detector, ignoring=ignoring)
    except Exception as e:  # noqa: BLE001  # whatever an exporter raises: no training is lost for want of an engine
        return EngineChoice(TORCH, f"OpenVINO does not compute it: {str(e).partition(chr(10))[0]}")
    made = time.process_time() - began
    images, counted = noise_for(detector, ignoring=ignoring)
    rounds = _in_turns({TORCH: detector, OPENVINO: other}, images, counted)
    rates = {
        library: len(images) / statistics.median(seconds[library] for seconds in rounds)
        for library in (TORCH, OPENVINO)
    }
    gained = 1 / rates[TORCH] - 1 / rates[OPENVINO]
    if gained * IMAGES < made:
        return EngineChoice(TORCH, f"OpenVINO's graph, made in {made:.0f} s, gains less in {IMAGES:,} images", rates)
    return EngineChoice(
        OPENVINO, f"its graph, made in {made:.0f} s, gains as much in {made / gained:,.0f} images", rates
    )


def refuse_impossible(engine: str, method: type[Detector], settings: DetectorSettings) -> None:
    """Raise EngineUnavailable, before a fit, if `engine` on a CPU cannot compute its detector."""
    reason = _of_torch_alone(method, settings)
    if engine == OPENVINO and reason and default_device().type == "cpu":
        raise EngineUnavailable(
            f"The engine is {engine!r}, but {reason}: the model could not score, so nothing was trained. Set "
            "engine = 'torch', or 'auto', which chooses what is possible."
        )


def _torch_alone(detector: Detector) -> str:
    """Why only torch is possible; empty if there is a choice."""
    if detector.device.type != "cpu":
        return "GPUs are supported by torch only"
    if reason := _of_torch_alone(detector, detector.settings):
        return reason
    return "" if find_spec(OPENVINO) else "OpenVINO is not installed where the model was trained"


def _of_torch_alone(method: type[Detector] | Detector, settings: DetectorSettings) -> str:
    if not method.exportable:
        return f"{method.name} is supported by torch only"
    return "" if settings.precision == "float32" else f"{settings.precision} is supported by torch only"


def _in_turns(
    engines: Mapping[str, Engine], images: NDArray[np.uint8], counted: NDArray[np.bool_] | None
) -> list[dict[str, float]]:
    """Seconds of a micro-batch by each engine, alternately, so that changes of the machine's speed affect all."""
    for engine in engines.values():
        engine.score(images, counted)  # the first is for memory
    rounds: list[dict[str, float]] = []
    began = time.perf_counter()
    while not rounds or (len(rounds) < ROUNDS and time.perf_counter() - began < SECONDS):
        rounds.append({library: _seconds(engine, images, counted) for library, engine in engines.items()})
    return rounds


def _seconds(engine: Engine, images: NDArray[np.uint8], counted: NDArray[np.bool_] | None) -> float:
    began = time.perf_counter()
    engine.score(images, counted)
    return time.perf_counter() - began
