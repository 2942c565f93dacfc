"""Which library computes the networks: torch, or OpenVINO, which is faster on many CPUs.

A plan keeps its engine with the library's version, "openvino 2026.4.1", so that its scores are those of one library.
torch is plain "torch".
"""

from importlib.metadata import PackageNotFoundError, version

from rd_core.errors import EngineUnavailable

TORCH, OPENVINO = "torch", "openvino"
AUTO = "auto"
"""the one that a model's training measured as faster; see `rd_core.engines.measurement`"""


def library_of(engine: str) -> str:
    """'openvino 2026.4.1' -> 'openvino'."""
    return engine.partition(" ")[0]


def engine_here(library: str) -> str:
    """The engine that a plan made here is scored by. Raises EngineUnavailable if its library is not installed."""
    return TORCH if library == TORCH else f"{OPENVINO} {_installed()}"


def _installed() -> str:
    try:
        return version(OPENVINO)
    except PackageNotFoundError:
        raise EngineUnavailable(
            "The engine is to be 'openvino', and OpenVINO is not installed where scoring runs, so nothing was "
            "scored. Install it on every worker: pip install 'rd-inspect[openvino]'. Or set engine = 'torch'."
        ) from None
