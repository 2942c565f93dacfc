"""Compare a GPU with the CPU: results, memory and speed, in one JSON, within five minutes.

    python -m proofs.gpu [--out gpu.json] [--seconds 290] [--method NAME]... [--precision NAME]...

Needs only rd_core, torch, numpy, scipy, safetensors and Pillow: backbone weights are random, images synthetic. Every
method is fitted on the CPU and on the GPU; the CPU's models are scored by both, in each precision, with CUDA graphs
and without. Rates by batch size are compared with the GPU's limits for a matrix product and a copy. Without a GPU a
small version runs on the CPU, and the JSON says so. Sections beyond the time limit are listed, not run.

Exit code 1 if a section failed, if in float32 without TF32 a decision differs or maps differ by more than TOLERANCE,
if a graph gives other bits than single kernels, if ignored pixels count, or if a model's scores depend on
another model.
"""

import argparse
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from proofs.gpu_plan import DEVICE, PLAN, drawn, judged_images, shown
from rd_core.calibration.threshold import Threshold, calibrate, triage
from rd_core.detectors import checkpoint
from rd_core.detectors.detector import Detector, FitReport, FitRun, Normals
from rd_core.detectors.registry import METHODS, build, settings_class
from rd_core.detectors.settings import DetectorSettings
from rd_core.engines.choice import TORCH
from rd_core.engines.cuda_graph import CudaGraph
from rd_core.engines.engine import Engine, computed_by
from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.settings import PRECISIONS, Precision

TOLERANCE = 1e-3
"""relative to the largest value of the CPU's maps, in float32 without TF32"""
ALPHA = 0.1
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Traffic(TorchDispatchMode):
    """Counts bytes that kernels read and write, without caches."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.bytes += sum(tensor.nbytes for tensor in [*_tensors(args), *_tensors(output)])
        return output


class Sections:
    """Results by section, written after every section so that a crash keeps them."""

    def __init__(self, out: Path, seconds: float) -> None:
        self.failed: list[str] = []
        self.figures: dict[str, Any] = {}
        self._out = out
        self._began = time.monotonic()
        self._seconds = seconds

    def add(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """Store the result of `work` under `name`, or its error, or that no time was left."""
        began = time.monotonic()
        left = self._seconds - (began - self._began)
        print(f"{name}: {left:.0f} s left", flush=True)
        try:
            figures = work() if left > 0 else None
            section = {"left_out": "no time"} if figures is None else {**figures, "seconds": time.monotonic() - began}
        except Exception:  # noqa: BLE001  # a method that fails on this card must not cost the other figures
            figures, section = None, {"error": traceback.format_exc()}
            self.failed.append(name)
        self.figures[name] = section
        self._out.write_text(json.dumps({**self.figures, "failed": self.failed}, indent=1) + "\n")
        return figures


def main() -> int:
    """Run all sections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--seconds", type=float, default=290)
    parser.add_argument("--method", action="append", choices=list(METHODS), help="only this one; may be given again")
    parser.add_argument("--precision", action="append", choices=PRECISIONS, help="likewise")
    given = parser.parse_args()
    sections = Sections(given.out, given.seconds)
    sections.add("machine", _machine)
    limits = sections.add("limits", _limits)
    fitted: dict[tuple[str, str], bytes] = {}
    for method in given.method or METHODS:
        for precision in given.precision or PRECISIONS:
            trained = sections.add(f"{method} {precision} fit", partial(_fits, method, precision, fitted))
            if trained is None:
                continue
            weights = fitted[method, precision]
            sections.add(f"{method} {precision} beside the CPU", partial(_beside_cpu, weights))
            sections.add(f"{method} {precision} with ignored pixels", partial(_beside_cpu, weights, ignoring=True))
            sections.add(f"{method} {precision} rates", partial(_rates, weights, limits or {}))
    sections.add("two categories in turn", lambda: _in_turn(fitted))
    print(
        f"{len(sections.failed)} of {len(sections.figures)} sections failed: {', '.join(sections.failed) or 'none'}"
    )
    return int(bool(sections.failed))


def _machine() -> dict[str, Any]:
    cuda = DEVICE.type == "cuda"
    if not cuda:
        print("No card here: the same, small, on the CPU. The figures say nothing of a GPU.")
        torch.set_num_threads(1)  # more would mostly wait for each other
    return {
        "card": torch.cuda.get_device_name() if cuda else None,
        "memory_bytes": torch.cuda.get_device_properties(DEVICE).total_memory if cuda else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "tf32_convolutions": torch.backends.cudnn.allow_tf32,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "plan": asdict(PLAN),
    }


