"""A detector computed by OpenVINO: on CPUs, in float32, from a graph built in memory."""

import sys
import threading
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rd_core.detectors.detector import Detector
from rd_core.engines.graph_inputs import counted_for_graph, noise_for
from rd_core.errors import EngineUnavailable
from rd_core.maps.micro_batch import AnomalyMaps, in_micro_batches

# OpenVINO tells its makers of every import and conversion, unasked. Where this package is missing it tells nothing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # Python allows None, which makes an import fail; typeshed does not
import openvino  # noqa: E402  # must follow the line above, or its telemetry is loaded and reports the import

TOLERANCE = 1e-4
"""largest difference from torch, relative to the largest value; rounding gives about 1e-6, bfloat16 1e-2"""


class GraphDetector:
    """A detector from a graph of `graph_of`, possibly modified; thread-safe."""

    def __init__(self, graph: Any, shape: tuple[int, int, int, int], threads: int, *, ignoring: bool = False) -> None:
        """`graph`: an openvino.Model. `shape`: (B, H, W, 3) of its micro-batches. `threads`: cores for one call.
        `ignoring`: whether it takes counted pixels, too."""
        self._shape = shape
        self._ignoring = ignoring
        self._lock = threading.Lock()
        self._request = _compiled(graph, threads).create_infer_request()

    def score(self, images: NDArray[np.uint8], counted: NDArray[np.bool_] | None = None) -> AnomalyMaps:
        """As `Detector.score`."""
        counted = counted_for_graph(images, counted, ignoring=self._ignoring)
        return in_micro_batches(images, self._shape, self._detect, counted)

    def _detect(self, images: NDArray[np.uint8], counted: NDArray[np.bool_] | None = None) -> AnomalyMaps:
        with self._lock:  # a request holds the tensors of one inference
            outputs = self._request.infer({0: images} if counted is None else {0: images, 1: counted})
            return AnomalyMaps(*(np.array(outputs[index]) for index in range(3)))


class OpenVinoDetector(GraphDetector):
    """A detector whose normalisation, networks, map and score are one OpenVINO graph."""

    def __init__(self, detector: Detector, threads: int, *, ignoring: bool = False) -> None:
        """`detector`: ready for inference, on the CPU. `threads`: cores for one call. `ignoring`: whether pixels may
        be ignored.

        Takes some seconds to trace and compile the graph and compare it with torch on a micro-batch of noise. Raises
        EngineUnavailable if they differ, the detector computes in bfloat16, or its method cannot be exported.
        """
        if not detector.exportable:
            raise EngineUnavailable(
                f"OpenVINO cannot compute a model of {detector.name}, so nothing was scored. Set engine = 'torch'."
            )
        if detector.settings.precision != "float32":
            raise EngineUnavailable(
                f"The model computes in {detector.settings.precision}, OpenVINO in float32: the threshold would not "
                "hold, so nothing was scored. Set engine = 'torch', or train a model with precision = 'float32'."
            )
        graph = graph_of(detector, ignoring=ignoring)
        super().__init__(graph, detector.settings.micro_batch_shape, threads, ignoring=ignoring)
        _refuse_difference(detector, self._detect, ignoring=ignoring)


class _Graph(nn.Module):
    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor, counted: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        maps, scores, distances = self.detector.detect(images, counted)
        return maps, scores, distances


def graph_of(detector: Detector, *, ignoring: bool = False) -> Any:
    """`detector` as an openvino.Model: a micro-batch uint8 (B, H, W, 3), and if `ignoring` its counted pixels bool
    (B, H, W) -> maps, scores and feature distances."""
    shape = detector.settings.micro_batch_shape
    inputs = [torch.zeros(shape, dtype=torch.uint8)]
    if ignoring:
        inputs.append(torch.ones(shape[:3], dtype=torch.bool))
    with torch.no_grad():
        graph = openvino.convert_model(torch.export.export(_Graph(detector), tuple(inputs)))
    # Kernels are chosen by shape, and the faster ones for a shape that is known.
    graph.reshape({index: list(given.shape) for index, given in enumerate(inputs)})
    return graph


def _compiled(graph: Any, threads: int) -> Any:
    """`graph` as an openvino.CompiledModel of the CPU."""
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the processor has it
        "EXECUTION_MODE_HINT": "ACCURACY",
        "ENABLE_CPU_PINNING": False,  # else all worker processes of a machine sit on its first cores
    }
    return openvino.Core().compile_model(graph, "CPU", options)


def _refuse_difference(detector: Detector, detect: Any, *, ignoring: bool = False) -> None:
    """EngineUnavailable unless `detect` finds in noise what `detector` does."""
    noise = noise_for(detector, ignoring=ignoring)
    for name, mine, torchs in zip(AnomalyMaps._fields, detect(*noise), detector.score(*noise), strict=True):
        difference = float(np.abs(mine - torchs).max() / np.abs(torchs).max())
        if not difference <= TOLERANCE:
            raise EngineUnavailable(
                f"OpenVINO's {name} differ from torch's by {difference:.1e} of the largest, more than "
                f"{TOLERANCE:.0e}: the threshold would not hold, so nothing was scored. Set engine = 'torch'."
            )
