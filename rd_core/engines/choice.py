"""Names of engines: "torch", or OpenVINO with its version, such as "openvino 2026.4.1".

A plan records its engine, so that all its scores come from one library.
"""

from importlib.metadata import PackageNotFoundError, version

from rd_core.errors import EngineUnavailable

TORCH, OPENVINO = "torch", "openvino"
AUTO = "auto"
"""the one measured as faster in the model's training; see `rd_core.engines.measurement`"""


def library_of(engine: str) -> str:
    """The library of an engine: 'openvino 2026.4.1' -> 'openvino'."""
    return engine.partition(" ")[0]


def engine_here(library: str) -> str:
    """The engine of a plan made in this environment. Raises EngineUnavailable if its library is not installed."""
    return TORCH if library == TORCH else f"{OPENVINO} {_installed()}"


def _installed() -> str:
    try:
        return version(OPENVINO)
    except PackageNotFoundError:
        raise EngineUnavailable(
            "The engine is 'openvino', but OpenVINO is not installed where scoring runs, so nothing was scored. "
            "Install it on every worker: pip install 'rd-inspect[openvino]'. Or set engine = 'torch'."
        ) from None