def _limits() -> dict[str, Any]:
    """Measured limits of this machine: FLOP/s of a product, bytes/s of copies."""
    side, count = PLAN.product, PLAN.copied
    limits = {}
    for name, dtype in DTYPES.items():
        left, right = (torch.randn(side, side, dtype=dtype, device=DEVICE) for _ in range(2))
        limits[f"{name}_flops"] = 2 * side**3 * _rate(partial(torch.matmul, left, right))
    source, target = (torch.zeros(count, dtype=torch.uint8, device=DEVICE) for _ in range(2))
    limits["copy_bytes"] = 2 * count * _rate(lambda: target.copy_(source))
    upload = torch.zeros(count // 4, dtype=torch.uint8)
    limits["upload_bytes"] = count // 4 * _rate(lambda: target[: count // 4].copy_(upload))
    return limits


def _fits(method: str, precision: Precision, fitted: dict[tuple[str, str], bytes]) -> dict[str, Any]:
    """Fit on the CPU and on the GPU; later sections use the CPU's model."""
    by_device: dict[str, Any] = {}
    for device in dict.fromkeys((torch.device("cpu"), DEVICE)):
        began = time.perf_counter()
        with _memory(device) as memory:
            detector, report = _fit(_settings(method, precision), device)
        scores = detector.score(judged_images()).scores
        by_device[device.type] = {
            "seconds": time.perf_counter() - began,
            "memory_bytes": memory[0],
            "report": report.summary,
            "figures": report.figures,
            "scores": scores.tolist(),
        }
        if device.type == "cpu":
            fitted[method, precision] = checkpoint.to_bytes(detector)
    cpu, here = (np.array(by_device[device]["scores"]) for device in ("cpu", DEVICE.type))
    return {**by_device, "scores_apart": _apart(here, cpu)}


def _settings(method: str, precision: Precision) -> DetectorSettings:
    settings: Any = settings_class(method)(image_height=PLAN.side, image_width=PLAN.side, precision=precision)
    smaller: dict[str, Any] = {one.name: PLAN.steps for one in fields(settings) if one.name.endswith("steps")}
    if PLAN.width is not None and hasattr(settings, "width"):
        smaller["width"] = PLAN.width
    if hasattr(settings, "training"):
        smaller["training"] = replace(settings.training, steps=PLAN.steps, pseudo_anomalies_in_all=1)
    return replace(settings, **smaller)


def _fit(settings: DetectorSettings, device: torch.device) -> tuple[Detector[Any], FitReport]:
    torch.manual_seed(settings.seed)
    detector = build(settings.method, settings, pretrained=False).to(device)
    normals = drawn(0, PLAN.train + PLAN.early_stop)
    report = detector.fit(Normals(normals[: PLAN.train], normals[PLAN.train :]), FitRun())
    return detector.eval(), report


def _beside_cpu(weights: bytes, *, ignoring: bool = False) -> dict[str, Any]:
    """Compare maps, scores and decisions of one model on the GPU and on the CPU. ignoring: of images whose upper
    quarter does not count."""
    judged, normals = (
        shown(images, ignoring=ignoring) for images in (judged_images(), drawn(1000, PLAN.calibration))
    )
    cpu = _ready(weights, torch.device("cpu"))
    threshold = calibrate(cpu.score(*normals).scores, ALPHA)
    expected = cpu.score(*judged)
    comparison = {}
    for name, tf32 in {"as it is": torch.backends.cudnn.allow_tf32, "without TF32": False}.items():
        with torch.backends.cudnn.flags(allow_tf32=tf32):
            here = _ready(weights, DEVICE)
            maps, scores, distances = here.score(*judged)
        comparison[name] = {
            "maps_apart": _apart(maps, expected.maps),
            "scores_apart": _apart(scores, expected.scores),
            "feature_distances_apart": _apart(distances, expected.feature_distances),
            "decisions_flipped": int((_decisions(scores, threshold) != _decisions(expected.scores, threshold)).sum()),
            "images": len(maps),
        }
    graph = computed_by(TORCH, here, ignoring=ignoring)
    comparison["graph"] = {"used": graph is not here}
    if graph is not here:
        comparison["graph"]["same_bits"] = _same(graph.score(*judged), here.score(*judged))
        assert comparison["graph"]["same_bits"], f"a CUDA graph gives other values: {comparison}"
    if ignoring:
        images, counted = judged
        everything = np.ones_like(counted)
        comparison["ignored"] = {
            "map_is_zero": not maps[:, : maps.shape[1] // 4].any(),
            "all_counted_same_bits": _same(here.score(images, everything), here.score(images)),
        }
        assert all(comparison["ignored"].values()), f"ignored pixels count, or counted ones are changed: {comparison}"
    if here.settings.precision == "float32":
        exact = comparison["without TF32"]
        assert exact["maps_apart"] < TOLERANCE and not exact["decisions_flipped"], (
            f"not what the CPU finds: {comparison}"
        )
    return comparison


def _same(mine: AnomalyMaps, theirs: AnomalyMaps) -> bool:
    """Whether all bits are."""
    return all(np.array_equal(*pair) for pair in zip(mine, theirs, strict=True))


def _rates(weights: bytes, limits: dict[str, Any]) -> dict[str, Any]:
    """Images a second by batch size, by single kernels and as a graph, and the share of the limits."""
    detector = _ready(weights, DEVICE)
    rates: dict[str, Any] = {}
    for batch in PLAN.batches:
        images = torch.from_numpy(drawn(0, min(batch, 16)).repeat(-(-batch // 16), axis=0)[:batch]).to(DEVICE)
        try:
            of_batch = rates[str(batch)] = _rates_of(detector, images, limits)
        except torch.cuda.OutOfMemoryError as e:
            rates[str(batch)] = {"out_of_memory": str(e)}
            break
        if of_batch["images_per_second"] < batch and DEVICE.type == "cuda":
            break  # a batch takes more than a second, and a larger one more
    engine, pictures = computed_by(TORCH, detector), drawn(0, detector.settings.micro_batch)
    rates["images_per_second_from_host_to_host"] = len(pictures) * _rate(lambda: engine.score(pictures))
    return rates


def _rates_of(detector: Detector[Any], images: Tensor, limits: dict[str, Any]) -> dict[str, Any]:
    batch = len(images)
    with _memory(DEVICE) as memory:
        rate = _rate(partial(detector.detect, images))
    flops, traffic = _work(detector, images)
    rates: dict[str, Any] = {"images_per_second": batch * rate, "memory_bytes": memory[0]}
    if DEVICE.type == "cuda" and detector.exportable:
        as_graph = _rate(_captured(detector, images))
        rates["images_per_second_as_graph"] = batch * as_graph
        rate = max(rate, as_graph)
    rates |= {"gflop_an_image": flops / batch / 1e9, "mbytes_an_image": traffic / batch / 1e6}
    if limits:
        rates["of_matrix_product"] = flops * rate / limits[f"{detector.settings.precision}_flops"]
        rates["of_copy"] = traffic * rate / limits["copy_bytes"]
    return rates


def _work(detector: Detector[Any], images: Tensor) -> tuple[float, float]:
    """(FLOP, bytes) of a batch."""
    with FlopCounterMode(display=False) as flops:
        detector.detect(images)
    with Traffic() as traffic:
        detector.detect(images)
    return flops.get_total_flops(), traffic.bytes


def _captured(detector: Detector[Any], images: Tensor) -> Callable[[], object]:
    graph = CudaGraph()
    with graph.warming_up():
        for _ in range(3):
            detector.detect(images)
    with graph.capturing():
        detector.detect(images)
    return graph.replay


def _in_turn(fitted: dict[tuple[str, str], bytes]) -> dict[str, Any]:
    """Score alternately with two models in one process, as in a worker with two categories, and compare with each
    alone."""
    if not fitted:
        raise RuntimeError("no method was fitted, so there are no two models")
    chosen = [*fitted.values(), *fitted.values()][:2]
    judged = judged_images()
    alone = [computed_by(TORCH, _ready(weights, DEVICE)).score(judged) for weights in chosen]
    with _memory(DEVICE) as memory:
        both = [computed_by(TORCH, _ready(weights, DEVICE)) for weights in chosen]
        rounds = [[engine.score(judged) for engine in both] for _ in range(3)]
    for scored in rounds:
        for mine, own in zip(scored, alone, strict=True):
            assert _same(mine, own), "a model scores otherwise"
    single, turns = (_rate(partial(_score_by, some, judged)) for some in (both[:1], both))
    return {
        "models": [" ".join(key) for key in (list(fitted) * 2)[:2]],
        "images_per_second_alone": len(judged) * single,
        "images_per_second_in_turn": 2 * len(judged) * turns,
        "memory_bytes": memory[0],
    }


def _score_by(engines: Sequence[Engine], images: NDArray[np.uint8]) -> None:
    for engine in engines:
        engine.score(images)


def _ready(weights: bytes, device: torch.device) -> Detector[Any]:
    return checkpoint.from_bytes(weights, device=device).ready()


def _decisions(scores: NDArray[np.float32], threshold: Threshold) -> NDArray[np.str_]:
    return triage(scores, threshold.low, threshold.high)


def _apart(mine: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """Largest difference relative to the largest value."""
    return float(np.abs(mine - theirs).max() / np.abs(theirs).max())


def _rate(work: Callable[[], object]) -> float:
    """Executions a second."""
    for _ in range(PLAN.burst):
        work()
    _wait()
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < PLAN.seconds:
        for _ in range(PLAN.burst):
            work()
        _wait()
        done += PLAN.burst
    return done / (time.perf_counter() - began)


def _wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


@contextmanager
def _memory(device: torch.device) -> Iterator[list[int | None]]:
    """Peak memory of torch's tensors within, on the GPU; None on the CPU."""
    peak: list[int | None] = [None]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    yield peak
    if device.type == "cuda":
        peak[0] = torch.cuda.max_memory_allocated()


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Sequence) and not isinstance(values, str):
        for value in values:
            yield from _tensors(value)


if __name__ == "__main__":
    sys.exit(main())
