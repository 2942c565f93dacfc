"""A detector as a CUDA graph: the kernels of a micro-batch are launched together.

The networks are small, so launching single kernels would take much of a GPU's time.
"""

import logging
import threading
from contextlib import AbstractContextManager
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray

from rd_core.detectors.detector import Detector
from rd_core.engines.graph_inputs import counted_for_graph, noise_for
from rd_core.maps.micro_batch import AnomalyMaps, in_micro_batches

WARM_UPS = 3
"""passes before the capture, in which libraries select kernels and allocate workspaces"""

_log = logging.getLogger(__name__)


class Graph(Protocol):
    """The needed functions of a GPU graph: `CudaGraph`, or a test's substitute."""

    def warming_up(self) -> AbstractContextManager[object]:
        """Context of passes before the capture."""

    def capturing(self) -> AbstractContextManager[object]:
        """Context in which launches are recorded, not run."""

    def replay(self) -> None:
        """Run the recorded launches on the same tensors."""


class CudaGraph:
    """torch's CUDA graph."""

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()

    def warming_up(self) -> AbstractContextManager[object]:
        """A separate stream, as torch requires; both streams wait for each other."""
        return _SideStream()

    def capturing(self) -> AbstractContextManager[object]:
        """See Graph."""
        return torch.cuda.graph(self._graph)

    def replay(self) -> None:
        """See Graph."""
        self._graph.replay()


class _SideStream:
    def __enter__(self) -> Self:
        self._side = torch.cuda.Stream()
        self._side.wait_stream(torch.cuda.current_stream())
        self._context = torch.cuda.stream(self._side)
        self._context.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(*error)
        torch.cuda.current_stream().wait_stream(self._side)


class GraphedDetector:
    """A detector whose `detect` was captured once; thread-safe."""

    def __init__(self, detector: Detector, graph: Graph, *, ignoring: bool = False) -> None:
        """`detector`: ready for inference, on the device of `graph`. `ignoring`: whether pixels may be ignored.
        Raises RuntimeError if it cannot be captured."""
        self._shape = detector.settings.micro_batch_shape
        self._lock = threading.Lock()
        self._graph = graph
        self._images = torch.zeros(self._shape, dtype=torch.uint8, device=detector.device)
        self._counted = torch.ones(self._shape[:3], dtype=torch.bool, device=detector.device) if ignoring else None
        with graph.warming_up():
            for _ in range(WARM_UPS):
                detector.detect(self._images, self._counted)
        with graph.capturing():
            self._detection = detector.detect(self._images, self._counted)

    def score(self, images: NDArray[np.uint8], counted: NDArray[np.bool_] | None = None) -> AnomalyMaps:
        """As `Detector.score`."""
        counted = counted_for_graph(images, counted, ignoring=self._counted is not None)
        return in_micro_batches(images, self._shape, self._detect, counted)

    def _detect(self, images: NDArray[np.uint8], counted: NDArray[np.bool_] | None = None) -> AnomalyMaps:
        with self._lock:  # the graph has one set of tensors
            self._images.copy_(torch.from_numpy(images))
            if self._counted is not None:
                assert counted is not None  # `score` gives it to a graph that takes it
                self._counted.copy_(torch.from_numpy(counted))
            self._graph.replay()
            # Copies, for the next replay overwrites what it gave.
            return AnomalyMaps(*(tensor.to("cpu", copy=True).numpy() for tensor in self._detection))


def graphed(detector: Detector, graph: Graph, *, ignoring: bool = False) -> Detector | GraphedDetector:
    """`detector` as a graph; unchanged, with a warning, where it cannot be captured or scores differ."""
    noise = noise_for(detector, ignoring=ignoring)
    try:
        graphed_detector = GraphedDetector(detector, graph, ignoring=ignoring)
        same = all(
            np.array_equal(*pair) for pair in zip(graphed_detector.score(*noise), detector.score(*noise), strict=True)
        )
        reason = "" if same else "its scores are not those of the kernels one by one"
    except RuntimeError as e:
        reason = str(e)
    if reason:
        _log.warning("no CUDA graph, so scoring launches its kernels one by one, the same but slower: %s", reason)
        return detector
    return graphed_detector
