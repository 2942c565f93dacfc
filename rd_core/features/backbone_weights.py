"""Find a teacher's ImageNet weights and read them without executing pickled code."""

import pickle
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from rd_core.errors import TeacherUnavailable
from rd_core.features.weight_source import CURE, TORCHVISION_URL, WeightSource, packaged_file


def load_weights(name: str, source: WeightSource, file: Path | None) -> Callable[[nn.Module], None]:
    """Read weights and return a function that loads them into the whole classifier.

    file: read only this file. Raises TeacherUnavailable, also from the returned function when names or shapes do not
    fit.
    """
    if file is not None:
        tensors, place = _read(name, file), str(file)
    elif source.package is not None:
        tensors, place = _read(name, packaged_file(name, source.package)), f"the package {source.package}"
    else:
        cached = _cached_or_downloaded(name, source)
        tensors, place = _read(name, cached), str(cached)

    def adopt(net: nn.Module) -> None:
        _adopt(net, tensors, name, place, in_order=source.package is not None)

    return adopt


def _adopt(net: nn.Module, tensors: dict[str, Tensor], name: str, place: str, *, in_order: bool) -> None:
    """Copy by name; by position for a package's file, which has other names in the same order."""
    wanted = net.state_dict()
    if in_order and tensors.keys() != wanted.keys() and len(tensors) == len(wanted):
        tensors = dict(zip(wanted, tensors.values(), strict=True))
    misfits = [
        key
        for key, tensor in wanted.items()
        if not key.endswith("num_batches_tracked") and (key not in tensors or tensors[key].shape != tensor.shape)
    ]
    if misfits:
        raise TeacherUnavailable(
            f"the weights in {place} are not those of {name}: {len(misfits)} of {len(wanted)} tensors are "
            f"missing or of another shape, the first {misfits[0]!r}. Nothing was loaded. {CURE}"
        )
    net.load_state_dict({key: tensors.get(key, tensor) for key, tensor in wanted.items()})


def _read(name: str, file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        tensors = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as e:
        raise TeacherUnavailable(f"there is no file {file} with the weights of {name}. {CURE}") from e
    except (OSError, RuntimeError, SafetensorError, pickle.UnpicklingError, EOFError, ValueError) as e:
        raise TeacherUnavailable(f"{file} cannot be read as weights of {name}: {e}. {CURE}") from e
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise TeacherUnavailable(f"{file} is not a table of tensors, so the weights of {name} were not read. {CURE}")
    return tensors


def _cached_or_downloaded(name: str, source: WeightSource) -> Path:
    tried: list[str] = []
    for search in (_torch_cache, _hub_cache, _download_torchvision, _download_timm):
        weights = search(source, tried)
        if weights is not None:
            return weights
    places = "; ".join(tried)
    raise TeacherUnavailable(
        f"the weights of {name} are not available, so there is no teacher. Tried: {places}. {CURE}"
    )


def _torch_cache(source: WeightSource, tried: list[str]) -> Path | None:
    assert source.torchvision_file is not None  # every source without a package has both places
    file = Path(torch.hub.get_dir()) / "checkpoints" / source.torchvision_file
    tried.append(f"torch's cache {file} (not there)")
    return file if file.exists() else None


def _hub_cache(source: WeightSource, tried: list[str]) -> Path | None:
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415  # a second, and packaged weights never need it

    assert source.timm_repository is not None
    cached = try_to_load_from_cache(source.timm_repository, "model.safetensors")
    tried.append(f"the Hugging Face cache for {source.timm_repository} (not there)")
    return Path(cached) if isinstance(cached, str) else None


def _download_torchvision(source: WeightSource, tried: list[str]) -> Path | None:
    assert source.torchvision_file is not None
    url = TORCHVISION_URL + source.torchvision_file
    target = Path(torch.hub.get_dir()) / "checkpoints" / source.torchvision_file
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # The digest's first digits stand in the file's name.
        torch.hub.download_url_to_file(url, str(target), hash_prefix=target.stem.rsplit("-", 1)[1], progress=False)
    except (URLError, OSError, RuntimeError) as e:
        tried.append(f"{url} ({e})")
        return None
    return target


def _download_timm(source: WeightSource, tried: list[str]) -> Path | None:
    from huggingface_hub import hf_hub_download  # noqa: PLC0415  # takes a second, and only downloads need it
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415  # what that download raises

    assert source.timm_repository is not None
    try:
        return Path(hf_hub_download(source.timm_repository, "model.safetensors"))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as e:
        tried.append(f"the Hugging Face hub, {source.timm_repository} ({type(e).__name__})")
        return None
