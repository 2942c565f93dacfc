"""The detector as one CUDA graph: the kernels of a micro-batch are launched at once, not one by one from Python.

The networks are small and a micro-batch is always of one size, so on a GPU much of the time may go into launching.
"""

import logging
import threading
from contextlib import AbstractContextManager
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray

from rd_core.detectors.detector import Detector
from rd_core.maps.micro_batch import AnomalyMaps, in_micro_batches

WARM_UPS = 3
"""passes before the capture, in which libraries choose kernels and take their workspaces, as they may not in one"""

_log = logging.getLogger(__name__)


class Graph(Protocol):
    """What this needs of a GPU; `CudaGraph`, or a stand-in in tests."""

    def warming_up(self) -> AbstractContextManager[object]:
        """The context of passes before the capture."""

    def capturing(self) -> AbstractContextManager[object]:
        """The context in which what is launched is kept, not run."""

    def replay(self) -> None:
        """Run what was kept, on the same tensors."""


class CudaGraph:
    """torch's CUDA graph."""

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()

    def warming_up(self) -> AbstractContextManager[object]:
        """A stream of its own, as torch asks for; both streams wait for each other."""
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
    """A detector whose `detect` was captured once. May be used by several threads."""

    def __init__(self, detector: Detector, graph: Graph) -> None:
        """`detector`: ready for inference, on the device of `graph`. Raises RuntimeError if it cannot be captured."""
        self._shape = detector.settings.micro_batch_shape
        self._lock = threading.Lock()
        self._graph = graph
        self._images = torch.zeros(self._shape, dtype=torch.uint8, device=detector.device)
        with graph.warming_up():
            for _ in range(WARM_UPS):
                detector.detect(self._images)
        with graph.capturing():
            self._found = detector.detect(self._images)

    def score(self, images: NDArray[np.uint8]) -> AnomalyMaps:
        """As `Detector.score`."""
        return in_micro_batches(images, self._shape, self._detect)

    def _detect(self, images: NDArray[np.uint8]) -> AnomalyMaps:
        with self._lock:  # the graph has one set of tensors
            self._images.copy_(torch.from_numpy(images))
            self._graph.replay()
            # Copies, for the next replay overwrites what it gave.
            return AnomalyMaps(*(found.to("cpu", copy=True).numpy() for found in self._found))


def graphed(detector: Detector, graph: Graph) -> Detector | GraphedDetector:
    """`detector` as a graph; or as it is, with a warning, where it cannot be captured or gives other scores."""
    images = np.random.default_rng(0).integers(0, 256, detector.settings.micro_batch_shape, dtype=np.uint8)
    try:
        found = GraphedDetector(detector, graph)
        same = all(np.array_equal(*pair) for pair in zip(found.score(images), detector.score(images), strict=True))
        reason = "" if same else "its scores are not those of the kernels one by one"
    except RuntimeError as e:
        reason = str(e)
    if reason:
        _log.warning("no CUDA graph, so scoring launches its kernels one by one, the same but slower: %s", reason)
        return detector
    return found
